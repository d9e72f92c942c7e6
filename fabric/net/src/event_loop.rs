//! The task that owns the swarm.

mod bootstrap;
mod cache;
mod discovery;
mod fetch;
mod gone;
mod ipfs_dht;
mod ipfs_peers;
mod links;
mod queries;
mod reach;
mod records;
mod requests;

use crate::{
    Options,
    behaviour::{Behaviour, BehaviourEvent},
    client::{Command, InboundRequest, NetworkHandle, PeerInfo},
    identity::{Identity, node_id},
};
use bootstrap::Bootstrap;
use cache::PeerCache;
use discovery::Discovery;
use fetch::Fetches;
use futures::StreamExt;
use gone::Gone;
use ipfs_dht::IpfsDht;
use ipfs_peers::IpfsPeers;
use libp2p::{Multiaddr, PeerId, Swarm, identify, ping, swarm::SwarmEvent};
use links::Links;
use mc_types::NodeId;
use queries::Queries;
use reach::Reach;
use records::Records;
use requests::Requests;
use std::{
    collections::{BTreeSet, HashMap},
    ops::ControlFlow,
    sync::Arc,
    time::{Duration, Instant},
};
use tokio::sync::{mpsc, watch};

/// How many commands may wait for the loop; further callers wait themselves.
const COMMANDS: usize = 1024;
/// How often waiting fetches and dials are looked at.
const TICK: Duration = Duration::from_millis(250);

/// A connected peer of this network.
#[derive(Debug, Default)]
struct Peer {
    agent: String,
    addresses: Vec<Multiaddr>,
    rtt: Option<Duration>,
}

pub(crate) struct EventLoop {
    swarm: Swarm<Behaviour>,
    options: Options,
    commands: mpsc::Receiver<Command>,
    ready: watch::Sender<Arc<BTreeSet<NodeId>>>,
    peers: HashMap<PeerId, Peer>,
    links: Links,
    gone: Gone,
    reach: Reach,
    ipfs_peers: IpfsPeers,
    ipfs_dht: IpfsDht,
    bootstrap: Bootstrap,
    discovery: Discovery,
    cache: PeerCache,
    records: Records,
    fetches: Fetches,
    queries: Queries,
    requests: Requests,
}

impl EventLoop {
    pub(crate) fn new(
        swarm: Swarm<Behaviour>,
        identity: Identity,
        options: Options,
        requests: mpsc::Sender<InboundRequest>,
        ready: watch::Sender<Arc<BTreeSet<NodeId>>>,
    ) -> (Self, NetworkHandle) {
        let (commands, queue) = mpsc::channel(COMMANDS);
        let client = NetworkHandle {
            local: node_id(swarm.local_peer_id()),
            network: options.network.clone(),
            commands,
        };
        let event_loop = Self {
            swarm,
            links: Links::default(),
            gone: Gone::default(),
            reach: Reach::new(&options),
            ipfs_peers: IpfsPeers::default(),
            ipfs_dht: IpfsDht::default(),
            bootstrap: Bootstrap::new(options.bootstrap.clone()),
            discovery: Discovery::default(),
            cache: PeerCache::new(options.peer_cache.clone()),
            records: Records::new(identity, options.network.clone()),
            options,
            commands: queue,
            ready,
            peers: HashMap::new(),
            fetches: Fetches::default(),
            queries: Queries::default(),
            requests: Requests::new(requests),
        };
        (event_loop, client)
    }

    /// Runs until it is told to end, or the last handle is dropped.
    pub(crate) async fn run(mut self) {
        let mut tick = tokio::time::interval(TICK);
        loop {
            // Local commands first: this node finishes its own work before it serves others.
            tokio::select! {
                biased;
                command = self.commands.recv() => {
                    let Some(command) = command else { return };
                    if self.command(command).is_break() {
                        return;
                    }
                }
                Some((channel, response)) = self.requests.next_answer() => {
                    // The peer may have gone in the meantime.
                    let _ = self.swarm.behaviour_mut().work.send_response(channel, Ok(response));
                }
                event = self.swarm.select_next_some() => self.event(event),
                _ = tick.tick() => self.tick(Instant::now()),
            }
        }
    }

    fn command(&mut self, command: Command) -> ControlFlow<()> {
        match command {
            Command::Connect { address, reply } => self.connect_to(address, reply),
            Command::Recruit { peers } => self.recruit(peers),
            Command::Request {
                node,
                request,
                reply,
            } => self.send_request(node, *request, reply),
            Command::OpenSession {
                providers,
                timeout,
                reply,
            } => {
                self.open_session(providers, timeout, reply);
            }
            Command::Get {
                session,
                cid,
                reply,
            } => self.get(session, cid, reply),
            Command::CloseSession { session } => self.close_session(session),
            Command::BlocksAdded { cids } => self.swarm.behaviour_mut().bitswap.blocks_added(&cids),
            Command::Provide { cid, to_ipfs } => {
                self.provide(&cid);
                if to_ipfs {
                    self.announce_to_ipfs(&cid);
                }
            }
            Command::FindProviders { cid, meet, reply } => self.find_providers(&cid, meet, reply),
            Command::FindRegistered { key, reply } => self.find_registered(&key, reply),
            Command::Register { classes } => self.register(&classes),
            Command::Publish {
                what,
                grant,
                body,
                ttl,
                reply,
            } => drop(reply.send(self.publish(what, grant, body, ttl))),
            Command::Lookup { key, reply } => self.lookup(key, reply),
            Command::Refused { reply } => drop(reply.send(self.records.refused())),
            Command::GetRecord { key, reply } => self.get_record(key, reply),
            // The caller may no longer wait for the answer. The same is true of all answers below.
            Command::RoutingTable { reply } => drop(reply.send(self.routing_table())),
            Command::Peers { reply } => drop(reply.send(self.peer_infos())),
            Command::IpfsPeers { reply } => drop(reply.send(self.ipfs_peers.iter().count())),
            Command::Places { node, reply } => drop(reply.send(self.places_of(&node))),
            Command::Addresses { reply } => drop(reply.send(self.addresses())),
            Command::Reachability { reply } => drop(reply.send(self.reachability())),
            Command::Shutdown => {
                self.save_cache();
                return ControlFlow::Break(());
            }
        }
        ControlFlow::Continue(())
    }

