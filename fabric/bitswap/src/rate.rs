//! How often a peer may do something.

use std::time::{Duration, Instant};

/// So many seconds' worth may be spent at once.
const BURST_SECONDS: u64 = 4;

/// A limit per second. A caller that spends more at once waits longer afterwards.
#[derive(Debug)]
pub(crate) struct Rate {
    per_second: u64,
    /// Thousandths that are left.
    left: i64,
    seen: Instant,
}

impl Rate {
    pub(crate) fn new(per_second: u32, now: Instant) -> Self {
        let per_second = u64::from(per_second).max(1);
        Self {
            per_second,
            left: thousandths(per_second * BURST_SECONDS),
            seen: now,
        }
    }

    fn pass(&mut self, now: Instant) {
        let passed = now.saturating_duration_since(self.seen).as_millis();
        let passed = u64::try_from(passed).unwrap_or(u64::MAX);
        if passed == 0 {
            return;
        }
        // What is less than a millisecond is kept for the next time.
        let passed_whole = Duration::from_millis(passed);
        self.seen = self.seen.checked_add(passed_whole).unwrap_or(now);
        let gained = passed.saturating_mul(self.per_second);
        let gained = i64::try_from(gained).unwrap_or(i64::MAX);
        let most = thousandths(self.per_second * BURST_SECONDS);
        self.left = self.left.saturating_add(gained).min(most);
    }

    /// Records that this many were done.
    pub(crate) fn spend(&mut self, count: usize, now: Instant) {
        self.pass(now);
        let count = u64::try_from(count).unwrap_or(u64::MAX);
        self.left = self.left.saturating_sub(thousandths(count));
    }

    /// How long to wait before the next one.
    pub(crate) fn wait(&mut self, now: Instant) -> Duration {
        self.pass(now);
        let missing = self.left.min(0).unsigned_abs();
        Duration::from_millis(missing.div_ceil(self.per_second))
    }
}

fn thousandths(count: u64) -> i64 {
    i64::try_from(count.saturating_mul(1000)).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_spent_beyond_a_burst_is_waited_for() {
        let begin = Instant::now();
        let mut rate = Rate::new(100, begin);
        rate.spend(400, begin);
        assert_eq!(rate.wait(begin), Duration::ZERO);
        rate.spend(50, begin);
        assert_eq!(rate.wait(begin), Duration::from_millis(500));
        assert_eq!(
            rate.wait(begin + Duration::from_millis(499)),
            Duration::from_millis(1)
        );
        let later = begin + Duration::from_secs(3600);
        assert_eq!(rate.wait(later), Duration::ZERO);
        // A quiet hour does not allow more than a burst.
        rate.spend(500, later);
        assert_eq!(rate.wait(later), Duration::from_secs(1));
        rate.spend(usize::MAX, later);
        assert!(rate.wait(later) > Duration::from_secs(1_000_000));
    }

    #[test]
    fn many_short_times_are_as_long_as_one() {
        let begin = Instant::now();
        let mut rate = Rate::new(1000, begin);
        rate.spend(5000, begin);
        for micros in (0..1_000_000).step_by(300) {
            rate.wait(begin + Duration::from_micros(micros));
        }
        let end = begin + Duration::from_secs(1);
        assert!(rate.wait(end) <= Duration::from_millis(1));
    }
}
