//! Nodes of the IPFS network: only blocks are exchanged with them.
//!
//! They are in no list of peers and no routing table, get no work, and may not use this node as a relay.

use super::{EventLoop, bootstrap::reason};
use crate::{ConnectError, behaviour::IPFS_KAD, identity::node_id};
use libp2p::{
    Multiaddr, PeerId, identify,
    multiaddr::Protocol,
    relay,
    swarm::{ConnectionId, DialError, dial_opts::DialOpts},
};
use mc_bitswap::PROTOCOL;
use std::{
    collections::{HashMap, HashSet},
    time::{Duration, Instant},
};
use tokio::sync::oneshot;

/// IPFS nodes at a time. Further ones are turned away, unless a user asked for them.
const MAX_IPFS_PEERS: usize = 128;
/// The same with those that are in the DHT of IPFS.
const MAX_DHT_IPFS_PEERS: usize = 512;
/// How long a peer that a user asked for may take to connect and identify itself.
const CONNECT_WITHIN: Duration = Duration::from_secs(15);

pub(super) type Connected = oneshot::Sender<Result<(), ConnectError>>;

/// A caller waits for the peer at an address.
#[derive(Debug)]
struct Nameless {
    address: Multiaddr,
    until: Instant,
    reply: Connected,
}

/// Somebody waits for a peer.
#[derive(Debug)]
struct Awaited {
    until: Instant,
    replies: Vec<Connected>,
}

#[derive(Debug, Default)]
pub(super) struct IpfsPeers {
    here: HashSet<PeerId>,
    awaited: HashMap<PeerId, Awaited>,
    /// Addresses that name no peer, until a peer answers at them.
    nameless: HashMap<ConnectionId, Nameless>,
}

impl IpfsPeers {
    pub(super) fn contains(&self, peer: &PeerId) -> bool {
        self.here.contains(peer)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &PeerId> {
        self.here.iter()
    }

    pub(super) fn left(&mut self, peer: &PeerId) {
        self.here.remove(peer);
    }

    fn answer(&mut self, peer: &PeerId, result: impl Fn() -> Result<(), ConnectError>) {
        for reply in self
            .awaited
            .remove(peer)
            .into_iter()
            .flat_map(|a| a.replies)
        {
            // The caller may have lost interest.
            let _ = reply.send(result());
        }
    }
}

/// What a failed dial means for an address that names no peer.
fn nobody(address: &Multiaddr, error: &DialError) -> Result<(), ConnectError> {
    match error {
        // All nodes may have the same list of peers, so this node itself may be in it.
        DialError::LocalPeerId { .. } => Ok(()),
        error => Err(ConnectError::Nobody {
            address: address.to_string(),
            reason: reason(error),
        }),
    }
}

/// The peer that an address ends in.
pub(super) fn peer_of(address: &Multiaddr) -> Option<PeerId> {
    match address.iter().last()? {
        Protocol::P2p(peer) => Some(peer),
        _ => None,
    }
}

impl EventLoop {
    /// Connects to a peer that a user named, of this network or of IPFS.
    pub(super) fn connect_to(&mut self, address: Multiaddr, reply: Connected) {
        let Some(peer) = peer_of(&address) else {
            self.connect_to_whoever(address, reply);
            return;
        };
        if !self.await_peer(peer, reply) {
            return;
        }
        if let Err(error) = self.try_connect(peer, vec![address]) {
            self.connect_failed(peer, &error);
        }
    }

    /// Waits for a peer, unless it is connected already or is this node itself.
    fn await_peer(&mut self, peer: PeerId, reply: Connected) -> bool {
        let is_here = self.peers.contains_key(&peer) || self.ipfs_peers.contains(&peer);
        if is_here || peer == *self.swarm.local_peer_id() {
            let _ = reply.send(Ok(()));
            return false;
        }
        self.discovery.forgive(&peer);
        let awaited = self.ipfs_peers.awaited.entry(peer).or_insert(Awaited {
            until: Instant::now() + CONNECT_WITHIN,
            replies: Vec::new(),
        });
        awaited.replies.push(reply);
        true
    }

    /// Connects to the peer at an address, as with bootstrap peers.
    fn connect_to_whoever(&mut self, address: Multiaddr, reply: Connected) {
        let external = self.swarm.external_addresses();
        if self
            .swarm
            .listeners()
            .chain(external)
            .any(|own| *own == address)
        {
            let _ = reply.send(Ok(()));
            return;
        }
        let options = DialOpts::from(address.clone());
        let connection = options.connection_id();
        if let Err(error) = self.swarm.dial(options) {
            let _ = reply.send(nobody(&address, &error));
            return;
        }
        let nameless = Nameless {
            address,
            until: Instant::now() + CONNECT_WITHIN,
            reply,
        };
        self.ipfs_peers.nameless.insert(connection, nameless);
    }

