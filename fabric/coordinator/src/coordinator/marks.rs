//! Work in progress, so that no request begins it a second time meanwhile.

use std::{
    collections::HashSet,
    hash::Hash,
    sync::{Mutex, MutexGuard, PoisonError},
};

/// Keys of what is under way.
#[derive(Debug)]
pub(super) struct Marks<K>(Mutex<HashSet<K>>);

/// Marks something as under way until it is dropped.
#[derive(Debug)]
pub(super) struct Mark<'m, K: Eq + Hash> {
    marks: &'m Marks<K>,
    key: K,
}

impl<K> Default for Marks<K> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

impl<K: Eq + Hash + Copy> Marks<K> {
    /// `None` when it is under way already.
    pub(super) fn begin(&self, key: K) -> Option<Mark<'_, K>> {
        // Only if it is new: what is dropped ends the mark.
        let is_new = self.keys().insert(key);
        is_new.then(|| Mark { marks: self, key })
    }
}

impl<K> Marks<K> {
    fn keys(&self) -> MutexGuard<'_, HashSet<K>> {
        // Every update is a single insertion or removal, so a poisoned set is still consistent.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<K: Eq + Hash> Drop for Mark<'_, K> {
    fn drop(&mut self) {
        self.marks.keys().remove(&self.key);
    }
}
