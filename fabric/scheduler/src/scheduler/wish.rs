//! What somebody wants of a job's next attempt.

use mc_types::{NodeId, Timestamp};

/// Where the next attempt of a job is to run.
#[derive(Debug)]
pub(crate) struct Wish {
    pub(crate) node: NodeId,
    /// Until when the job waits for the node; absent while it runs elsewhere.
    pub(super) until: Option<Timestamp>,
}
