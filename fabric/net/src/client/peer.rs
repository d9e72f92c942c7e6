//! Known peers, and their records in the DHT.

use mc_types::NodeId;
use std::time::Duration;

/// What is known about a peer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PeerInfo {
    /// Its id.
    pub id: NodeId,
    /// Where it may be reached.
    pub addresses: Vec<String>,
    /// What it calls itself, if it is connected.
    pub agent: Option<String>,
    /// The last measured round trip.
    pub rtt: Option<Duration>,
    /// Whether all connections with it lead over another node.
    pub is_relayed: bool,
}

/// A record of the DHT. Its content is a claim of its publisher.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DhtRecord {
    /// Its value.
    pub value: Vec<u8>,
    /// Who claims to have published it.
    pub publisher: Option<NodeId>,
}
