//! Asking: which want is asked from which peer. Pure, with the time passed in.

use crate::Config;
use libp2p::PeerId;
use mc_types::Cid;
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
    Want(Cid),
    Cancel(Cid),
}

#[derive(Debug, Default)]
struct Session {
    providers: Vec<PeerId>,
    wants: BTreeSet<Cid>,
}

#[derive(Debug, Default)]
struct Want {
    sessions: BTreeSet<SessionId>,
    /// Whom it is asked from at the moment, and since when.
    asked: Option<(PeerId, Instant)>,
    /// Who does not have it, or did not answer.
    failed: HashSet<PeerId>,
    /// Whether the callers were told that nobody is left.
    exhausted: bool,
}

#[derive(Debug)]
struct Peer {
    window: usize,
    asked: HashSet<Cid>,
    last_block: Option<Instant>,
}

/// The wants of all sessions.
#[derive(Debug)]
pub(crate) struct Client {
    config: Config,
    next_session: u64,
    sessions: BTreeMap<SessionId, Session>,
    wants: HashMap<Cid, Want>,
    /// Wants that may have to be asked from somebody.
    unasked: VecDeque<Cid>,
    peers: HashMap<PeerId, Peer>,
    windows: HashMap<PeerId, usize>,
}

/// What a round of asking came to.
#[derive(Debug, Default)]
pub(crate) struct Round {
    pub(crate) asks: HashMap<PeerId, Vec<Ask>>,
    pub(crate) exhausted: Vec<(SessionId, Cid)>,
}

impl Client {
    pub(crate) fn new(config: Config) -> Self {
        Self {
            config,
            next_session: 0,
            sessions: BTreeMap::new(),
            wants: HashMap::new(),
            unasked: VecDeque::new(),
            peers: HashMap::new(),
            windows: HashMap::new(),
        }
    }

    pub(crate) fn open_session(&mut self) -> SessionId {
        self.next_session += 1;
        let id = SessionId(self.next_session);
        self.sessions.insert(id, Session::default());
        id
    }

    /// Closes a session; gives whom to tell that a want is gone.
    pub(crate) fn close_session(&mut self, id: SessionId) -> Vec<(PeerId, Ask)> {
        let wants = self
            .sessions
            .get(&id)
            .map(|session| session.wants.clone())
            .unwrap_or_default();
        let cancels = wants
            .into_iter()
            .filter_map(|cid| self.cancel(id, cid))
            .collect();
        self.sessions.remove(&id);
        cancels
    }

    pub(crate) fn add_provider(&mut self, id: SessionId, peer: PeerId) {
        let Some(session) = self.sessions.get_mut(&id) else {
            return;
        };
        if !session.providers.contains(&peer) {
            session.providers.push(peer);
        }
        self.try_again(id, peer);
    }

    /// Wants a block; if it is wanted already, everybody may be asked again.
    pub(crate) fn want(&mut self, id: SessionId, cid: Cid) {
        let Some(session) = self.sessions.get_mut(&id) else {
            return;
        };
        session.wants.insert(cid);
        let want = self.wants.entry(cid).or_default();
        want.sessions.insert(id);
        want.failed.clear();
        want.exhausted = false;
        if want.asked.is_none() {
            self.unasked.push_back(cid);
        }
    }

    pub(crate) fn cancel(&mut self, id: SessionId, cid: Cid) -> Option<(PeerId, Ask)> {
        self.sessions.get_mut(&id)?.wants.remove(&cid);
        let want = self.wants.get_mut(&cid)?;
        want.sessions.remove(&id);
        if !want.sessions.is_empty() {
            return None;
        }
        let asked = self.wants.remove(&cid)?.asked.map(|(peer, _)| peer)?;
        self.forget_ask(&asked, &cid);
        Some((asked, Ask::Cancel(cid)))
    }

    pub(crate) fn set_window(&mut self, peer: PeerId, window: usize) {
        self.windows.insert(peer, window.max(1));
        if let Some(peer) = self.peers.get_mut(&peer) {
            peer.window = window.max(1);
        }
    }

    pub(crate) fn connected(&mut self, id: PeerId) {
        let window = self.windows.get(&id).copied().unwrap_or(self.config.window);
        let peer = Peer {
            window,
            asked: HashSet::new(),
            last_block: None,
        };
        self.peers.entry(id).or_insert(peer);
        let sessions: Vec<_> = self.sessions_with(&id);
        sessions
            .into_iter()
            .for_each(|session| self.try_again(session, id));
    }