    /// A peer answers at an address that named none.
    pub(super) fn whoever_answered(&mut self, connection: ConnectionId, peer: PeerId) {
        if let Some(nameless) = self.ipfs_peers.nameless.remove(&connection) {
            self.await_peer(peer, nameless.reply);
        }
    }

    /// Nobody does.
    pub(super) fn nobody_answered(&mut self, connection: ConnectionId, error: &DialError) {
        if let Some(nameless) = self.ipfs_peers.nameless.remove(&connection) {
            let _ = nameless.reply.send(nobody(&nameless.address, error));
        }
    }

    /// A peer could not be connected to.
    pub(super) fn connect_failed(&mut self, peer: PeerId, error: &DialError) {
        if self.swarm.is_connected(&peer) {
            return;
        }
        let node = node_id(&peer);
        let error = match error {
            DialError::WrongPeerId { obtained, .. } => ConnectError::OtherPeer {
                node,
                found: node_id(obtained),
            },
            error => ConnectError::Failed {
                node,
                reason: reason(error),
            },
        };
        self.ipfs_peers.answer(&peer, || Err(error.clone()));
    }

    /// A caller waited for a peer that this node does not stay connected with.
    pub(super) fn turned_away(&mut self, peer: &PeerId, protocol_version: &str) {
        let error = self.foreign(node_id(peer), protocol_version);
        self.ipfs_peers.answer(peer, || Err(error.clone()));
    }

    /// A connection has ended. If a caller waits for its peer, the peer has not identified itself.
    pub(super) fn ended_early(&mut self, peer: &PeerId) {
        let node = node_id(peer);
        self.ipfs_peers.answer(peer, || {
            Err(ConnectError::Failed {
                node: node.clone(),
                reason: "it ended the connection before it said who it is".to_owned(),
            })
        });
    }

    /// A peer has come that was waited for.
    pub(super) fn arrived(&mut self, peer: &PeerId) {
        self.ipfs_peers.answer(peer, || Ok(()));
    }

    /// Gives up waiting for peers that say nothing.
    pub(super) fn expire_awaited(&mut self, now: Instant) {
        let nameless = &mut self.ipfs_peers.nameless;
        for (_, late) in nameless.extract_if(|_, nameless| nameless.until <= now) {
            let _ = late.reply.send(Err(ConnectError::Nobody {
                address: late.address.to_string(),
                reason: "no answer in time".to_owned(),
            }));
        }
        let late: Vec<_> = (self.ipfs_peers.awaited.iter())
            .filter(|(_, awaited)| awaited.until <= now)
            .map(|(peer, _)| *peer)
            .collect();
        for peer in late {
            let node = node_id(&peer);
            self.ipfs_peers.answer(&peer, || {
                Err(ConnectError::Failed {
                    node: node.clone(),
                    reason: "no answer in time".to_owned(),
                })
            });
        }
    }

    /// A peer that is not of this network: an IPFS node if it exchanges blocks and there is room.
    pub(super) fn is_welcome(&self, peer: &PeerId, info: &identify::Info) -> bool {
        // Nodes of other networks of our kind keep to themselves.
        let is_foreign = info.protocol_version.starts_with("/mc/");
        let room = self.ipfs_peers.here.len() < MAX_IPFS_PEERS
            || self.ipfs_peers.awaited.contains_key(peer);
        let exchanges = self.options.ipfs && room && info.protocols.contains(&PROTOCOL);
        !is_foreign && (exchanges || self.is_of_dht(info))
    }

    /// Whether it is a member of the DHT of IPFS that this node may ask. A search uses many of them, and they stay
    /// connected while they are useful.
    fn is_of_dht(&self, info: &identify::Info) -> bool {
        !self.options.ipfs_dht.is_empty()
            && self.ipfs_peers.here.len() < MAX_DHT_IPFS_PEERS
            && info.protocols.contains(&IPFS_KAD)
    }

    pub(super) fn welcome(&mut self, peer: PeerId, info: &identify::Info) {
        if self.is_of_dht(info) {
            self.met_ipfs_dht(peer);
        }
        if self.ipfs_peers.here.insert(peer) {
            tracing::info!(%peer, "connected to an IPFS node");
        }
        self.provider_connected(peer);
        self.arrived(&peer);
    }

    /// IPFS nodes get no place at this relay: what it carries is for its own network.
    pub(super) fn keep_relay_from_ipfs_peers(&mut self, event: &relay::Event) {
        if let relay::Event::ReservationReqAccepted { src_peer_id, .. } = event
            && self.ipfs_peers.contains(src_peer_id)
        {
            self.shun(*src_peer_id);
        }
    }
}
