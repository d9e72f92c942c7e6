//! How a node takes part in a network.

use libp2p::Multiaddr;
use mc_types::DhtMode;
use std::{path::PathBuf, time::Duration};

/// How a node takes part in a network.
#[derive(Debug, Clone)]
pub struct Options {
    /// The network: 1 to 32 of the characters a-z, 0-9 and -.
    pub network: String,
    /// Where to listen.
    pub listen: Vec<Multiaddr>,
    /// Peers to connect to, with their ids.
    pub bootstrap: Vec<Multiaddr>,
    /// A file in which connected peers are remembered, to be dialled when there are no others.
    pub peer_cache: Option<PathBuf>,
    /// Whether to find peers on the local network.
    pub mdns: bool,
    /// The part that this node takes in the DHT.
    pub dht: DhtMode,
    /// Whether to act as a relay for peers that cannot reach each other.
    pub relay: bool,
    /// Whether to exchange blocks with IPFS nodes. Otherwise their connections are closed.
    pub ipfs: bool,
    /// Peers of the DHT of IPFS to start from, with their ids. Pinned roots are announced there. If empty, that DHT is
    /// not used.
    pub ipfs_dht: Vec<Multiaddr>,
    /// What this node calls itself.
    pub agent: String,
    /// A search for blocks ends after this time without a block.
    pub fetch_timeout: Duration,
}
