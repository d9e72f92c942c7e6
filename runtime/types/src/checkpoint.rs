//! Checkpoints as jobs have them.

use crate::{Cid, FencingToken, NodeId, Timestamp};
use serde::{Deserialize, Serialize};

/// How often a checkpoint is taken of a running task.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CheckpointEvery {
    /// After this many milliseconds, at any position of the task.
    Millis(u64),
    /// After this many operators, at the same positions on every machine.
    Operators(u64),
}

impl CheckpointEvery {
    /// Whether it is never.
    #[must_use]
    pub const fn is_zero(self) -> bool {
        matches!(self, Self::Millis(0) | Self::Operators(0))
    }
}

/// A checkpoint of a job.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CheckpointRecord {
    /// The checkpoint.
    #[serde(with = "crate::cid::portable")]
    pub cid: Cid,
    /// Operators that were executed.
    pub position: u64,
    /// The token of the attempt that it was taken of.
    pub token: FencingToken,
    /// The node that took it.
    pub node: NodeId,
    /// When it was recorded.
    pub taken: Timestamp,
}
