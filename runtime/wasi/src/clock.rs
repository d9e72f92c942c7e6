//! Time, which passes by computing and by sleeping.

use serde::{Deserialize, Serialize};

/// Where time starts unless the task says otherwise: 2026-01-01T00:00:00Z, in seconds since 1970.
pub const DEFAULT_START_SECONDS: u64 = 1_767_225_600;
/// Most seconds since 1970 that count as nanoseconds in 64 bits.
pub const MAX_START_SECONDS: u64 = u64::MAX / NANOS_PER_SECOND / 2;
/// Nanoseconds in a second.
pub const NANOS_PER_SECOND: u64 = 1_000_000_000;

/// A clock that every peer reads alike: it shows the fuel used so far, one nanosecond for each unit,
/// plus the time slept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Clock {
    start_ns: u64,
    slept_ns: u64,
}

impl Clock {
    pub(crate) const fn new(start_seconds: u64) -> Self {
        Self {
            start_ns: start_seconds.saturating_mul(NANOS_PER_SECOND),
            slept_ns: 0,
        }
    }

    /// Whether this is a clock that began as `other` did.
    pub(crate) const fn starts_with(&self, other: &Self) -> bool {
        self.start_ns == other.start_ns
    }

    /// Nanoseconds since the task began, when it has used `fuel`.
    pub(crate) const fn monotonic(&self, fuel: u64) -> u64 {
        self.slept_ns.saturating_add(fuel)
    }

    /// Nanoseconds since 1970.
    pub(crate) const fn wall(&self, fuel: u64) -> u64 {
        self.start_ns.saturating_add(self.monotonic(fuel))
    }

    /// Sleeps until `deadline` on the monotonic clock; not at all if that has passed.
    pub(crate) const fn sleep_until(&mut self, deadline: u64, fuel: u64) {
        let rest = deadline.saturating_sub(self.monotonic(fuel));
        self.slept_ns = self.slept_ns.saturating_add(rest);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sleeping_into_the_past_takes_no_time() {
        let mut clock = Clock::new(1);
        clock.sleep_until(50, 100);
        assert_eq!(clock.monotonic(100), 100);
        clock.sleep_until(500, 100);
        assert_eq!(clock.monotonic(100), 500);
        assert_eq!(clock.wall(110), 1_000_000_510);
    }

    #[test]
    fn sleeping_for_ever_saturates() {
        let mut clock = Clock::new(MAX_START_SECONDS);
        clock.sleep_until(u64::MAX, 7);
        clock.sleep_until(u64::MAX, 9);
        assert_eq!(clock.wall(u64::MAX), u64::MAX);
    }
}
