//! DAGs that were found to be complete in the store, so that a component which many jobs use is not looked
//! through for each of them.

use mc_types::Cid;
use std::{
    collections::HashSet,
    sync::{Mutex, PoisonError},
};

/// Roots that are remembered.
const MAX_ROOTS: usize = 4096;

#[derive(Debug, Default)]
struct Roots {
    /// What the store had removed when they were looked through.
    removals: u64,
    known: HashSet<Cid>,
}

/// Roots of DAGs that are complete as long as nothing is removed from the store.
#[derive(Debug, Default)]
pub(super) struct Complete(Mutex<Roots>);

impl Complete {
    /// Whether the DAG below `root` is complete, if `removals` is what the store says now.
    pub(super) fn has(&self, root: &Cid, removals: u64) -> bool {
        let roots = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        roots.removals == removals && roots.known.contains(root)
    }

    /// The DAG below `root` is complete, and `removals` is what the store said before it was looked through.
    pub(super) fn add(&self, root: Cid, removals: u64) {
        let mut roots = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if roots.removals < removals {
            roots.removals = removals;
            roots.known.clear();
        }
        if roots.removals == removals && roots.known.len() < MAX_ROOTS {
            roots.known.insert(root);
        }
    }
}
