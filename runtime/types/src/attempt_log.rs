//! What an attempt wrote that came to no outcome.

use crate::{Cid, FencingToken, NodeId, Timestamp};
use serde::{Deserialize, Serialize};

/// The output of an attempt until it was stopped or its machine failed. It is kept, whatever the result.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AttemptLog {
    /// Which attempt of the job it was, from 1 on.
    pub attempt: u32,
    /// The token of its lease.
    pub token: FencingToken,
    /// The node that ran it.
    pub node: NodeId,
    /// Standard output, a UnixFS file.
    #[serde(with = "crate::cid::portable")]
    pub stdout: Cid,
    /// Standard error, a UnixFS file.
    #[serde(with = "crate::cid::portable")]
    pub stderr: Cid,
    /// When it was recorded.
    pub kept: Timestamp,
}
