//! Everything that the swarm does, put together.

use crate::{Options, codec::Codec};
use libp2p::{
    StreamProtocol, autonat, connection_limits, dcutr, identify,
    identity::Keypair,
    kad, mdns, ping, relay,
    request_response::{self, ProtocolSupport},
    swarm::{NetworkBehaviour, behaviour::toggle::Toggle},
};
use std::{num::NonZeroUsize, sync::Arc, time::Duration};

/// The most connections in all, and with one peer: TCP and QUIC in both directions, and tests of whether a peer can be
/// reached.
const MAX_CONNECTIONS: u32 = 2048;
const MAX_CONNECTIONS_PER_PEER: u32 = 8;
/// Most connections that are being made at a time.
const MAX_PENDING: u32 = 256;
/// How long an answer to a request may take. A coordinator answers a worker within 5 s even while it fetches the
/// result.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(10);
/// How many requests of one connection are served at a time.
const MAX_CONCURRENT_REQUESTS: usize = 256;
/// How many records of others are kept, and their size in bytes.
const MAX_RECORDS: usize = 16_384;
const MAX_RECORD_BYTES: usize = 4096;
/// How often a node says again which DAGs it has.
pub(crate) const PROVIDE_EVERY: Duration = Duration::from_secs(40 * 60);
/// The same for the DHT of IPFS, whose members keep records for longer.
const ANNOUNCE_EVERY: Duration = Duration::from_secs(22 * 60 * 60);
/// How many nodes keep a record: enough for it to survive the loss of most of them before it is published again.
const REPLICATION: NonZeroUsize = NonZeroUsize::MIN.saturating_add(9);
/// CIDs that are provided by this node.
const MAX_PROVIDED: usize = 65_536;
/// How often another node is asked to try a new address.
const PROBE_EVERY: Duration = Duration::from_secs(1);
/// What a relay carries. It also serves work, where no direct connection is possible.
const MAX_CIRCUITS: usize = 128;
const MAX_CIRCUITS_PER_PEER: usize = 16;
const MAX_CIRCUIT_BYTES: u64 = 256 << 20;
const MAX_CIRCUIT_TIME: Duration = Duration::from_secs(60 * 60);
/// What members of the DHT of IPFS speak.
pub(crate) const IPFS_KAD: StreamProtocol = StreamProtocol::new("/ipfs/kad/1.0.0");
/// The time between two searches of this node's own neighbourhood in the DHT.
const BOOTSTRAP_EVERY: Duration = Duration::from_secs(300);

#[derive(NetworkBehaviour)]
pub(crate) struct Behaviour {
    limits: connection_limits::Behaviour,
    pub(crate) identify: identify::Behaviour,
    ping: ping::Behaviour,
    pub(crate) kad: kad::Behaviour<kad::store::MemoryStore>,
    /// The DHT of IPFS, if roots are to be announced there.
    pub(crate) ipfs_kad: Toggle<kad::Behaviour<kad::store::MemoryStore>>,
    pub(crate) mdns: Toggle<mdns::tokio::Behaviour>,
    pub(crate) work: request_response::Behaviour<Codec>,
    pub(crate) bitswap: mc_bitswap::Behaviour,
    pub(crate) autonat: autonat::v2::client::Behaviour,
    dial_back: autonat::v2::server::Behaviour,
    pub(crate) relay: relay::Behaviour,
    relayed: relay::client::Behaviour,
    hole_punch: dcutr::Behaviour,
}

/// Longest name of a network.
const MAX_NETWORK_CHARS: usize = 32;

/// What a peer of `network` calls its protocol.
pub(crate) fn protocol_version(network: &str) -> String {
    format!("/mc/{network}/1")
}

/// The network that a peer names in its version in `identify`. The rest of that text is dropped.
pub(crate) fn network_of(protocol_version: &str) -> Option<&str> {
    let (network, _) = protocol_version.strip_prefix("/mc/")?.split_once('/')?;
    let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    let is_name = (1..=MAX_NETWORK_CHARS).contains(&network.len()) && network.chars().all(plain);
    is_name.then_some(network)
}

