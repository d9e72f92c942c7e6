//! Everything that the swarm does, put together.

use crate::{codec::Codec, swarm::Options};
use libp2p::{
    StreamProtocol, connection_limits, identify,
    identity::Keypair,
    kad, mdns, ping,
    request_response::{self, ProtocolSupport},
    swarm::{NetworkBehaviour, behaviour::toggle::Toggle},
};
use std::{num::NonZeroUsize, sync::Arc, time::Duration};

/// Most connections, and most with one peer: TCP and QUIC in both directions.
const MAX_CONNECTIONS: u32 = 1024;
const MAX_CONNECTIONS_PER_PEER: u32 = 4;
/// Most connections that are being made at a time.
const MAX_PENDING: u32 = 256;
/// How long an answer to a request may take. Workers are answered within 5 s even when a result is
/// still being fetched.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(10);
/// Requests of one connection that are worked on at a time.
const MAX_CONCURRENT_REQUESTS: usize = 256;
/// Records of others that are kept, and their size in bytes.
const MAX_RECORDS: usize = 16_384;
const MAX_RECORD_BYTES: usize = 4096;
/// How often a node says again which DAGs it has.
pub(crate) const PROVIDE_EVERY: Duration = Duration::from_secs(40 * 60);
/// Nodes that keep a record: enough for most of them to be killed before it is said again.
const REPLICATION: NonZeroUsize = NonZeroUsize::MIN.saturating_add(9);
/// CIDs that are provided by this node.
const MAX_PROVIDED: usize = 65_536;
/// Between two ways through the own neighbourhood of the DHT.
const BOOTSTRAP_EVERY: Duration = Duration::from_secs(300);

#[derive(NetworkBehaviour)]
pub(crate) struct Behaviour {
    limits: connection_limits::Behaviour,
    pub(crate) identify: identify::Behaviour,
    ping: ping::Behaviour,
    pub(crate) kad: kad::Behaviour<kad::store::MemoryStore>,
    pub(crate) mdns: Toggle<mdns::tokio::Behaviour>,
    pub(crate) work: request_response::Behaviour<Codec>,
    pub(crate) bitswap: mc_bitswap::Behaviour,
}

/// What a peer of `network` calls its protocol.
pub(crate) fn protocol_version(network: &str) -> String {
    format!("/mc/{network}/1")
}

impl Behaviour {
    pub(crate) fn new(
        key: &Keypair,
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
            .with_agent_version(options.agent.clone());
        let work = StreamProtocol::try_from_owned(format!("/mc/{network}/work/1"))?;
        let work_config = request_response::Config::default()
            .with_request_timeout(REQUEST_TIMEOUT)
            .with_max_concurrent_streams(MAX_CONCURRENT_REQUESTS);
        let bitswap = mc_bitswap::Behaviour::new(mc_bitswap::Config::default(), blocks);
        Ok(Self {
            limits: connection_limits::Behaviour::new(limits),
            identify: identify::Behaviour::new(identify),
            ping: ping::Behaviour::default(),
            kad: kad(local, options)?,
            mdns: mdns(options.mdns, local).into(),
            work: request_response::Behaviour::with_codec(
                Codec,
                [(work, ProtocolSupport::Full)],
                work_config,
            ),
            bitswap,
        })
    }
}

fn kad(
    local: libp2p::PeerId,
    options: &Options,
) -> Result<kad::Behaviour<kad::store::MemoryStore>, libp2p::swarm::InvalidProtocol> {
    let protocol = format!("/mc/{}/kad/1.0.0", options.network);
    let protocol = StreamProtocol::try_from_owned(protocol)?;
    let mut config = kad::Config::new(protocol);
    // Records of others are looked at before they are kept. Their publishers say them again in time; nobody
    // else has to.
    config
        .set_replication_factor(REPLICATION)
        .set_replication_interval(None)
        .set_publication_interval(None)
        .set_provider_publication_interval(Some(PROVIDE_EVERY))
        .set_record_filtering(kad::StoreInserts::FilterBoth)
        .set_periodic_bootstrap_interval(Some(BOOTSTRAP_EVERY));
    let store = kad::store::MemoryStoreConfig {
        max_records: MAX_RECORDS,
        max_value_bytes: MAX_RECORD_BYTES,
        max_provided_keys: MAX_PROVIDED,
        ..kad::store::MemoryStoreConfig::default()
    };
    let store = kad::store::MemoryStore::with_config(local, store);
    let mut kad = kad::Behaviour::with_config(local, store, config);
    kad.set_mode(Some(if options.dht_server {
        kad::Mode::Server
    } else {
        kad::Mode::Client
    }));
    Ok(kad)
}

/// Discovery on the local network. A machine without one still has the rest.
fn mdns(wanted: bool, local: libp2p::PeerId) -> Option<mdns::tokio::Behaviour> {
    let mdns = wanted.then(|| mdns::tokio::Behaviour::new(mdns::Config::default(), local))?;
    mdns.inspect_err(|error| tracing::warn!(%error, "no discovery on the local network"))
        .ok()
}
