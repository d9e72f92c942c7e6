//! The most that a worker lends, whatever coordinators and jobs ask for.

use mc_types::{Lent, Resources};
use std::time::Duration;

/// What a worker lends at most.
#[derive(Debug, Clone)]
pub struct Caps {
    /// In all.
    pub total: Resources,
    /// Of the disk, for all purposes together, in bytes.
    pub disk_bytes: u64,
    /// Of the time of one attempt.
    pub attempt: Option<Duration>,
}

impl Caps {
    /// What it says of that while nothing runs.
    #[must_use]
    pub fn lent(&self) -> Lent {
        let millis = |time: Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
        Lent {
            total: self.total,
            free: self.total,
            attempt_millis: self.attempt.map(millis),
        }
    }
}
