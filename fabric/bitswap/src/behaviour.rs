//! The behaviour: client, server and connections put together.

mod lookup;
mod swarm;

use crate::{
    BlockStore, Config, SessionId,
    client::{Ask, Client},
    config::MAX_ENTRIES,
    handler::Send,
    message::{DONT_HAVE, Entry, HAVE, Message, Presence, WANT_BLOCK, WANT_HAVE, Wantlist},
    protocol,
    server::{Server, Wanted},
};
use bytes::Bytes;
use futures::stream::FuturesUnordered;
use libp2p::{
    PeerId,
    swarm::{ConnectionId, NotifyHandler, ToSwarm},
};
use lookup::{Found, Lookup, lookup};
use mc_types::{Cid, Verified};
use std::{
    collections::{HashMap, VecDeque},
    sync::Arc,
    task::Context,
    time::{Duration, Instant},
};
use tokio::time::{Interval, MissedTickBehavior};

/// How often silent peers are looked for.
const TICK: Duration = Duration::from_millis(125);

/// What the behaviour reports.
#[derive(Debug)]
pub enum Event {
    /// A wanted block came.
    Block {
        /// It, under its CID in the form in which it was wanted.
        block: Verified<Bytes>,
        /// Who sent it.
        peer: PeerId,
        /// The sessions that wanted it.
        sessions: Vec<SessionId>,
    },
    /// No provider of the session is left that could be asked. The want stays open.
    Exhausted {
        /// The session.
        session: SessionId,
        /// The wanted block.
        cid: Cid,
    },
}

/// The `NetworkBehaviour`.
pub struct Behaviour {
    config: Config,
    store: Arc<dyn BlockStore>,
    client: Client,
    server: Server,
    connections: HashMap<PeerId, Vec<ConnectionId>>,
    lookups: FuturesUnordered<Lookup>,
    out: VecDeque<ToSwarm<Event, Send>>,
    tick: Option<Interval>,
}

impl std::fmt::Debug for Behaviour {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Behaviour")
            .field("connections", &self.connections)
            .finish_non_exhaustive()
    }
}

impl Behaviour {
    /// A behaviour that serves from `store`.
    #[must_use]
    pub fn new(config: Config, store: Arc<dyn BlockStore>) -> Self {
        Self {
            client: Client::new(config.clone()),
            server: Server::new(config.clone()),
            config,
            store,
            connections: HashMap::new(),
            lookups: FuturesUnordered::new(),
            out: VecDeque::new(),
            tick: None,
        }
    }

    /// Opens a session without wants or providers.
    pub fn open_session(&mut self) -> SessionId {
        self.client.open_session()
    }

    /// Cancels the session's wants and forgets it.
    pub fn close_session(&mut self, session: SessionId) {
        self.client.close_session(session);
    }

    /// Names a peer that has what the session wants. It is asked once it is connected.
    pub fn add_provider(&mut self, session: SessionId, peer: PeerId) {
        self.client.add_provider(session, peer);
    }

    /// Names a peer that may have some of what the session wants. It is asked what it has.
    pub fn add_other(&mut self, session: SessionId, peer: PeerId) {
        self.client.add_other(session, peer);
    }

    /// Wants a block for a session. If it is wanted already, all peers may be asked again.
    pub fn want(&mut self, session: SessionId, cid: Cid) {
        self.client.want(session, cid);
    }

    /// Wants a block no more.
    pub fn cancel(&mut self, session: SessionId, cid: Cid) {
        self.client.cancel(session, cid);
    }

    /// Sets how many blocks are asked from a peer ahead. js-libp2p needs 1: it sends as much as fits
    /// the stream window in one frame, and frames above 1 MiB end the connection.
    pub fn set_window(&mut self, peer: PeerId, window: usize) {
        self.client.set_window(peer, window);
    }

    /// Blocks are in the store now that peers may have asked for earlier.
    pub fn blocks_added(&mut self, cids: &[Cid]) {
        self.server.added(cids);
    }

    /// Sends wants and cancels to a peer.
    fn tell(&mut self, peer: PeerId, asks: &[Ask]) {
        for asks in asks.chunks(MAX_ENTRIES) {
            let entries = asks.iter().map(|ask| match ask {
                Ask::Want(cid) => entry(cid, WANT_BLOCK, false),
                Ask::Have(cid) => entry(cid, WANT_HAVE, false),
                Ask::Cancel(cid) => entry(cid, WANT_BLOCK, true),
            });
            let wantlist = Some(Wantlist {
                entries: entries.collect(),
                full: false,
            });
            self.send(
                peer,
                Message {
                    wantlist,
                    ..Message::default()
                },
            );
        }
    }

