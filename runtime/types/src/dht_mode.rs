//! The part that a node takes in the DHT.

use serde::{Deserialize, Serialize};

/// The part that a node takes in the DHT.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum DhtMode {
    /// It asks and publishes, and keeps records for others once they can connect to it. A node without configured peers
    /// begins the network, and keeps records from the start.
    #[default]
    Auto,
    /// It keeps records for others and answers their questions. This needs an address that they can reach.
    Server,
    /// It only asks and publishes.
    Client,
}
