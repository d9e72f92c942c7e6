//! Chance that can be repeated.

use super::lock;
use std::{sync::Mutex, time::Duration};

/// A small generator whose sequence is fixed by its seed (SplitMix64).
#[derive(Debug)]
pub(crate) struct Random(Mutex<u64>);

impl Random {
    pub(crate) const fn new(seed: u64) -> Self {
        Self(Mutex::new(seed))
    }

    fn next(&self) -> u64 {
        let mut state = lock(&self.0);
        *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = *state;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    pub(crate) fn below(&self, n: u64) -> u64 {
        self.next() % n.max(1)
    }

    pub(crate) fn chance(&self, percent: u64) -> bool {
        self.below(100) < percent
    }

    /// A time shorter than `most` milliseconds, and no less than one.
    pub(crate) fn millis(&self, most: u64) -> Duration {
        Duration::from_millis(1 + self.below(most))
    }

    /// One of some things, if there are any.
    pub(crate) fn one_of<T: Clone>(&self, things: &[T]) -> Option<T> {
        let any = usize::try_from(self.below(1 << 30)).unwrap_or_default();
        things.get(any % things.len().max(1)).cloned()
    }
}