    fn send(&mut self, peer: PeerId, message: Message) {
        // The oldest connection: the newest may be the one that is about to be closed as superfluous.
        let connections = self.connections.get(&peer);
        let Some(connection) = connections.and_then(|all| all.first().copied()) else {
            return;
        };
        self.server
            .sending(&peer, connection, message.answer_bytes());
        self.out.push_back(ToSwarm::NotifyHandler {
            peer_id: peer,
            handler: NotifyHandler::One(connection),
            event: Send(Box::new(message)),
        });
    }

    fn received(&mut self, peer: PeerId, message: Message) {
        for payload in message.payload {
            let Some(block) = protocol::verified(&payload) else {
                tracing::debug!(%peer, "a block that cannot be verified");
                self.client.misbehaved(&peer);
                continue;
            };
            let cid = block.cid();
            let received = (cid, block.bytes().len());
            let sessions = self.client.received(&peer, received, Instant::now());
            if sessions.is_empty() {
                tracing::trace!(%peer, %cid, "a block that nobody wants");
                continue;
            }
            let block = Event::Block {
                block,
                peer,
                sessions,
            };
            self.out.push_back(ToSwarm::GenerateEvent(block));
        }
        for presence in message.presences.iter().take(MAX_ENTRIES) {
            let Some(cid) = protocol::parse_cid(&presence.cid) else {
                continue;
            };
            match presence.kind {
                HAVE => self.client.offered(&peer, cid),
                DONT_HAVE => self.client.refused(&peer, cid),
                _ => {}
            }
        }
        if let Some(wantlist) = message.wantlist {
            self.server.wanted(peer, wantlist);
        }
    }

    /// Asks for what can be asked for.
    fn ask(&mut self, expire: bool) {
        let round = self.client.round(Instant::now(), expire);
        for (peer, asks) in round.asks {
            self.tell(peer, &asks);
        }
        for (session, cid) in round.exhausted {
            self.out
                .push_back(ToSwarm::GenerateEvent(Event::Exhausted { session, cid }));
        }
    }

    /// Starts looking up what peers want, as far as the bounds allow.
    fn look_up(&mut self) {
        while self.lookups.len() < self.config.max_store_reads
            && let Some((peer, wanted)) = self.server.next(Instant::now())
        {
            self.lookups
                .push(lookup(Arc::clone(&self.store), peer, wanted));
        }
    }

    fn answer(&mut self, peer: PeerId, wanted: Wanted, found: Found) {
        self.server.looked_up(&peer);
        let presence = |kind| Message {
            presences: vec![Presence {
                cid: wanted.cid.to_bytes(),
                kind,
            }],
            ..Message::default()
        };
        match found {
            Found::Block(bytes) => {
                self.server.found(&peer, bytes.len());
                let pending = self.server.pending_bytes(&peer);
                let length = i32::try_from(bytes.len()).unwrap_or(i32::MAX);
                let message = Message {
                    payload: vec![protocol::payload(&wanted.cid, bytes)],
                    pending_bytes: pending.saturating_add(length),
                    ..Message::default()
                };
                self.send(peer, message);
                return;
            }
            Found::Here => self.send(peer, presence(HAVE)),
            Found::NotHere => {
                self.server.not_here(&peer, &wanted);
                if wanted.send_dont_have {
                    self.send(peer, presence(DONT_HAVE));
                }
            }
        }
        // What costs no line costs time all the same.
        self.server.told(&peer, Instant::now());
    }

    fn connected(&mut self, peer: PeerId, connection: ConnectionId) {
        self.connections.entry(peer).or_default().push(connection);
        self.client.connected(peer);
        self.server.connected(peer, Instant::now());
    }

    fn disconnected(&mut self, peer: PeerId, connection: ConnectionId, remaining: usize) {
        if let Some(connections) = self.connections.get_mut(&peer) {
            connections.retain(|other| *other != connection);
        }
        // What was asked over this connection may be lost with it.
        self.client.unreachable(&peer);
        self.server.closed(&peer, connection);
        if remaining == 0 {
            self.connections.remove(&peer);
            self.client.disconnected(&peer);
            self.server.disconnected(&peer);
        }
    }

    /// Whether the time to look for silent peers has come.
    fn poll_tick(&mut self, cx: &mut Context<'_>) -> bool {
        let tick = self.tick.get_or_insert_with(|| {
            let mut tick = tokio::time::interval(TICK);
            tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
            tick
        });
        tick.poll_tick(cx).is_ready()
    }
}

fn entry(cid: &Cid, want_type: i32, cancel: bool) -> Entry {
    Entry {
        cid: cid.to_bytes(),
        priority: 1,
        cancel,
        want_type,
        send_dont_have: true,
    }
}

#[cfg(test)]
mod tests;
