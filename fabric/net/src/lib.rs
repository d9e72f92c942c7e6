//! The libp2p side of a node: peers, requests about work, blocks, the DHT.
//!
//! [`start`] gives a [`NetworkHandle`], a cheap handle, and the requests of others. One task owns the swarm
//! and everything that depends on it; handles talk to it through bounded queues.
//!
//! # Invariants
//!
//! * Peers of another network are disconnected as soon as they say so, and never enter the DHT.
//! * The DHT gives hints. A node believes none without asking the peer that it names.
//! * Every queue and every message is bounded.

mod address;
mod behaviour;
mod client;
mod codec;
pub mod dht;
mod ended;
pub mod envelope;
mod error;
mod event_loop;
mod identity;
mod options;
mod reach;
mod swarm;

pub use client::{DhtRecord, InboundRequest, NetworkHandle, PeerInfo, Reply, Session};
pub use error::{ConnectError, Error, FetchError};
pub use identity::{Identity, is_node};
pub use libp2p::Multiaddr;
pub use mc_bitswap::{BlockStore, NoBlocks, StoreError};
pub use mc_types::DhtMode;
pub use options::Options;
pub use swarm::{Started, start};
