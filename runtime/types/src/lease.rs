//! The right to run one attempt of one job.

use crate::{JobId, Timestamp};
use serde::{Deserialize, Serialize};

/// Grows with every lease that a ledger grants. A write that carries an older token than the
/// ledger's newest for that job is refused: its author lost the lease.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct FencingToken(pub u64);

impl std::fmt::Display for FencingToken {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(f)
    }
}

/// One attempt, granted to one node until it expires. It is part of a message, so unknown fields are skipped.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lease {
    /// The job.
    pub job: JobId,
    /// Fences this attempt off from the earlier ones.
    pub token: FencingToken,
    /// Number of this attempt, from 1.
    pub attempt: u32,
    /// When it ends unless renewed, by the ledger's clock.
    pub expires: Timestamp,
    /// Length of a term in milliseconds: each heartbeat renews for this long.
    pub ttl_ms: u64,
}
