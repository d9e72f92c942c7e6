//! Sessions that fetch blocks: from named providers, from connected peers, from peers that the DHT names.

use super::EventLoop;
use crate::{FetchError, client::SessionKey, identity::peer_id};
use bytes::Bytes;
use libp2p::PeerId;
use mc_bitswap::Event;
use mc_types::{Cid, NodeId, Verified};
use rand::seq::IteratorRandom;
use std::{
    collections::{HashMap, HashSet},
    time::{Duration, Instant},
};
use tokio::sync::oneshot;

/// How often peers without the block are asked again, and the DHT is searched again.
const RETRY_EVERY: Duration = Duration::from_secs(1);

/// A session looks for peers that fetch the same content each time it has received this many blocks.
const SWARM_FIRST: usize = 16;
const SWARM_EVERY: usize = 64;
/// Peers that are asked each time.
const SWARM_PEERS: usize = 16;

type Reply = oneshot::Sender<Result<Verified<Bytes>, FetchError>>;

#[derive(Debug)]
struct Fetch {
    waiting: HashMap<Cid, Vec<Reply>>,
    providers: HashSet<PeerId>,
    /// Connected peers that were asked for their blocks.
    others: HashSet<PeerId>,
    /// Blocks that have come.
    blocks: usize,
    /// Blocks that no asked peer has.
    exhausted: HashSet<Cid>,
    last_progress: Instant,
    last_search: Option<Instant>,
    searching: bool,
    timeout: Duration,
    /// Whether the caller set it. Then it also applies while a peer promises a block, which it may never send.
    is_bound: bool,
}

#[derive(Debug, Default)]
pub(super) struct Fetches(HashMap<SessionKey, Fetch>);

impl EventLoop {
    pub(super) fn open_session(
        &mut self,
        providers: Vec<NodeId>,
        timeout: Option<Duration>,
        reply: oneshot::Sender<SessionKey>,
    ) {
        let session = self.swarm.behaviour_mut().bitswap.open_session();
        let fetch = Fetch {
            waiting: HashMap::new(),
            providers: HashSet::new(),
            others: HashSet::new(),
            blocks: 0,
            exhausted: HashSet::new(),
            last_progress: Instant::now(),
            last_search: None,
            searching: false,
            timeout: timeout.unwrap_or(self.options.fetch_timeout),
            is_bound: timeout.is_some(),
        };
        self.fetches.0.insert(session, fetch);
        for peer in providers.iter().filter_map(peer_id) {
            self.provider_found(session, peer);
        }
        if reply.send(session).is_err() {
            self.close_session(session);
        }
    }

    pub(super) fn close_session(&mut self, session: SessionKey) {
        self.fetches.0.remove(&session);
        self.swarm.behaviour_mut().bitswap.close_session(session);
    }

    pub(super) fn get(&mut self, session: SessionKey, cid: Cid, reply: Reply) {
        let Some(fetch) = self.fetches.0.get_mut(&session) else {
            return;
        };
        if fetch.waiting.is_empty() {
            // Patience is counted while something is waited for.
            fetch.last_progress = Instant::now();
        }
        let waiting = fetch.waiting.entry(cid).or_default();
        waiting.push(reply);
        if waiting.len() == 1 {
            self.swarm.behaviour_mut().bitswap.want(session, cid);
        }
    }

    /// A peer that may have what the session wants. If it is not connected, it is dialled.
    pub(super) fn provider_found(&mut self, session: SessionKey, peer: PeerId) {
        if peer == *self.swarm.local_peer_id() {
            return;
        }
        let Some(fetch) = self.fetches.0.get_mut(&session) else {
            return;
        };
        if fetch.providers.insert(peer) {
            self.swarm
                .behaviour_mut()
                .bitswap
                .add_provider(session, peer);
        }
        self.meet(peer);
    }

    /// A peer has connected: it may have blocks that sessions lack.
    pub(super) fn provider_connected(&mut self, peer: PeerId) {
        let in_need = self
            .fetches
            .0
            .iter()
            .filter(|(_, fetch)| !fetch.exhausted.is_empty());
        let in_need: Vec<_> = in_need.map(|(session, _)| *session).collect();
        in_need
            .into_iter()
            .for_each(|session| self.ask_what_it_has(session, peer));
    }

    /// A connected peer that may have blocks for the session.
    fn ask_what_it_has(&mut self, session: SessionKey, peer: PeerId) {
        if let Some(fetch) = self.fetches.0.get_mut(&session)
            && fetch.others.insert(peer)
        {
            self.swarm.behaviour_mut().bitswap.add_other(session, peer);
        }
    }

    /// A session that fetches a lot looks for others that fetch the same at the moment.
    fn look_around(&mut self, session: SessionKey) {
        let connected = self.peers.keys().sample(&mut rand::rng(), SWARM_PEERS);
        let connected: Vec<_> = connected.into_iter().copied().collect();
        for peer in connected {
            self.ask_what_it_has(session, peer);
        }
    }

