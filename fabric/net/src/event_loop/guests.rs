//! Nodes of the IPFS network: only blocks are exchanged with them.
//!
//! They are in no list of peers, in no routing table, get no work and no place at this node as a relay.

use super::{EventLoop, IPFS_KAD, bootstrap::reason};
use crate::{ConnectError, identity::node_id};
use libp2p::{Multiaddr, PeerId, identify, multiaddr::Protocol, relay, swarm::DialError};
use mc_bitswap::PROTOCOL;
use std::{
    collections::{HashMap, HashSet},
    time::{Duration, Instant},
};
use tokio::sync::oneshot;

/// Guests at a time. Further ones are turned away, unless a user asked for them.
const MAX_GUESTS: usize = 128;
/// The same with those that are in the DHT of IPFS.
const MAX_DHT_GUESTS: usize = 512;
/// How long a peer that a user asked for may take to connect and say who it is.
const CONNECT_WITHIN: Duration = Duration::from_secs(15);

pub(super) type Connected = oneshot::Sender<Result<(), ConnectError>>;

/// Somebody waits for a peer.
#[derive(Debug)]
struct Awaited {
    until: Instant,
    replies: Vec<Connected>,
}

#[derive(Debug, Default)]
pub(super) struct Guests {
    here: HashSet<PeerId>,
    awaited: HashMap<PeerId, Awaited>,
}

impl Guests {
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
            // Whoever asked may have lost interest.
            let _ = reply.send(result());
        }
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
            let _ = reply.send(Err(ConnectError::NoPeer));
            return;
        };
        if self.peers.contains_key(&peer) || self.guests.contains(&peer) {
            let _ = reply.send(Ok(()));
            return;
        }
        self.discovery.forgive(&peer);
        let awaited = self.guests.awaited.entry(peer).or_insert(Awaited {
            until: Instant::now() + CONNECT_WITHIN,
            replies: Vec::new(),
        });
        awaited.replies.push(reply);
        if let Err(error) = self.try_connect(peer, vec![address]) {
            self.connect_failed(peer, &error);
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
        self.guests.answer(&peer, || Err(error.clone()));
    }

    /// A peer that was waited for is none to stay connected with.
    pub(super) fn turned_away(&mut self, peer: &PeerId, protocol_version: &str) {
        let error = self.foreign(node_id(peer), protocol_version);
        self.guests.answer(peer, || Err(error.clone()));
    }

    /// A connection has ended. If its peer is waited for, it has not said who it is.
    pub(super) fn ended_early(&mut self, peer: &PeerId) {
        let node = node_id(peer);
        self.guests.answer(peer, || {
            Err(ConnectError::Failed {
                node: node.clone(),
                reason: "it ended the connection before it said who it is".to_owned(),
            })
        });
    }

    /// A peer has come that was waited for.
    pub(super) fn arrived(&mut self, peer: &PeerId) {
        self.guests.answer(peer, || Ok(()));
    }

    /// Gives up waiting for peers that say nothing.
    pub(super) fn expire_awaited(&mut self, now: Instant) {
        let late: Vec<_> = (self.guests.awaited.iter())
            .filter(|(_, awaited)| awaited.until <= now)
            .map(|(peer, _)| *peer)
            .collect();
        for peer in late {
            let node = node_id(&peer);
            self.guests.answer(&peer, || {
                Err(ConnectError::Failed {
                    node: node.clone(),
                    reason: "no answer in time".to_owned(),
                })
            });
        }
    }

    /// A peer that is not of this network: a guest if it exchanges blocks and there is room.
    pub(super) fn is_welcome(&self, peer: &PeerId, info: &identify::Info) -> bool {
        // Those of other networks of this kind are to stay among themselves.
        let is_foreign = info.protocol_version.starts_with("/mc/");
        let room = self.guests.here.len() < MAX_GUESTS || self.guests.awaited.contains_key(peer);
        let exchanges = self.options.ipfs && room && info.protocols.contains(&PROTOCOL);
        !is_foreign && (exchanges || self.is_of_dht(info))
    }

    /// Whether it is a member of the DHT of IPFS that this node may ask. Those are many in a search, and stay for
    /// as long as they are of use.
    fn is_of_dht(&self, info: &identify::Info) -> bool {
        !self.options.ipfs_dht.is_empty()
            && self.guests.here.len() < MAX_DHT_GUESTS
            && info.protocols.contains(&IPFS_KAD)
    }

    pub(super) fn welcome(&mut self, peer: PeerId, info: &identify::Info) {
        if self.is_of_dht(info) {
            self.met_ipfs_dht(peer);
        }
        if self.guests.here.insert(peer) {
            tracing::info!(%peer, "connected to an IPFS node");
        }
        self.provider_connected(peer);
        self.arrived(&peer);
    }

    /// Guests get no place at this relay: what it carries is for its own network.
    pub(super) fn keep_relay_from_guests(&mut self, event: &relay::Event) {
        if let relay::Event::ReservationReqAccepted { src_peer_id, .. } = event
            && self.guests.contains(src_peer_id)
        {
            self.shun(*src_peer_id);
        }
    }
}