impl Behaviour {
    pub(crate) fn new(
        key: &Keypair,
        relayed: relay::client::Behaviour,
        options: &Options,
        blocks: Arc<dyn mc_bitswap::BlockStore>,
    ) -> Result<Self, Box<dyn std::error::Error + Send + Sync>> {
        let local = key.public().to_peer_id();
        let network = &options.network;
        let limits = connection_limits::ConnectionLimits::default()
            .with_max_established(Some(MAX_CONNECTIONS))
            .with_max_established_per_peer(Some(MAX_CONNECTIONS_PER_PEER))
            .with_max_pending_incoming(Some(MAX_PENDING))
            .with_max_pending_outgoing(Some(MAX_PENDING));
        let identify = identify::Config::new(protocol_version(network), key.public())
            .with_agent_version(options.agent.clone())
            .with_push_listen_addr_updates(true);
        let work = mc_protocol::protocols(network)
            .map(|name| Ok((StreamProtocol::try_from_owned(name)?, ProtocolSupport::Full)))
            .collect::<Result<Vec<_>, libp2p::swarm::InvalidProtocol>>()?;
        let work_config = request_response::Config::default()
            .with_request_timeout(REQUEST_TIMEOUT)
            .with_max_concurrent_streams(MAX_CONCURRENT_REQUESTS);
        let bitswap = mc_bitswap::Behaviour::new(mc_bitswap::Config::default(), blocks);
        let probes = autonat::v2::client::Config::default().with_probe_interval(PROBE_EVERY);
        Ok(Self {
            limits: connection_limits::Behaviour::new(limits),
            identify: identify::Behaviour::new(identify),
            ping: ping::Behaviour::default(),
            kad: kad(local, options)?,
            ipfs_kad: ipfs_kad(local, options).into(),
            mdns: mdns(options.mdns, local).into(),
            work: request_response::Behaviour::with_codec(Codec, work, work_config),
            bitswap,
            autonat: autonat::v2::client::Behaviour::new(rand::make_rng(), probes),
            dial_back: autonat::v2::server::Behaviour::default(),
            relay: relay::Behaviour::new(local, relay_limits()),
            relayed,
            hole_punch: dcutr::Behaviour::new(local),
        })
    }
}

fn relay_limits() -> relay::Config {
    relay::Config {
        max_circuits: MAX_CIRCUITS,
        max_circuits_per_peer: MAX_CIRCUITS_PER_PEER,
        max_circuit_bytes: MAX_CIRCUIT_BYTES,
        max_circuit_duration: MAX_CIRCUIT_TIME,
        ..relay::Config::default()
    }
}

fn kad(
    local: libp2p::PeerId,
    options: &Options,
) -> Result<kad::Behaviour<kad::store::MemoryStore>, libp2p::swarm::InvalidProtocol> {
    let protocol = format!("/mc/{}/kad/1.0.0", options.network);
    let protocol = StreamProtocol::try_from_owned(protocol)?;
    let mut config = kad::Config::new(protocol);
    // Records of others are checked before they are kept. Only their publishers publish them again.
    config
        .set_replication_factor(REPLICATION)
        .set_replication_interval(None)
        .set_publication_interval(None)
        .set_provider_publication_interval(Some(PROVIDE_EVERY))
        .set_record_filtering(kad::StoreInserts::FilterBoth)
        .set_periodic_bootstrap_interval(Some(BOOTSTRAP_EVERY));
    Ok(kad::Behaviour::with_config(local, store(local), config))
}

fn store(local: libp2p::PeerId) -> kad::store::MemoryStore {
    let config = kad::store::MemoryStoreConfig {
        max_records: MAX_RECORDS,
        max_value_bytes: MAX_RECORD_BYTES,
        max_provided_keys: MAX_PROVIDED,
        ..kad::store::MemoryStoreConfig::default()
    };
    kad::store::MemoryStore::with_config(local, config)
}

/// A client of the DHT of IPFS, if there are peers to start from.
fn ipfs_kad(
    local: libp2p::PeerId,
    options: &Options,
) -> Option<kad::Behaviour<kad::store::MemoryStore>> {
    if options.ipfs_dht.is_empty() {
        return None;
    }
    let mut config = kad::Config::new(IPFS_KAD);
    config
        .set_publication_interval(None)
        .set_replication_interval(None)
        .set_provider_publication_interval(Some(ANNOUNCE_EVERY));
    let mut kad = kad::Behaviour::with_config(local, store(local), config);
    kad.set_mode(Some(kad::Mode::Client));
    Some(kad)
}

/// Discovery on the local network. The node works without it too.
fn mdns(wanted: bool, local: libp2p::PeerId) -> Option<mdns::tokio::Behaviour> {
    let mdns = wanted.then(|| mdns::tokio::Behaviour::new(mdns::Config::default(), local))?;
    mdns.inspect_err(|error| tracing::warn!(%error, "no discovery on the local network"))
        .ok()
}
