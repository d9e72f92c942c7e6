//! What a task may use at most. Limits are part of the task, since they can decide its outcome.

use serde::{Deserialize, Serialize};

/// The most linear memory that a task may ask for, in bytes: all that 32-bit wasm can address.
pub const MAX_MEMORY_BYTES: u64 = 1 << 32;

/// Bounds on one execution. Exceeding one is an outcome, the same on every honest peer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Limits {
    /// Most units of fuel (about one per wasm operator); absent means not limited, still counted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fuel: Option<u64>,
    /// Most linear memory of all instances together, in bytes. Default 1 GiB.
    pub memory_bytes: u64,
    /// Most bytes that standard output, standard error and `/out` may hold together. Default 1 GiB.
    pub output_bytes: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            fuel: None,
            memory_bytes: 1 << 30,
            output_bytes: 1 << 30,
        }
    }
}
