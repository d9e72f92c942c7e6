//! Finding peers, and keeping to those of the same network.

use super::{EventLoop, Peer};
use crate::behaviour::protocol_version;
use libp2p::{
    Multiaddr, PeerId, identify, mdns, relay,
    swarm::{
        DialError,
        dial_opts::{DialOpts, PeerCondition},
    },
};
use std::{
    collections::{HashMap, HashSet, hash_map::Entry},
    time::{Duration, Instant},
};

/// Peers that this node connects to by itself.
const MAX_OWN_PEERS: usize = 8;
/// Peers that it connects to because it has work for them.
const MAX_RECRUITS: usize = 512;
/// Each of the first few peers may know another part of the network.
const FIRST_PEERS: usize = 3;
/// Peers of other networks that are remembered, so that they are not dialled again and again.
const MAX_FOREIGN: usize = 4096;
/// Addresses of one peer that are kept.
const MAX_ADDRESSES: usize = 16;
/// How long a peer of another network may take to identify this node.
const PART_WITHIN: Duration = Duration::from_secs(1);
/// The pause before a bootstrap address is dialled again: doubled each time.
const REDIAL_MIN: Duration = Duration::from_millis(500);
const REDIAL_MAX: Duration = Duration::from_secs(30);

/// When a peer is dialled again.
#[derive(Debug)]
pub(super) struct Redial {
    /// At once if absent.
    next: Option<Instant>,
    pause: Duration,
}

impl Default for Redial {
    fn default() -> Self {
        Self {
            next: None,
            pause: REDIAL_MIN,
        }
    }
}

impl Redial {
    /// Whether it is due; if so, it is due again after the pause, and the pause doubles.
    pub(super) fn is_due(&mut self, now: Instant) -> bool {
        let is_due = self.next.is_none_or(|next| next <= now);
        if is_due {
            self.next = Some(now + self.pause);
            self.pause = (self.pause * 2).min(REDIAL_MAX);
        }
        is_due
    }

    /// Two peers that find each other at the same moment may dial each other at the same moment, and then both dials
    /// fail. The second time, one of them waits for the other.
    fn first(own: &PeerId, peer: &PeerId, now: Instant) -> Self {
        let pause = if own < peer {
            REDIAL_MIN
        } else {
            REDIAL_MIN * 5 / 2
        };
        Self {
            next: Some(now + pause),
            pause: pause * 2,
        }
    }
}

#[derive(Debug, Default)]
pub(super) struct Discovery {
    /// Peers of the local network that are not connected. mDNS reports each of them only once.
    local: HashMap<PeerId, Redial>,
    foreign: HashSet<PeerId>,
    /// Connected peers that were told who this node is.
    told: HashSet<PeerId>,
    /// Peers of other networks, and the latest time to disconnect them. They first learn who this node is, so that they
    /// can log why.
    parting: HashMap<PeerId, Instant>,
    /// Peers that were dialled because there was work for them, and when.
    recruited: HashMap<PeerId, Instant>,
    dialling: HashMap<PeerId, Instant>,
}

impl Discovery {
    /// A peer of another network may be dialled again.
    pub(super) fn forgive(&mut self, peer: &PeerId) {
        self.foreign.remove(peer);
    }

    pub(super) fn dial_failed(&mut self, peer: Option<PeerId>) {
        if let Some(peer) = peer {
            self.dialling.remove(&peer);
        }
    }
}

impl EventLoop {
    pub(super) fn dial(&mut self, address: Multiaddr) {
        if let Err(error) = self.swarm.dial(address.clone()) {
            tracing::debug!(%address, %error, "not dialled");
        }
    }

    /// Dials bootstrap peers and peers of the local network that are not connected, when they are due.
    pub(super) fn redial(&mut self, now: Instant) {
        self.redial_bootstrap(now);
        self.redial_local(now);
        let fresh = |begun: &Instant| now.saturating_duration_since(*begun) < REDIAL_MAX;
        self.discovery.dialling.retain(|_, begun| fresh(begun));
        self.discovery.recruited.retain(|_, begun| fresh(begun));
    }