    pub(super) fn search_ended(&mut self, session: SessionKey) {
        if let Some(fetch) = self.fetches.0.get_mut(&session) {
            fetch.searching = false;
        }
    }

    pub(super) fn bitswap_event(&mut self, event: Event) {
        match event {
            Event::Block {
                block, sessions, ..
            } => {
                let cid = *block.cid();
                let mut in_swarms = Vec::new();
                for session in sessions {
                    let Some(fetch) = self.fetches.0.get_mut(&session) else {
                        continue;
                    };
                    fetch.last_progress = Instant::now();
                    fetch.exhausted.remove(&cid);
                    fetch.blocks += 1;
                    if fetch.blocks % SWARM_EVERY == SWARM_FIRST {
                        in_swarms.push(session);
                    }
                    for reply in fetch.waiting.remove(&cid).unwrap_or_default() {
                        // The caller may have lost interest.
                        let _ = reply.send(Ok(block.clone()));
                    }
                }
                in_swarms
                    .into_iter()
                    .for_each(|session| self.look_around(session));
            }
            Event::Exhausted { session, cid } => self.exhausted(session, cid),
        }
    }

    /// No asked peer has the block: the session asks connected peers, then the DHT.
    fn exhausted(&mut self, session: SessionKey, cid: Cid) {
        let Some(fetch) = self.fetches.0.get_mut(&session) else {
            return;
        };
        fetch.exhausted.insert(cid);
        let others = self
            .peers
            .keys()
            .chain(self.ipfs_peers.iter())
            .filter(|peer| !fetch.providers.contains(*peer) && !fetch.others.contains(*peer));
        let others: Vec<_> = others.copied().collect();
        let search = !fetch.searching && fetch.last_search.is_none();
        if search {
            fetch.searching = true;
            fetch.last_search = Some(Instant::now());
            self.find_for_session(&cid, session);
        }
        others
            .into_iter()
            .for_each(|peer| self.ask_what_it_has(session, peer));
    }

    /// Asks again for missing blocks. Gives up blocks that no caller waits for, and blocks that no peer has.
    pub(super) fn expire_fetches(&mut self, now: Instant) {
        let sessions: Vec<_> = self.fetches.0.keys().copied().collect();
        for session in sessions {
            self.drop_abandoned(session);
            let Some(fetch) = self.fetches.0.get_mut(&session) else {
                continue;
            };
            let may_end =
                !fetch.exhausted.is_empty() || (fetch.is_bound && !fetch.waiting.is_empty());
            if may_end && now.saturating_duration_since(fetch.last_progress) >= fetch.timeout {
                self.give_up(session);
                continue;
            }
            if fetch.exhausted.is_empty() {
                continue;
            }
            let rested = |last: Instant| now.saturating_duration_since(last) >= RETRY_EVERY;
            if fetch.last_search.is_none_or(rested) && !fetch.searching {
                self.retry(session, now);
            }
        }
    }

    fn retry(&mut self, session: SessionKey, now: Instant) {
        let Some(fetch) = self.fetches.0.get_mut(&session) else {
            return;
        };
        fetch.last_search = Some(now);
        fetch.searching = true;
        let exhausted: Vec<_> = fetch.exhausted.drain().collect();
        let providers: Vec<_> = fetch.providers.iter().copied().collect();
        if let Some(first) = exhausted.first() {
            self.find_for_session(first, session);
        }
        for peer in providers {
            if !self.peers.contains_key(&peer) {
                self.connect(peer, Vec::new());
            }
        }
        for cid in exhausted {
            self.swarm.behaviour_mut().bitswap.want(session, cid);
        }
    }

    fn give_up(&mut self, session: SessionKey) {
        let Some(fetch) = self.fetches.0.get_mut(&session) else {
            return;
        };
        let peers = fetch.providers.union(&fetch.others).count();
        let mut given_up: HashSet<_> = fetch.exhausted.drain().collect();
        if fetch.is_bound {
            given_up.extend(fetch.waiting.keys());
        }
        for cid in given_up {
            self.swarm.behaviour_mut().bitswap.cancel(session, cid);
            for reply in fetch.waiting.remove(&cid).unwrap_or_default() {
                let _ = reply.send(Err(FetchError::NotFound { cid, peers }));
            }
        }
    }

    fn drop_abandoned(&mut self, session: SessionKey) {
        let Some(fetch) = self.fetches.0.get_mut(&session) else {
            return;
        };
        let mut abandoned = Vec::new();
        fetch.waiting.retain(|cid, replies| {
            replies.retain(|reply| !reply.is_closed());
            if replies.is_empty() {
                abandoned.push(*cid);
            }
            !replies.is_empty()
        });
        for cid in abandoned {
            fetch.exhausted.remove(&cid);
            self.swarm.behaviour_mut().bitswap.cancel(session, cid);
        }
    }
}
