//! What a worker says of itself.

use mc_types::{JobId, Lent};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// What a worker lends to a coordinator.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Announcement {
    /// Tasks it runs at a time; 0 when it executes nothing.
    pub slots_total: u32,
    /// How many of them are free.
    pub slots_free: u32,
    /// Processor cores.
    pub cpus: u32,
    /// All memory that it lends, in bytes, for those who look for a node.
    pub memory_bytes: u64,
    /// The resources that it lends, and how much of them is free.
    #[serde(default)]
    pub lent: Lent,
    /// Names and values set by its owner.
    pub labels: BTreeMap<String, String>,
    /// The jobs of the coordinator that gets this announcement, as far as they take slots.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub yours: Vec<JobId>,
    /// The [`REVISION`](crate::REVISION) of the protocol that it knows; 0 if it does not say.
    #[serde(default)]
    pub revision: u32,
}
