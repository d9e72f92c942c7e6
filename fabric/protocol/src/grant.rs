//! A lease that its holder can show to others.

use mc_types::{FencingToken, JobId, NodeId};
use serde::{Deserialize, Serialize};

/// A lease, as others may see it. The coordinator that granted it signs it, with the help of `mc-net`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Grant {
    /// The job.
    pub job: JobId,
    /// The token of the lease.
    pub token: FencingToken,
    /// Who holds it.
    pub worker: NodeId,
}