    fn redial_local(&mut self, now: Instant) {
        let Some(mdns) = self.swarm.behaviour().mdns.as_ref() else {
            return;
        };
        let found: HashSet<_> = mdns.discovered_nodes().copied().collect();
        let missing = |peer: &PeerId| found.contains(peer) && !self.swarm.is_connected(peer);
        self.discovery.local.retain(|peer, _| missing(peer));
        let own = *self.swarm.local_peer_id();
        let mut due = Vec::new();
        for peer in found.iter().filter(|peer| missing(peer)) {
            let first = || Redial::first(&own, peer, now);
            let entry = self.discovery.local.entry(*peer).or_insert_with(first);
            if entry.is_due(now) {
                due.push(*peer);
            }
        }
        // Discovery itself adds their addresses.
        due.into_iter()
            .for_each(|peer| self.found(peer, Vec::new()));
    }

    /// Connects to a peer that was found, unless there are enough already.
    pub(super) fn found(&mut self, peer: PeerId, addresses: Vec<Multiaddr>) {
        let enough = self.peers.len() + self.discovery.dialling.len() >= MAX_OWN_PEERS;
        let own = peer == *self.swarm.local_peer_id();
        if own || enough || self.peers.contains_key(&peer) || self.discovery.foreign.contains(&peer)
        {
            return;
        }
        self.connect(peer, addresses);
    }

    /// How many more peers this node may connect to as possible workers.
    pub(super) fn room(&self) -> usize {
        MAX_RECRUITS.saturating_sub(self.peers.len() + self.discovery.dialling.len())
    }

    /// Connects to some of the peers of the routing table that are not connected.
    pub(super) fn recruit(&mut self, peers: usize) {
        let room = self.room();
        let own = *self.swarm.local_peer_id();
        let buckets = self.swarm.behaviour_mut().kad.kbuckets();
        let known: Vec<PeerId> = buckets
            .flat_map(|bucket| {
                let ids = bucket.iter().map(|entry| *entry.node.key.preimage());
                ids.collect::<Vec<_>>()
            })
            .collect();
        let fresh = |peer: &PeerId| {
            *peer != own
                && !self.peers.contains_key(peer)
                && !self.discovery.foreign.contains(peer)
                && !self.discovery.recruited.contains_key(peer)
        };
        let some: Vec<_> = known
            .into_iter()
            .filter(fresh)
            .take(peers.min(room))
            .collect();
        for peer in some {
            self.discovery.recruited.insert(peer, Instant::now());
            self.connect(peer, Vec::new());
        }
    }

    /// Connects to a peer that will be asked something, if it is not connected.
    pub(super) fn meet(&mut self, peer: PeerId) {
        if peer != *self.swarm.local_peer_id() && !self.swarm.is_connected(&peer) {
            self.connect(peer, Vec::new());
        }
    }

    /// Connects to a peer that is needed.
    pub(super) fn connect(&mut self, peer: PeerId, addresses: Vec<Multiaddr>) {
        if let Err(error) = self.try_connect(peer, addresses) {
            tracing::debug!(%peer, %error, "not dialled");
        }
    }

    /// Begins to connect to a peer, unless that has begun already.
    pub(super) fn try_connect(
        &mut self,
        peer: PeerId,
        addresses: Vec<Multiaddr>,
    ) -> Result<(), DialError> {
        let options = DialOpts::peer_id(peer)
            .condition(PeerCondition::DisconnectedAndNotDialing)
            .addresses(addresses)
            .extend_addresses_through_behaviour()
            .build();
        match self.swarm.dial(options) {
            Ok(()) => drop(self.discovery.dialling.insert(peer, Instant::now())),
            // It is connected, or is being dialled.
            Err(DialError::DialPeerConditionFalse(_)) => {}
            Err(error) => return Err(error),
        }
        Ok(())
    }

