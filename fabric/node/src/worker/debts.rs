//! What coordinators have not acknowledged: how much of it is kept for each of them.

use mc_types::NodeId;
use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

/// Endings that one coordinator may owe an answer to: more than a busy one has on their way. One that owes more gets
/// no more work done.
const MAX_ENDINGS: u64 = 1024;
/// Bytes of what is kept for one coordinator since it does not answer: results and checkpoints.
const MAX_BYTES: u64 = 4 << 30;
/// How many times as much is kept for all of them: anybody can be several.
const ALL: u64 = 4;

/// What one coordinator owes an answer to.
#[derive(Debug, Clone, Copy, Default)]
struct Debt {
    endings: u64,
    bytes: u64,
}

impl Debt {
    const fn is_more_than(self, times: u64) -> bool {
        self.endings >= MAX_ENDINGS * times || self.bytes >= MAX_BYTES * times
    }
}

/// What all coordinators owe answers to.
#[derive(Debug, Default)]
pub(super) struct Debts(Mutex<HashMap<NodeId, Debt>>);

impl Debts {
    fn all(&self) -> MutexGuard<'_, HashMap<NodeId, Debt>> {
        // Every update leaves numbers that are about right, so a poisoned map is still of use.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Endings that wait for an answer.
    pub(super) fn endings(&self) -> u64 {
        self.all().values().map(|debt| debt.endings).sum()
    }

    /// Why a coordinator gets no more work done for now.
    pub(super) fn refusal(&self, coordinator: &NodeId) -> Option<&'static str> {
        let all = self.all();
        let own = all.get(coordinator).copied().unwrap_or_default();
        if own.is_more_than(1) {
            return Some("too much waits for this coordinator to acknowledge it");
        }
        let together = all.values().fold(Debt::default(), |sum, debt| Debt {
            endings: sum.endings + debt.endings,
            bytes: sum.bytes.saturating_add(debt.bytes),
        });
        let is_full = together.is_more_than(ALL);
        is_full.then_some("too much waits for coordinators to acknowledge it")
    }

    /// An ending waits for an answer until what is given is dropped.
    pub(super) fn add(self: &Arc<Self>, coordinator: NodeId) -> Entry {
        self.all().entry(coordinator.clone()).or_default().endings += 1;
        Entry {
            debts: Arc::clone(self),
            coordinator,
            bytes: 0,
        }
    }
}

/// An ending that waits for an answer.
#[derive(Debug)]
pub(super) struct Entry {
    debts: Arc<Debts>,
    coordinator: NodeId,
    bytes: u64,
}

impl Entry {
    /// So many bytes are kept for it.
    pub(super) fn weighs(&mut self, bytes: u64) {
        let mut all = self.debts.all();
        let debt = all.entry(self.coordinator.clone()).or_default();
        debt.bytes = debt.bytes.saturating_sub(self.bytes).saturating_add(bytes);
        self.bytes = bytes;
    }
}

impl Drop for Entry {
    fn drop(&mut self) {
        let mut all = self.debts.all();
        if let Some(debt) = all.get_mut(&self.coordinator) {
            debt.endings = debt.endings.saturating_sub(1);
            debt.bytes = debt.bytes.saturating_sub(self.bytes);
            if debt.endings == 0 {
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
        let debts = Arc::<Debts>::default();
        let (silent, other) = (coordinator(1), coordinator(2));
        let mut owed: Vec<_> = (0..MAX_ENDINGS)
            .map(|_| debts.add(silent.clone()))
            .collect();
        assert!(debts.refusal(&silent).is_some());
        assert_eq!(debts.refusal(&other), None);
        owed.pop();
        assert_eq!(debts.refusal(&silent), None);
        assert_eq!(debts.endings(), MAX_ENDINGS - 1);
        drop(owed);
        assert!(debts.all().is_empty());
    }

    #[test]
    fn bytes_that_are_kept_count_and_so_do_those_of_all_together() {
        let debts = Arc::<Debts>::default();
        let mut large = debts.add(coordinator(0));
        large.weighs(MAX_BYTES - 1);
        assert_eq!(debts.refusal(&coordinator(0)), None);
        large.weighs(MAX_BYTES);
        assert!(debts.refusal(&coordinator(0)).is_some());
        let more: Vec<_> = (1..ALL)
            .map(|n| {
                let mut entry = debts.add(coordinator(n));
                entry.weighs(MAX_BYTES);
                entry
            })
            .collect();
        assert!(debts.refusal(&coordinator(99)).is_some(), "whoever it is");
        drop(more);
        assert_eq!(debts.refusal(&coordinator(99)), None);
    }
}
