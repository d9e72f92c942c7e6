//! Asking: which want is asked from which peer. Pure, with the time passed in.
//!
//! A session has *providers*, which are assumed to have everything, and *others*. It asks the others for each want
//! whether they have it (want-have), and for the block only if they do. It asks the peer that will probably answer
//! first, and a second one when the first takes much longer than usual.

mod answers;
mod late;
mod peer;
mod peers;
mod round;
mod sessions;
#[cfg(test)]
mod testing;

use crate::Config;
use libp2p::PeerId;
use mc_types::Cid;
use peer::Peer;
use std::{
    collections::{BTreeMap, BTreeSet, HashMap, HashSet, VecDeque},
    time::Instant,
};

/// Names a session.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SessionId(u64);

/// Something to be told to a peer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ask {
    /// Send it.
    Want(Cid),
    /// Say whether you have it, now or later.
    Have(Cid),
    Cancel(Cid),
}

#[derive(Debug, Default)]
struct Session {
    providers: BTreeSet<PeerId>,
    others: BTreeMap<PeerId, Tally>,
    wants: BTreeSet<Cid>,
}

/// How often a peer had what it was asked about.
#[derive(Debug, Default)]
struct Tally {
    hits: u32,
    misses: u32,
}

#[derive(Debug, Default)]
struct Want {
    sessions: BTreeSet<SessionId>,
    /// Whom it is asked from at the moment.
    asked: Vec<PeerId>,
    /// The peers that were asked whether they have it, and when, and that did not say no.
    probed: HashMap<PeerId, Instant>,
    /// Who says that it has it.
    has: HashSet<PeerId>,
    /// Who does not have it, or did not answer.
    failed: HashSet<PeerId>,
    /// Whether the callers were told that nobody is left.
    exhausted: bool,
    /// Whether it is already among the wants for which somebody may have to be asked: it is there only once, however
    /// often peers say what they have.
    is_queued: bool,
}

impl Want {
    /// Puts it among the wants for which somebody may have to be asked, unless somebody is asked or it is there
    /// already.
    fn queue(&mut self, cid: Cid, unasked: &mut VecDeque<Cid>) {
        if self.asked.is_empty() && !self.is_queued {
            self.is_queued = true;
            unasked.push_back(cid);
        }
    }
}

/// The wants of all sessions.
#[derive(Debug)]
pub(crate) struct Client {
    config: Config,
    next_session: u64,
    sessions: BTreeMap<SessionId, Session>,
    wants: HashMap<Cid, Want>,
    /// Wants that nobody was looked for yet.
    fresh: VecDeque<Cid>,
    /// Wants that may have to be asked from somebody.
    unasked: VecDeque<Cid>,
    peers: HashMap<PeerId, Peer>,
    windows: HashMap<PeerId, usize>,
    /// What peers are told in the next round, apart from new wants.
    outbox: HashMap<PeerId, Vec<Ask>>,
    recent: HashSet<Cid>,
    recent_order: VecDeque<Cid>,
    /// Whether something has happened since the last round.
    has_news: bool,
}

impl Client {
    pub(crate) fn new(config: Config) -> Self {
        Self {
            config,
            next_session: 0,
            sessions: BTreeMap::new(),
            wants: HashMap::new(),
            fresh: VecDeque::new(),
            unasked: VecDeque::new(),
            peers: HashMap::new(),
            windows: HashMap::new(),
            outbox: HashMap::new(),
            recent: HashSet::new(),
            recent_order: VecDeque::new(),
            has_news: false,
        }
    }

    /// Whether a round may have something to ask.
    pub(crate) const fn has_news(&self) -> bool {
        self.has_news
    }

    fn tell(&mut self, peer: PeerId, ask: Ask) {
        self.has_news = true;
        if self.peers.contains_key(&peer) {
            self.outbox.entry(peer).or_default().push(ask);
        }
    }

    /// The peer will not bring the block.
    fn failed(&mut self, peer: &PeerId, cid: Cid) {
        self.has_news = true;
        self.forget_ask(peer, &cid);
        if let Some(want) = self.wants.get_mut(&cid) {
            want.asked.retain(|asked| asked != peer);
            want.probed.remove(peer);
            want.has.remove(peer);
            want.failed.insert(*peer);
            want.queue(cid, &mut self.unasked);
        }
    }

    fn forget_ask(&mut self, peer: &PeerId, cid: &Cid) {
        if let Some(peer) = self.peers.get_mut(peer) {
            peer.asked.remove(cid);
        }
    }
}