    fn event(&mut self, event: SwarmEvent<BehaviourEvent>) {
        match event {
            SwarmEvent::Behaviour(event) => self.behaviour_event(event),
            SwarmEvent::ConnectionEstablished {
                peer_id,
                connection_id,
                endpoint,
                ..
            } => {
                self.links.opened(peer_id, connection_id, &endpoint);
                self.bootstrap.answered(connection_id, peer_id);
                self.whoever_answered(connection_id, peer_id);
                let detours = self.links.detours(&peer_id);
                self.close(detours);
            }
            SwarmEvent::ConnectionClosed {
                peer_id,
                connection_id,
                endpoint,
                num_established,
                ..
            } => {
                self.links.closed(&peer_id, connection_id);
                if num_established == 0 {
                    self.note_where(&peer_id, &endpoint);
                    self.disconnected(&peer_id);
                }
            }
            SwarmEvent::OutgoingConnectionError {
                peer_id,
                error,
                connection_id,
            } => {
                tracing::debug!(?peer_id, %error, "connection failed");
                self.bootstrap_failed(connection_id, &error);
                self.nobody_answered(connection_id, &error);
                self.discovery.dial_failed(peer_id);
                if let Some(peer) = peer_id {
                    self.connect_failed(peer, &error);
                }
            }
            SwarmEvent::NewListenAddr { address, .. } => tracing::info!(%address, "listening"),
            SwarmEvent::ListenerClosed { listener_id, .. } => self.listener_closed(listener_id),
            SwarmEvent::ExternalAddrConfirmed { address } => self.address_confirmed(address),
            SwarmEvent::ExternalAddrExpired { address }
            | SwarmEvent::ExpiredListenAddr { address, .. } => self.address_expired(&address),
            _ => {}
        }
    }

    fn behaviour_event(&mut self, event: BehaviourEvent) {
        match event {
            BehaviourEvent::Identify(identify::Event::Received { peer_id, info, .. }) => {
                self.identified(peer_id, info);
            }
            BehaviourEvent::Identify(identify::Event::Sent { peer_id, .. }) => {
                self.introduced_to(peer_id);
            }
            BehaviourEvent::Ping(ping::Event {
                peer,
                result: Ok(rtt),
                ..
            }) => {
                if let Some(peer) = self.peers.get_mut(&peer) {
                    peer.rtt = Some(rtt);
                }
            }
            BehaviourEvent::Kad(event) => self.kad_event(event),
            BehaviourEvent::IpfsKad(event) => self.ipfs_kad_event(event),
            BehaviourEvent::Mdns(event) => self.mdns_event(event),
            BehaviourEvent::Work(event) => self.work_event(event),
            BehaviourEvent::Bitswap(event) => self.bitswap_event(event),
            BehaviourEvent::Autonat(event) => self.was_tested(event),
            BehaviourEvent::DialBack(event) => self.tidy(&event.client),
            BehaviourEvent::Relay(event) => self.keep_relay_from_ipfs_peers(&event),
            BehaviourEvent::Relayed(event) => self.relay_event(event),
            _ => {}
        }
    }

    fn tick(&mut self, now: Instant) {
        self.reconsider(now);
        self.part(now);
        self.redial(now);
        self.join_ipfs_dht(now);
        self.use_cache(now);
        self.sweep_records(now);
        self.provide_some_again();
        self.expire_fetches(now);
        self.expire_awaited(now);
    }

    fn peer_infos(&self) -> Vec<PeerInfo> {
        let info = |(id, peer): (&PeerId, &Peer)| PeerInfo {
            id: node_id(id),
            addresses: peer.addresses.iter().map(ToString::to_string).collect(),
            agent: Some(peer.agent.clone()),
            rtt: peer.rtt,
            is_relayed: self.links.is_relayed(id),
        };
        self.peers.iter().map(info).collect()
    }

    fn addresses(&self) -> Vec<Multiaddr> {
        let local = *self.swarm.local_peer_id();
        let listeners = self.swarm.listeners().cloned();
        let external = self.swarm.external_addresses().cloned();
        let mut seen = BTreeSet::new();
        listeners
            .chain(external)
            .map(|address| address.with_p2p(local).unwrap_or_else(|address| address))
            .filter(|address| seen.insert(address.clone()))
            .collect()
    }

    fn publish_ready(&self) {
        self.ready
            .send_replace(Arc::new(self.peers.keys().map(node_id).collect()));
    }
}
