//! A lease that others can be shown.

use mc_types::{FencingToken, JobId, NodeId};
use serde::{Deserialize, Serialize};

/// A lease, as others may see it. The coordinator that granted it signs it; how it signs is for `mc-net` to know.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Grant {
    /// The job.
    pub job: JobId,
    /// The token of the lease.
    pub token: FencingToken,
    /// Who holds it.
    pub worker: NodeId,
}