    pub(crate) fn disconnected(&mut self, id: &PeerId) {
        self.windows.remove(id);
        let asked = self
            .peers
            .remove(id)
            .map(|peer| peer.asked)
            .unwrap_or_default();
        asked.into_iter().for_each(|cid| self.failed(id, cid));
    }

    /// The peer could not be told something: everything that it was asked is asked elsewhere.
    pub(crate) fn unreachable(&mut self, id: &PeerId) {
        let asked = self
            .peers
            .get_mut(id)
            .map(|peer| std::mem::take(&mut peer.asked));
        asked
            .into_iter()
            .flatten()
            .for_each(|cid| self.failed(id, cid));
    }

    /// A verified block came; gives the sessions that wanted it.
    pub(crate) fn received(&mut self, from: &PeerId, cid: &Cid, now: Instant) -> Vec<SessionId> {
        if let Some(peer) = self.peers.get_mut(from) {
            peer.last_block = Some(now);
        }
        let Some(want) = self.wants.remove(cid) else {
            return Vec::new();
        };
        if let Some((asked, _)) = want.asked {
            self.forget_ask(&asked, cid);
        }
        for id in &want.sessions {
            if let Some(session) = self.sessions.get_mut(id) {
                session.wants.remove(cid);
            }
        }
        want.sessions.into_iter().collect()
    }

    /// The peer says that it does not have the block.
    pub(crate) fn refused(&mut self, from: &PeerId, cid: Cid) {
        let asked = self.wants.get(&cid).and_then(|want| want.asked);
        if asked.is_some_and(|(peer, _)| peer == *from) {
            self.failed(from, cid);
        }
    }

    /// Asks what can be asked. `expired` says that silent peers are to be passed over.
    pub(crate) fn round(&mut self, now: Instant, expire: bool) -> Round {
        let mut round = Round::default();
        if expire {
            self.pass_over_silent(now, &mut round);
        }
        let mut waiting = VecDeque::new();
        while let Some(cid) = self.unasked.pop_front() {
            self.ask(cid, now, &mut waiting, &mut round);
        }
        self.unasked = waiting;
        round
    }

    fn ask(&mut self, cid: Cid, now: Instant, waiting: &mut VecDeque<Cid>, round: &mut Round) {
        let Some(want) = self.wants.get(&cid).filter(|want| want.asked.is_none()) else {
            return;
        };
        let providers = want.sessions.iter().filter_map(|id| self.sessions.get(id));
        let providers = providers.flat_map(|session| &session.providers);
        let candidates = providers.filter(|peer| !want.failed.contains(*peer));
        let connected = candidates.filter_map(|id| Some((*id, self.peers.get(id)?)));
        let idlest = connected.min_by_key(|(_, peer)| peer.asked.len());
        let chosen = idlest.map(|(id, peer)| (id, peer.asked.len() < peer.window));
        let Some(want) = self.wants.get_mut(&cid) else {
            return;
        };
        match chosen {
            Some((peer, true)) => {
                want.asked = Some((peer, now));
                want.exhausted = false;
                round.asks.entry(peer).or_default().push(Ask::Want(cid));
                if let Some(peer) = self.peers.get_mut(&peer) {
                    peer.asked.insert(cid);
                }
            }
            // Everybody who may have it is busy with what was asked before.
            Some((_, false)) => waiting.push_back(cid),
            None if !want.exhausted => {
                want.exhausted = true;
                round
                    .exhausted
                    .extend(want.sessions.iter().map(|id| (*id, cid)));
            }
            None => {}
        }
    }

    fn pass_over_silent(&mut self, now: Instant, round: &mut Round) {
        let timeout = self.config.stall_timeout;
        let silent = |cid: &Cid, want: &Want| {
            let (peer, since) = want.asked?;
            let last = self.peers.get(&peer).and_then(|peer| peer.last_block);
            let since = last.map_or(since, |last| last.max(since));
            (now.saturating_duration_since(since) >= timeout).then_some((peer, *cid))
        };
        let silent: Vec<_> = self
            .wants
            .iter()
            .filter_map(|(cid, want)| silent(cid, want))
            .collect();
        for (peer, cid) in silent {
            tracing::debug!(%peer, %cid, "no answer, asking another");
            self.forget_ask(&peer, &cid);
            self.failed(&peer, cid);
            round.asks.entry(peer).or_default().push(Ask::Cancel(cid));
        }
    }

    /// The peer will not bring the block.
    fn failed(&mut self, peer: &PeerId, cid: Cid) {
        self.forget_ask(peer, &cid);
        if let Some(want) = self.wants.get_mut(&cid) {
            want.asked = None;
            want.failed.insert(*peer);
            self.unasked.push_back(cid);
        }
    }

