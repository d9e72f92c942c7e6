//! Whether others can connect to a node.

use crate::NodeId;
use serde::{Deserialize, Serialize};

/// Whether others can connect to a node, as far as is known from their tries.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(tag = "state", rename_all = "snake_case")]
pub enum Reachability {
    /// Nobody has tried yet.
    #[default]
    Unknown,
    /// They can.
    Direct {
        /// Multiaddrs at which another node reached it.
        addresses: Vec<String>,
    },
    /// They cannot: a router or a firewall is in between.
    Indirect {
        /// The nodes through which they can nevertheless.
        relays: Vec<NodeId>,
    },
}
