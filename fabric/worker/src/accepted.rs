//! An attempt that was accepted.

use crate::{controls::Controls, coordinators::Coordinators, kept::LeftCheckpoint, known::Known};
use mc_content::TaskKey;
use mc_execution::LogFiles;
use mc_types::{Cid, JobSpec, Lease};

/// An accepted offer.
#[derive(Debug)]
pub(crate) struct Accepted {
    /// What this node tells about it.
    pub(crate) known: Known,
    pub(crate) coordinators: Coordinators,
    pub(crate) lease: Lease,
    /// The lease, as the coordinator signed it.
    pub(crate) grant: Vec<u8>,
    /// The key of a private task.
    pub(crate) key: Option<TaskKey>,
    pub(crate) spec: JobSpec,
    /// Checkpoints of earlier attempts, newest first.
    pub(crate) checkpoints: Vec<Cid>,
    pub(crate) controls: Controls,
    pub(crate) logs: LogFiles,
}

impl Accepted {
    /// The newest checkpoint that it has stored here.
    pub(crate) fn left(&self) -> Option<LeftCheckpoint> {
        let newest = *self.controls.newest.borrow();
        newest.map(|(cid, position)| LeftCheckpoint {
            cid,
            position,
            attempt: self.lease.attempt,
        })
    }
}
