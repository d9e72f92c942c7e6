//! How much is kept here of what coordinators have not acknowledged, for each of them.

use mc_types::NodeId;
use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

/// Endings that may wait for one coordinator: more than a busy one has on their way. One that leaves more of them waiting
/// gets no more work done.
const MAX_ENDINGS: u64 = 1024;
/// Bytes of results and checkpoints that are kept for one coordinator that does not answer.
const MAX_BYTES: u64 = 4 << 30;
/// How many times as much is kept for all of them, since one party can pose as several.
const ALL: u64 = 4;

/// What waits for one coordinator.
#[derive(Debug, Clone, Copy, Default)]
struct Waiting {
    endings: u64,
    bytes: u64,
}

impl Waiting {
    const fn is_more_than(self, times: u64) -> bool {
        self.endings >= MAX_ENDINGS * times || self.bytes >= MAX_BYTES * times
    }
}

/// What waits for all coordinators.
#[derive(Debug, Default)]
pub(crate) struct Backlog(Mutex<HashMap<NodeId, Waiting>>);

impl Backlog {
    fn all(&self) -> MutexGuard<'_, HashMap<NodeId, Waiting>> {
        // Every update leaves numbers that are about right, so a poisoned map is still usable.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Endings that wait for an answer.
    pub(crate) fn endings(&self) -> u64 {
        self.all().values().map(|waiting| waiting.endings).sum()
    }

    /// Why a coordinator gets no more work done for now.
    pub(crate) fn refusal(&self, coordinator: &NodeId) -> Option<&'static str> {
        let all = self.all();
        let own = all.get(coordinator).copied().unwrap_or_default();
        if own.is_more_than(1) {
            return Some("too much waits for this coordinator to acknowledge it");
        }
        let together = all
            .values()
            .fold(Waiting::default(), |sum, waiting| Waiting {
                endings: sum.endings + waiting.endings,
                bytes: sum.bytes.saturating_add(waiting.bytes),
            });
        let is_full = together.is_more_than(ALL);
        is_full.then_some("too much waits for coordinators to acknowledge it")
    }

    /// An ending counts as unanswered until the returned value is dropped.
    pub(crate) fn add(self: &Arc<Self>, coordinator: NodeId) -> Entry {
        self.all().entry(coordinator.clone()).or_default().endings += 1;
        Entry {
            backlog: Arc::clone(self),
            coordinator,
            bytes: 0,
        }
    }
}

/// An ending that waits for an answer.
#[derive(Debug)]
pub(crate) struct Entry {
    backlog: Arc<Backlog>,
    coordinator: NodeId,
    bytes: u64,
}

impl Entry {
    /// So many bytes are kept for it.
    pub(crate) fn weighs(&mut self, bytes: u64) {
        let mut all = self.backlog.all();
        let waiting = all.entry(self.coordinator.clone()).or_default();
        waiting.bytes = waiting
            .bytes
            .saturating_sub(self.bytes)
            .saturating_add(bytes);
        self.bytes = bytes;
    }
}

impl Drop for Entry {
    fn drop(&mut self) {
        let mut all = self.backlog.all();
        if let Some(waiting) = all.get_mut(&self.coordinator) {
            waiting.endings = waiting.endings.saturating_sub(1);
            waiting.bytes = waiting.bytes.saturating_sub(self.bytes);
            if waiting.endings == 0 {
                all.remove(&self.coordinator);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn coordinator(n: u64) -> NodeId {
        format!("12D3KooW{}", n + 11)
            .replace('0', "z")
            .parse()
            .unwrap()
    }

    #[test]
    fn who_acknowledges_nothing_gets_no_more_work_done_until_it_does() {
        let backlog = Arc::<Backlog>::default();
        let (silent, other) = (coordinator(1), coordinator(2));
        let mut owed: Vec<_> = (0..MAX_ENDINGS)
            .map(|_| backlog.add(silent.clone()))
            .collect();
        assert!(backlog.refusal(&silent).is_some());
        assert_eq!(backlog.refusal(&other), None);
        owed.pop();
        assert_eq!(backlog.refusal(&silent), None);
        assert_eq!(backlog.endings(), MAX_ENDINGS - 1);
        drop(owed);
        assert!(backlog.all().is_empty());
    }

    #[test]
    fn bytes_that_are_kept_count_and_so_do_those_of_all_together() {
        let backlog = Arc::<Backlog>::default();
        let mut large = backlog.add(coordinator(0));
        large.weighs(MAX_BYTES - 1);
        assert_eq!(backlog.refusal(&coordinator(0)), None);
        large.weighs(MAX_BYTES);
        assert!(backlog.refusal(&coordinator(0)).is_some());
        let more: Vec<_> = (1..ALL)
            .map(|n| {
                let mut entry = backlog.add(coordinator(n));
                entry.weighs(MAX_BYTES);
                entry
            })
            .collect();
        assert!(backlog.refusal(&coordinator(99)).is_some(), "whoever it is");
        drop(more);
        assert_eq!(backlog.refusal(&coordinator(99)), None);
    }
}