    pub(super) fn identified(&mut self, id: PeerId, info: identify::Info) {
        self.discovery.dialling.remove(&id);
        if info.agent_version.contains("js-libp2p") {
            // With several blocks in flight, its frames would exceed what our multiplexer accepts.
            self.swarm.behaviour_mut().bitswap.set_window(id, 1);
        }
        if info.protocol_version != protocol_version(&self.options.network) {
            if self.is_welcome(&id, &info) {
                self.welcome(id, &info);
            } else {
                tracing::debug!(peer = %id, theirs = %info.protocol_version, "peer of another network");
                self.bootstrap_is_foreign(id, &info.protocol_version);
                self.turned_away(&id, &info.protocol_version);
                self.shun(id);
            }
            return;
        }
        self.seen_by(&id, info.observed_addr);
        let relays = info.protocols.contains(&relay::HOP_PROTOCOL_NAME);
        self.offers_relay(id, relays);
        let addresses: Vec<_> = info.listen_addrs.into_iter().take(MAX_ADDRESSES).collect();
        // Who only asks the DHT must not be asked by others.
        let serves_dht = {
            let own = self.swarm.behaviour().kad.protocol_names();
            info.protocols.iter().any(|protocol| own.contains(protocol))
        };
        for address in addresses.iter().filter(|_| serves_dht) {
            self.swarm
                .behaviour_mut()
                .kad
                .add_address(&id, address.clone());
        }
        self.introduced(id);
        let peer = self.peers.entry(id).or_default();
        let first = peer.agent.is_empty();
        *peer = Peer {
            agent: info.agent_version,
            addresses,
            rtt: peer.rtt,
        };
        if first {
            // A search for its own neighbourhood makes this node known to others, and them to it. Later on the search
            // is repeated regularly.
            if self.peers.len() <= FIRST_PEERS {
                if let Err(error) = self.swarm.behaviour_mut().kad.bootstrap() {
                    tracing::debug!(%error, "no bootstrap");
                }
                // Earlier announcements reached few peers or none.
                self.provide_again();
            }
            self.provider_connected(id);
        }
        self.arrived(&id);
    }

    /// A connected peer is of this network.
    pub(super) fn introduced(&mut self, id: PeerId) {
        if let Entry::Vacant(entry) = self.peers.entry(id) {
            tracing::info!(peer = %id, "connected");
            entry.insert(Peer::default());
            self.bootstrap.met(id);
            self.publish_ready();
        }
    }

    /// Ends the connection to a peer of another network, and remembers it.
    pub(super) fn shun(&mut self, id: PeerId) {
        if self.discovery.foreign.len() >= MAX_FOREIGN {
            self.discovery.foreign.clear();
        }
        self.discovery.foreign.insert(id);
        self.swarm.behaviour_mut().kad.remove_peer(&id);
        if self.discovery.told.contains(&id) {
            // It may have gone by itself.
            let _ = self.swarm.disconnect_peer_id(id);
        } else {
            let latest = Instant::now() + PART_WITHIN;
            self.discovery.parting.insert(id, latest);
        }
    }

    /// A connected peer was told who this node is.
    pub(super) fn introduced_to(&mut self, id: PeerId) {
        if self.discovery.parting.remove(&id).is_some() {
            let _ = self.swarm.disconnect_peer_id(id);
        } else if self.swarm.is_connected(&id) {
            self.discovery.told.insert(id);
        }
    }

    /// Parts with those that do not ask who this node is.
    pub(super) fn part(&mut self, now: Instant) {
        let parting = &mut self.discovery.parting;
        for (id, _) in parting.extract_if(|_, latest| *latest <= now) {
            let _ = self.swarm.disconnect_peer_id(id);
        }
    }

    pub(super) fn disconnected(&mut self, id: &PeerId) {
        self.offers_relay(*id, false);
        self.ipfs_peers.left(id);
        self.discovery.told.remove(id);
        self.discovery.parting.remove(id);
        self.ended_early(id);
        if self.peers.remove(id).is_some() {
            tracing::info!(peer = %id, "disconnected");
            self.publish_ready();
        }
        self.fail_requests(id);
    }

    pub(super) fn mdns_event(&mut self, event: mdns::Event) {
        let mdns::Event::Discovered(found) = event else {
            return;
        };
        let mut by_peer: HashMap<PeerId, Vec<Multiaddr>> = HashMap::new();
        for (peer, address) in found {
            let addresses = by_peer.entry(peer).or_default();
            if addresses.len() < MAX_ADDRESSES {
                addresses.push(address);
            }
        }
        by_peer
            .into_iter()
            .for_each(|(peer, addresses)| self.found(peer, addresses));
    }
}
