//! DAGs that are known to be complete in the store, so that a component that many jobs use is not walked for each of
//! them.

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
    /// Whether the DAG below `root` is complete. `removals` is the store's current count.
    pub(super) fn has(&self, root: &Cid, removals: u64) -> bool {
        let roots = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        roots.removals == removals && roots.known.contains(root)
    }

    /// Records that the DAG below `root` is complete. `removals` is the store's count before the walk.
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

#[cfg(test)]
mod tests {
    use super::*;
    use mc_types::cid;

    fn root(number: usize) -> Cid {
        cid::of(cid::RAW, number.to_string().as_bytes())
    }

    #[test]
    fn what_was_complete_is_looked_through_again_once_something_was_removed() {
        let complete = Complete::default();
        assert!(!complete.has(&root(1), 0));
        complete.add(root(1), 0);
        assert!(complete.has(&root(1), 0) && !complete.has(&root(2), 0));
        assert!(!complete.has(&root(1), 1));
        complete.add(root(2), 1);
        assert!(complete.has(&root(2), 1) && !complete.has(&root(1), 1));
        // Something was removed while it was looked through.
        complete.add(root(3), 0);
        assert!(!complete.has(&root(3), 0) && !complete.has(&root(3), 1));
    }

    #[test]
    fn no_more_roots_are_remembered_than_there_may_be() {
        let complete = Complete::default();
        (0..=MAX_ROOTS).for_each(|number| complete.add(root(number), 0));
        assert!(complete.has(&root(MAX_ROOTS - 1), 0));
        assert!(!complete.has(&root(MAX_ROOTS), 0));
    }
}
