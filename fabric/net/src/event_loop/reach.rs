//! Finding out whether others can connect to this node, and relays for it if they cannot.
//!
//! Other nodes dial it back (AutoNAT v2). A node that they reach keeps records of the DHT and relays for others; a node
//! that they cannot reach reserves a place at two relays (Circuit Relay v2). Peers connect to it through these, and
//! then both sides try a direct connection (DCUtR).

use super::{
    EventLoop,
    links::{Links, ip},
};
use crate::{Options, identity::node_id, reach::is_global};
use libp2p::{
    Multiaddr, PeerId, autonat, core::transport::ListenerId, kad, multiaddr::Protocol, relay,
    swarm::ConnectionId,
};
use mc_types::{DhtMode, Reachability};
use std::{
    collections::{BTreeSet, HashMap, HashSet},
    time::{Duration, Instant},
};

/// Relays at which an unreachable node reserves a place.
const RELAYS: usize = 2;
/// Addresses that are remembered as reached, or as not reached. Peers name them, so there must be a bound.
const MAX_ADDRESSES: usize = 64;
/// Before a relay that refused is asked again.
const ASK_AGAIN: Duration = Duration::from_secs(30);

/// A relay at which a place is reserved, or asked for.
#[derive(Debug)]
struct RelayPlace {
    listener: ListenerId,
    is_granted: bool,
}

#[derive(Debug)]
pub(super) struct Reach {
    mode: DhtMode,
    /// Whether this node has no configured peers, and so begins the network.
    founds: bool,
    relays_for_others: bool,
    reached: BTreeSet<Multiaddr>,
    unreached: BTreeSet<Multiaddr>,
    /// Peers that relay.
    offers: HashSet<PeerId>,
    places: HashMap<PeerId, RelayPlace>,
    refused: HashMap<PeerId, Instant>,
    /// What the rest of this node was last told.
    told: Option<Standing>,
}

/// The conclusion from the tries of other nodes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Standing {
    Unknown,
    Direct,
    Indirect,
}

impl Reach {
    pub(super) fn new(options: &Options) -> Self {
        Self {
            mode: options.dht,
            founds: options.bootstrap.is_empty(),
            relays_for_others: options.relay,
            reached: BTreeSet::new(),
            unreached: BTreeSet::new(),
            offers: HashSet::new(),
            places: HashMap::new(),
            refused: HashMap::new(),
            told: None,
        }
    }

    /// Addresses at which others reach this node. While some peer is outside the local network, local addresses do not
    /// count.
    fn direct(&self, links: &Links) -> Vec<&Multiaddr> {
        let outside = links.lead_outside();
        let counts = |address: &&Multiaddr| !outside || ip(address).is_none_or(is_global);
        self.reached.iter().filter(counts).collect()
    }

    fn standing(&self, links: &Links) -> Standing {
        if !self.direct(links).is_empty() {
            Standing::Direct
        } else if self.unreached.is_empty() {
            Standing::Unknown
        } else {
            Standing::Indirect
        }
    }

    /// Whether to keep records for others.
    fn serves(&self, standing: Standing) -> bool {
        match (self.mode, standing) {
            (DhtMode::Server, _) | (DhtMode::Auto, Standing::Direct) => true,
            (DhtMode::Auto, Standing::Unknown) => self.founds,
            (DhtMode::Auto, Standing::Indirect) | (DhtMode::Client, _) => false,
        }
    }

    fn at_listener(&self, listener: ListenerId) -> Option<PeerId> {
        let mut places = self.places.iter();
        places
            .find(|(_, place)| place.listener == listener)
            .map(|(relay, _)| *relay)
    }
}

impl EventLoop {
    /// Whether others can connect to this node.
    pub(super) fn reachability(&self) -> Reachability {
        let reach = &self.reach;
        match reach.standing(&self.links) {
            Standing::Unknown => Reachability::Unknown,
            Standing::Direct => {
                let direct = reach.direct(&self.links);
                Reachability::Direct {
                    addresses: direct.iter().map(ToString::to_string).collect(),
                }
            }
            Standing::Indirect => {
                let granted = reach.places.iter().filter(|(_, place)| place.is_granted);
                Reachability::Indirect {
                    relays: granted.map(|(relay, _)| node_id(relay)).collect(),
                }
            }
        }
    }

    /// Acts on what is known so far.
    pub(super) fn reconsider(&mut self, now: Instant) {
        let standing = self.reach.standing(&self.links);
        if self.reach.told != Some(standing) {
            self.reach.told = Some(standing);
            tracing::info!(?standing, "reachability");
            let serves = self.reach.serves(standing);
            let relays = self.reach.relays_for_others && serves;
            let behaviour = self.swarm.behaviour_mut();
            behaviour.kad.set_mode(Some(match serves {
                true => kad::Mode::Server,
                false => kad::Mode::Client,
            }));
            behaviour.relay.set_status(Some(match relays {
                true => relay::Status::Enable,
                false => relay::Status::Disable,
            }));
        }
        match standing {
            Standing::Indirect => self.reserve(now),
            Standing::Direct => self.give_up_places(),
            Standing::Unknown => {}
        }
    }

