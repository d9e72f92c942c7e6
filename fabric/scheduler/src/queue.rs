//! The jobs that wait for a worker.

use mc_types::{JobId, NodeId, Timestamp};
use std::collections::{BTreeMap, BTreeSet};

/// Which jobs may be placed, in the order in which they may: oldest first.
///
/// Jobs that only one node may run wait in a line of their own, so that a line for an absent node
/// holds up nobody else.
#[derive(Debug, Default)]
pub(crate) struct Queue {
    anywhere: BTreeSet<JobId>,
    pinned: BTreeMap<NodeId, BTreeSet<JobId>>,
    /// Jobs that wait for their back-off to end.
    later: BTreeSet<(Timestamp, JobId)>,
}

impl Queue {
    /// Puts a job into its line at once.
    pub(crate) fn push(&mut self, job: JobId, target: Option<&NodeId>) {
        match target {
            None => self.anywhere.insert(job),
            Some(node) => self.pinned.entry(node.clone()).or_default().insert(job),
        };
    }

    /// Puts a job aside until `when`.
    pub(crate) fn push_later(&mut self, job: JobId, when: Timestamp) {
        self.later.insert((when, job));
    }

    /// Takes a job out, wherever it waits.
    pub(crate) fn remove(&mut self, job: JobId, target: Option<&NodeId>, not_before: Timestamp) {
        self.later.remove(&(not_before, job));
        match target {
            None => {
                self.anywhere.remove(&job);
            }
            Some(node) => {
                if let Some(line) = self.pinned.get_mut(node) {
                    line.remove(&job);
                    if line.is_empty() {
                        self.pinned.remove(node);
                    }
                }
            }
        }
    }

    /// The jobs whose back-off has ended by `now`.
    pub(crate) fn take_due(&mut self, now: Timestamp) -> Vec<JobId> {
        let mut due = Vec::new();
        while let Some(first) = self.later.first().copied().filter(|(when, _)| *when <= now) {
            self.later.remove(&first);
            due.push(first.1);
        }
        due
    }

    /// When the next back-off ends.
    pub(crate) fn next_due(&self) -> Option<Timestamp> {
        self.later.first().map(|(when, _)| *when)
    }

    /// The first `limit` jobs that any node may run.
    pub(crate) fn anywhere(&self, limit: usize) -> Vec<JobId> {
        self.anywhere.iter().take(limit).copied().collect()
    }

    /// The first `limit` jobs that only `node` may run.
    pub(crate) fn pinned(&self, node: &NodeId, limit: usize) -> Vec<JobId> {
        self.pinned
            .get(node)
            .into_iter()
            .flatten()
            .take(limit)
            .copied()
            .collect()
    }
}
