//! The configuration, complete.

use crate::value::{ByteSize, Period};
use mc_types::{DhtMode, NodeId, Policy};
use serde::{Deserialize, Serialize};
use std::{
    collections::{BTreeMap, BTreeSet},
    net::SocketAddr,
    path::PathBuf,
};

/// Everything that can be configured, complete and checked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Where identity, blocks and ledger are kept.
    pub data_dir: PathBuf,
    /// The network (namespace) that this node belongs to.
    pub network: String,
    /// Base URL of the node that commands talk to; without it, the node of `data_dir`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub node: Option<String>,
    /// The HTTP API.
    #[serde(default)]
    pub api: Api,
    /// Peers.
    pub p2p: P2p,
    /// What this node lends.
    pub worker: Worker,
    /// What this node grants.
    pub lease: Lease,
    /// Where jobs are kept.
    #[serde(default)]
    pub ledger: Ledger,
    /// Blocks.
    pub content: Content,
    /// Who is given the jobs.
    pub placement: Placement,
    /// Compiled components.
    pub cache: Cache,
    /// Compiling components.
    pub compile: Compile,
}

/// `[api]`
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Api {
    /// Where the HTTP API listens; without it, on port 7780 of the loopback interface, or on a
    /// free port when that is taken.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub listen: Option<SocketAddr>,
    /// Host names that clients may use for it, besides that of the machine. Others are refused, since a web page can
    /// point its own name here.
    #[serde(default)]
    pub hosts: Vec<String>,
}

/// `[p2p]`
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct P2p {
    /// Multiaddrs to listen on; without them, TCP and QUIC port 7781 of every interface, or free
    /// ports when those are taken.
    pub listen: Vec<String>,
    /// Multiaddrs of peers to connect to at start, each ending in `/p2p/<id>`.
    pub bootstrap: Vec<String>,
    /// Whether peers on the local network are found without bootstrap.
    pub mdns: bool,
    /// The part that this node takes in the DHT: `auto`, `server` or `client`.
    pub dht: DhtMode,
    /// Whether to act as a relay for peers that cannot reach each other, if they can reach this node.
    pub relay: bool,
    /// Whether to exchange blocks with IPFS nodes.
    pub ipfs: bool,
    /// Multiaddrs of peers of the DHT of IPFS, each ending in `/p2p/<id>`, through which this node joins it.
    pub ipfs_dht: Vec<String>,
}

/// `[content]`
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Content {
    /// Base URLs of HTTP gateways of IPFS to ask for blocks that no peer has.
    pub gateways: Vec<String>,
    /// Most bytes of blocks; beyond it, blocks that no pin needs are evicted. Without it, four fifths of the room that
    /// the disk had for them at start.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max: Option<ByteSize>,
}

/// `[worker]`
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Worker {
    /// Whether this node runs tasks at all.
    pub execute: bool,
    /// How many tasks it runs at a time; without it, one per processor core.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub slots: Option<u32>,
    /// Most memory of all tasks together; without it, four fifths of the machine's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub memory: Option<ByteSize>,
    /// Most disk for the files that tasks write, together; without it, as much as [`Self::disk`] says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scratch: Option<ByteSize>,
    /// Most disk for the output streams of all tasks together; without it, as much as [`Self::disk`] says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub output: Option<ByteSize>,
    /// Most disk for both together; without it, four fifths of what the disk had free at start.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub disk: Option<ByteSize>,
    /// Longest time of one attempt; without it, as long as the job allows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub attempt_time: Option<Period>,
    /// Most memory of all compilers together, but one may always run; without it, as much as tasks may take.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub compile_memory: Option<ByteSize>,
    /// Names and values that describe this node to others.
    pub labels: BTreeMap<String, String>,
    /// For how many terms of its lease the coordinators of a task may be silent before it is ended with a
    /// checkpoint, so that it does not keep a slot for ever.
    pub silent_terms: u32,
}

/// `[lease]`
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Lease {
    /// How long a node may be silent before its task is given to another.
    pub ttl: Period,
}

/// `[placement]`
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Placement {
    /// By which rule jobs are placed that name none.
    pub policy: Policy,
    /// Multiaddrs, each ending in `/p2p/<id>`, of nodes that get work before others under the policy `local-first`.
    /// This node connects to them at start, as to all in these lists.
    pub children: Vec<String>,
    /// Of nodes that get work when neither this one nor its children have room.
    pub peers: Vec<String>,
    /// Of the node whose child this is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parent: Option<String>,
}

/// `[ledger]`
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Ledger {
    /// URL of a PostgreSQL database, which several nodes may use at a time; without it, an SQLite file in
    /// the data directory.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
    /// For how long jobs are kept after they have ended, with their results; without it, for ever.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub keep: Option<Period>,
    /// A file to which old jobs are appended as lines of JSON before they are removed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub archive: Option<PathBuf>,
}

/// `[cache]`
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Cache {
    /// Where compiled components are kept. May be shared by several nodes.
    pub dir: PathBuf,
    /// How large the directory may grow.
    pub max: ByteSize,
}

/// `[compile]`
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Compile {
    /// Largest component that this node compiles.
    pub max_component: ByteSize,
    /// Longest time that compiling one may take.
    pub time: Period,
    /// Most address space that compiling one may take.
    pub memory: ByteSize,
    /// Most compiled code of one.
    pub max_code: ByteSize,
}

impl Config {
    /// The addresses of all peers that a node connects to at start.
    #[must_use]
    pub fn bootstrap(&self) -> Vec<String> {
        [self.p2p.bootstrap.clone(), self.placement.addresses()].concat()
    }
}

impl Placement {
    /// The addresses of each setting.
    pub(crate) fn lists(&self) -> [(&'static str, Vec<String>); 3] {
        [
            ("placement.children", self.children.clone()),
            ("placement.peers", self.peers.clone()),
            ("placement.parent", self.parent.iter().cloned().collect()),
        ]
    }

    /// All addresses of those that are near.
    #[must_use]
    pub fn addresses(&self) -> Vec<String> {
        let lists = self.lists().into_iter();
        lists.flat_map(|(_, addresses)| addresses).collect()
    }

    /// The nodes that are named by `addresses`.
    #[must_use]
    pub fn ids(addresses: &[String]) -> BTreeSet<NodeId> {
        addresses
            .iter()
            .filter_map(|address| id_in(address))
            .collect()
    }
}

/// The node that a multiaddr ends in.
pub(crate) fn id_in(address: &str) -> Option<NodeId> {
    let (place, id) = address.rsplit_once("/p2p/")?;
    (place.is_empty() || place.starts_with('/')).then_some(())?;
    id.parse().ok()
}
