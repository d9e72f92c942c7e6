//! What is written together.

use mc_types::JobRecord;

/// What is written in one transaction, all of it or nothing. What else has to be as durable as a job's end, such as what
/// it cost, is a field here.
#[derive(Debug, Clone, Copy, Default)]
pub struct Batch<'b> {
    /// Records of jobs of this node. Each job may occur once.
    pub jobs: &'b [JobRecord],
}
