//! What an execution used, as one machine measured it.

use serde::{Deserialize, Serialize};

/// Measurements of one execution. Only `fuel` is the same on every peer, and only it is in the
/// [`Outcome`](crate::Outcome) too. It is part of messages, so unknown fields are skipped.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Usage {
    /// Units of fuel.
    pub fuel: u64,
    /// Highest total of linear memory, in bytes.
    pub memory_peak_bytes: u64,
    /// Time from instantiation to the end, in milliseconds.
    pub wall_ms: u64,
}
