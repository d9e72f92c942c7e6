//! Whose turn it is.

use super::units::count;
use crate::JobId;
use serde::{Deserialize, Serialize};
use std::fmt;

/// Who goes first.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Turn {
    /// Jobs that go first because of their priority.
    pub higher: u32,
    /// Jobs of other submitters whose turn it is.
    pub others: u32,
    /// Earlier jobs of the same submitter.
    pub own: u32,
    /// Whether these were not counted to the end; then `others` has all that were counted.
    pub more: bool,
    /// The first of them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub first: Option<JobId>,
}

impl Turn {
    /// How many jobs go first.
    #[must_use]
    pub const fn ahead(&self) -> u32 {
        self.higher
            .saturating_add(self.others)
            .saturating_add(self.own)
    }
}

impl fmt::Display for Turn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.ahead() == 0 {
            return f.write_str("it is the next");
        }
        let parts = [
            (self.higher, "of higher priority"),
            (self.others, "of other submitters"),
            (self.own, "of the same submitter"),
        ];
        let parts: Vec<_> = parts
            .iter()
            .filter(|(jobs, _)| *jobs > 0)
            .map(|(jobs, whose)| format!("{jobs} {whose}"))
            .collect();
        let jobs = count(self.ahead(), "job goes", "jobs go");
        if self.more {
            return write!(f, "more than {jobs} first");
        }
        write!(f, "{jobs} first: {}", parts.join(", "))
    }
}
