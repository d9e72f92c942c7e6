//! The leases of one worker, and what is reserved there for them.

use mc_types::{JobId, Resources, Timestamp};
use std::collections::BTreeMap;

/// A lease.
#[derive(Debug, Clone, Copy)]
pub(super) struct Held {
    pub(super) granted: Timestamp,
    /// What the worker keeps for it.
    pub(super) reserved: Resources,
}

/// The leases of one worker.
#[derive(Debug, Default)]
pub(super) struct Leases {
    held: BTreeMap<JobId, Held>,
    /// What is reserved for all of them together.
    reserved: Resources,
}

impl Leases {
    pub(super) fn insert(&mut self, job: JobId, held: Held) {
        self.held.insert(job, held);
        self.count();
    }

    pub(super) fn remove(&mut self, job: &JobId) -> Option<Held> {
        let held = self.held.remove(job)?;
        self.count();
        Some(held)
    }

    /// Added up each time, because subtracting from a sum that was cut off at its maximum would give a wrong result.
    fn count(&mut self) {
        self.reserved = self.held.values().map(|held| held.reserved).sum();
    }

    pub(super) const fn reserved(&self) -> Resources {
        self.reserved
    }

    pub(super) fn contains(&self, job: &JobId) -> bool {
        self.held.contains_key(job)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.held.is_empty()
    }

    pub(super) fn jobs(&self) -> impl Iterator<Item = JobId> {
        self.held.keys().copied()
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (JobId, Held)> {
        self.held.iter().map(|(job, held)| (*job, *held))
    }
}