    /// Asks for a place at another relay if there are too few.
    fn reserve(&mut self, now: Instant) {
        self.reach.refused.retain(|_, until| *until > now);
        let reach = &self.reach;
        if reach.places.len() >= RELAYS {
            return;
        }
        let free = |relay: &&PeerId| {
            !reach.places.contains_key(relay) && !reach.refused.contains_key(relay)
        };
        let offers = reach.offers.iter().filter(free);
        let Some((relay, address)) = offers
            .filter_map(|relay| Some((*relay, self.links.address(relay)?.clone())))
            .next()
        else {
            return;
        };
        let own = [Protocol::P2p(relay), Protocol::P2pCircuit];
        let bare = address
            .iter()
            .filter(|part| !matches!(part, Protocol::P2p(_)));
        let circuit: Multiaddr = bare.chain(own).collect();
        match self.swarm.listen_on(circuit) {
            Ok(listener) => {
                let place = RelayPlace {
                    listener,
                    is_granted: false,
                };
                self.reach.places.insert(relay, place);
            }
            Err(error) => {
                tracing::debug!(%relay, %error, "not asked for a place");
                self.reach.refused.insert(relay, now + ASK_AGAIN);
            }
        }
    }

    fn give_up_places(&mut self) {
        for (_, place) in self.reach.places.drain() {
            // Whether the listener was still there makes no difference.
            let _ = self.swarm.remove_listener(place.listener);
        }
    }

    /// Another node reached this one at an address; or a relay listens at it for this one.
    pub(super) fn address_confirmed(&mut self, address: Multiaddr) {
        self.provide_again();
        self.announce_again();
        let is_relayed = address.iter().any(|part| part == Protocol::P2pCircuit);
        if !is_relayed && self.reach.reached.len() < MAX_ADDRESSES {
            tracing::info!(%address, "reached by another node");
            self.reach.unreached.remove(&address);
            self.reach.reached.insert(address);
        }
    }

    /// This node no longer listens at an address, or others cannot reach it there.
    pub(super) fn address_expired(&mut self, address: &Multiaddr) {
        if self.reach.reached.remove(address) {
            self.swarm.remove_external_address(address);
        }
    }

    /// Another node has tried to connect to this one.
    pub(super) fn was_tested(&mut self, event: autonat::v2::client::Event) {
        let address = event.tested_addr;
        let is_known = self.reach.reached.contains(&address);
        if event.result.is_err() && !is_known && self.reach.unreached.len() < MAX_ADDRESSES {
            tracing::debug!(%address, server = %event.server, "not reached by another node");
            self.reach.unreached.insert(address);
        }
        self.tidy(&event.server);
    }

    /// Closes connections that were made only as a test. Both sides know of them, but only one of the two must choose.
    pub(super) fn tidy(&mut self, peer: &PeerId) {
        if self.swarm.local_peer_id() < peer {
            let extra = self.links.extra(peer);
            self.close(extra);
        }
    }

    /// A connected peer reports the address at which it sees this node. If the peer made the connection, it used that
    /// address; this node believes it only if it listens there.
    pub(super) fn seen_by(&mut self, peer: &PeerId, address: Multiaddr) {
        let listens = self.swarm.listeners().any(|own| *own == address);
        let is_known = self.reach.reached.contains(&address);
        if listens && !is_known && self.links.were_begun_by(peer) {
            self.swarm.add_external_address(address.clone());
            self.address_confirmed(address);
        }
    }

    /// A connected peer says whether it relays.
    pub(super) fn offers_relay(&mut self, peer: PeerId, offers: bool) {
        if offers {
            self.reach.offers.insert(peer);
        } else {
            self.reach.offers.remove(&peer);
        }
    }

    pub(super) fn relay_event(&mut self, event: relay::client::Event) {
        if let relay::client::Event::ReservationReqAccepted { relay_peer_id, .. } = event
            && let Some(place) = self.reach.places.get_mut(&relay_peer_id)
        {
            place.is_granted = true;
            tracing::info!(relay = %relay_peer_id, "place reserved");
        }
    }

    /// A listener ended: if it was a place at a relay, this node asks for another one.
    pub(super) fn listener_closed(&mut self, listener: ListenerId) {
        if let Some(relay) = self.reach.at_listener(listener) {
            self.reach.places.remove(&relay);
            let until = Instant::now() + ASK_AGAIN;
            self.reach.refused.insert(relay, until);
        }
    }

    /// Closes connections that are no longer needed.
    pub(super) fn close(&mut self, links: Vec<ConnectionId>) {
        for link in links {
            // It may have ended by itself.
            self.swarm.close_connection(link);
        }
    }
}