    /// The peer may be asked for what it failed to bring before.
    fn try_again(&mut self, session: SessionId, peer: PeerId) {
        let wants = self
            .sessions
            .get(&session)
            .map(|s| s.wants.clone())
            .unwrap_or_default();
        for cid in wants {
            if let Some(want) = self.wants.get_mut(&cid)
                && want.asked.is_none()
            {
                want.failed.remove(&peer);
                self.unasked.push_back(cid);
            }
        }
    }

    fn sessions_with(&self, peer: &PeerId) -> Vec<SessionId> {
        let with = self
            .sessions
            .iter()
            .filter(|(_, session)| session.providers.contains(peer));
        with.map(|(id, _)| *id).collect()
    }

    fn forget_ask(&mut self, peer: &PeerId, cid: &Cid) {
        if let Some(peer) = self.peers.get_mut(peer) {
            peer.asked.remove(cid);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use mc_types::cid;
    use std::time::Duration;

    fn cids(n: u8) -> Vec<Cid> {
        (0..n).map(|n| cid::of(cid::RAW, &[n])).collect()
    }

    fn wants(round: &Round, peer: &PeerId) -> usize {
        round.asks.get(peer).map_or(0, Vec::len)
    }

    #[test]
    fn wants_are_spread_over_providers_within_their_windows() {
        let mut client = Client::new(Config {
            window: 3,
            ..Config::default()
        });
        let (a, b) = (PeerId::random(), PeerId::random());
        let session = client.open_session();
        for peer in [a, b] {
            client.connected(peer);
            client.add_provider(session, peer);
        }
        cids(10)
            .into_iter()
            .for_each(|cid| client.want(session, cid));
        let now = Instant::now();
        let round = client.round(now, false);
        assert_eq!((wants(&round, &a), wants(&round, &b)), (3, 3));
        let first = cids(1)[0];
        let from = if round.asks[&a].contains(&Ask::Want(first)) {
            a
        } else {
            b
        };
        assert_eq!(client.received(&from, &first, now), [session]);
        assert_eq!(
            wants(&client.round(now, false), &from),
            1,
            "room for one more"
        );
    }

    #[test]
    fn refusal_silence_and_departure_lead_to_the_next_provider_and_then_to_exhaustion() {
        let mut client = Client::new(Config::default());
        let peers: Vec<_> = (0..3).map(|_| PeerId::random()).collect();
        let session = client.open_session();
        let cid = cids(1)[0];
        for peer in &peers {
            client.connected(*peer);
            client.add_provider(session, *peer);
        }
        client.want(session, cid);
        let begun = Instant::now();
        let asked = |round: &Round| {
            round
                .asks
                .iter()
                .find(|(_, asks)| asks.contains(&Ask::Want(cid)))
                .map(|(p, _)| *p)
        };
        let first = asked(&client.round(begun, false)).unwrap();
        client.refused(&first, cid);
        let second = asked(&client.round(begun, false)).unwrap();
        assert!(
            client
                .round(begun + Duration::from_secs(4), true)
                .asks
                .is_empty()
        );
        let round = client.round(begun + Duration::from_secs(6), true);
        assert_eq!(round.asks[&second], [Ask::Cancel(cid)]);
        let third = asked(&round).unwrap();
        assert_eq!(HashSet::from([first, second, third]).len(), 3);
        client.disconnected(&third);
        let round = client.round(begun, false);
        assert_eq!(round.exhausted, [(session, cid)]);
        assert!(client.round(begun, false).exhausted.is_empty(), "said once");
        client.connected(third);
        assert_eq!(
            asked(&client.round(begun, false)),
            Some(third),
            "asked again after return"
        );
    }

    #[test]
    fn two_sessions_share_one_want_and_it_lives_until_both_cancel() {
        let mut client = Client::new(Config::default());
        let peer = PeerId::random();
        client.connected(peer);
        let (one, two) = (client.open_session(), client.open_session());
        let cid = cids(1)[0];
        for session in [one, two] {
            client.add_provider(session, peer);
            client.want(session, cid);
        }
        assert_eq!(wants(&client.round(Instant::now(), false), &peer), 1);
        assert_eq!(client.cancel(one, cid), None);
        assert_eq!(client.close_session(two), [(peer, Ask::Cancel(cid))]);
        assert!(
            client.received(&peer, &cid, Instant::now()).is_empty(),
            "no longer wanted"
        );
    }
}
