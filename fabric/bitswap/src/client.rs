//! Asking: which want is asked from which peer. Pure, with the time passed in.
//!
//! A session has *providers*, of which it is assumed that they have everything, and *others*, which are asked
//! for each want whether they have it (want-have) and for the block only if they do. A want is asked from the
//! peer that is likely to bring it first; from a second one as well when that takes much longer than usual.

mod peer;

use crate::Config;
use libp2p::PeerId;
use mc_types::Cid;
use peer::Peer;
use std::{
    collections::{BTreeMap, BTreeSet, HashMap, HashSet, VecDeque},
    time::Instant,
};

/// Peers that a want is asked from at a time.
const MAX_ASKED: usize = 2;
/// Peers of a session that are asked what they have.
const MAX_OTHERS: usize = 512;
/// A peer of a session that has none of the blocks that it was asked about is asked no more after lacking this many.
const MAX_MISSES: u32 = 64;
/// How many blocks are remembered that came lately or are no longer wanted: an honest peer may still send them.
const MAX_RECENT: usize = 4096;

/// After so many wants in a row that had to wait, a round is over: the next ones would probably have to wait, too.
const MAX_WAITS: usize = 64;

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

    pub(crate) fn open_session(&mut self) -> SessionId {
        self.next_session += 1;
        let id = SessionId(self.next_session);
        self.sessions.insert(id, Session::default());
        id
    }

    /// Closes a session, and cancels its wants.
    pub(crate) fn close_session(&mut self, id: SessionId) {
        let wants = self.sessions.get(&id).map(|session| session.wants.clone());
        for cid in wants.into_iter().flatten() {
            self.cancel(id, cid);
        }
        self.sessions.remove(&id);
    }

    /// A peer that is said to have what the session wants.
    pub(crate) fn add_provider(&mut self, id: SessionId, peer: PeerId) {
        let Some(session) = self.sessions.get_mut(&id) else {
            return;
        };
        session.others.remove(&peer);
        session.providers.insert(peer);
        self.try_again(id, peer);
    }

    /// A peer that may have some of what the session wants.
    pub(crate) fn add_other(&mut self, id: SessionId, peer: PeerId) {
        let Some(session) = self.sessions.get_mut(&id) else {
            return;
        };
        let is_full = session.others.len() >= MAX_OTHERS;
        let is_known = session.providers.contains(&peer) || session.others.contains_key(&peer);
        if !is_full && !is_known {
            session.others.insert(peer, Tally::default());
            self.try_again(id, peer);
        }
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
        if want.asked.is_empty() {
            // Whoever did not answer is asked again.
            want.probed.clear();
            self.fresh.push_back(cid);
        }
        self.has_news = true;
    }

    /// The session wants a block no more.
    pub(crate) fn cancel(&mut self, id: SessionId, cid: Cid) {
        if let Some(session) = self.sessions.get_mut(&id) {
            session.wants.remove(&cid);
        }
        let Some(want) = self.wants.get_mut(&cid) else {
            return;
        };
        want.sessions.remove(&id);
        if want.sessions.is_empty()
            && let Some(want) = self.wants.remove(&cid)
        {
            self.ended(cid, &want, None);
        }
    }

    pub(crate) fn set_window(&mut self, peer: PeerId, window: usize) {
        let window = window.max(1);
        self.windows.insert(peer, window);
        if let Some(peer) = self.peers.get_mut(&peer) {
            peer.fix_window(window);
        }
    }

    pub(crate) fn connected(&mut self, id: PeerId) {
        let fixed = self.windows.get(&id).copied();
        let new = || Peer::new(&self.config, fixed);
        self.peers.entry(id).or_insert_with(new);
        for session in self.sessions_with(&id) {
            self.try_again(session, id);
        }
    }

    pub(crate) fn disconnected(&mut self, id: &PeerId) {
        self.windows.remove(id);
        self.outbox.remove(id);
        let asked = self.peers.remove(id).map(|peer| peer.asked);
        self.forget(id);
        for cid in asked.into_iter().flat_map(HashMap::into_keys) {
            self.failed(id, cid);
        }
    }

    /// The peer could not be told something: everything that it was asked for is asked elsewhere.
    pub(crate) fn unreachable(&mut self, id: &PeerId) {
        self.outbox.remove(id);
        self.forget(id);
        self.give_up_on(id);
    }

    /// What the peer was asked for, and has not brought, is asked elsewhere.
    fn give_up_on(&mut self, id: &PeerId) {
        let peer = self.peers.get_mut(id);
        let asked = peer.map(|peer| std::mem::take(&mut peer.asked));
        for cid in asked.into_iter().flat_map(HashMap::into_keys) {
            self.failed(id, cid);
        }
    }

    /// Messages from the peer, and questions to it, may be lost: it is asked anew.
    fn forget(&mut self, id: &PeerId) {
        self.has_news = true;
        for (cid, want) in &mut self.wants {
            want.probed.remove(id);
            want.has.remove(id);
            want.queue(*cid, &mut self.unasked);
        }
    }

    /// A verified block of so many bytes came; returns the sessions that wanted it.
    pub(crate) fn received(
        &mut self,
        from: &PeerId,
        (cid, bytes): (&Cid, usize),
        now: Instant,
    ) -> Vec<SessionId> {
        self.has_news = true;
        if let Some(peer) = self.peers.get_mut(from) {
            peer.delivered(cid, bytes, now);
        }
        let Some(want) = self.wants.remove(cid) else {
            if !self.recent.contains(cid) {
                self.misbehaved(from);
            }
            return Vec::new();
        };
        self.ended(*cid, &want, Some(from));
        for id in &want.sessions {
            if let Some(session) = self.sessions.get_mut(id) {
                session.wants.remove(cid);
            }
        }
        want.sessions.into_iter().collect()
    }

    /// The peer sent what nobody can have asked it for.
    pub(crate) fn misbehaved(&mut self, id: &PeerId) {
        let is_banned = self.peers.get_mut(id).is_some_and(Peer::fault);
        if is_banned {
            tracing::warn!(peer = %id, "sends what was not asked for; it is not asked any more");
            self.forget(id);
            self.give_up_on(id);
        }
    }

    /// A want is over: the peers that were asked for it are told so, except the one that brought it.
    fn ended(&mut self, cid: Cid, want: &Want, from: Option<&PeerId>) {
        let told: HashSet<_> = want.asked.iter().chain(want.probed.keys()).collect();
        for peer in told {
            self.forget_ask(peer, &cid);
            if Some(peer) != from {
                self.tell(*peer, Ask::Cancel(cid));
            }
        }
        if self.recent.insert(cid) {
            self.recent_order.push_back(cid);
        }
        if self.recent_order.len() > MAX_RECENT
            && let Some(oldest) = self.recent_order.pop_front()
        {
            self.recent.remove(&oldest);
        }
    }

    /// The peer says that it has the block.
    pub(crate) fn offered(&mut self, from: &PeerId, cid: Cid) {
        self.has_news = true;
        // It may have got it only now, some time after it was asked.
        let Some(want) = self.wants.get_mut(&cid) else {
            return;
        };
        want.has.insert(*from);
        want.failed.remove(from);
        want.queue(cid, &mut self.unasked);
        for id in &want.sessions {
            let session = self.sessions.get_mut(id);
            if let Some(tally) = session.and_then(|session| session.others.get_mut(from)) {
                tally.hits = tally.hits.saturating_add(1);
            }
        }
    }

    /// The peer says that it does not have the block.
    pub(crate) fn refused(&mut self, from: &PeerId, cid: Cid) {
        let Some(want) = self.wants.get_mut(&cid) else {
            return;
        };
        want.has.remove(from);
        for id in &want.sessions {
            let Some(session) = self.sessions.get_mut(id) else {
                continue;
            };
            if let Some(tally) = session.others.get_mut(from) {
                tally.misses = tally.misses.saturating_add(1);
                if tally.hits == 0 && tally.misses >= MAX_MISSES {
                    session.others.remove(from);
                }
            }
        }
        if want.probed.contains_key(from) || want.asked.contains(from) {
            self.failed(from, cid);
        }
    }

    /// Asks for all that can be asked for. With `expire`, peers that are silent or late are passed over.
    pub(crate) fn round(&mut self, now: Instant, expire: bool) -> Round {
        let mut exhausted = Vec::new();
        if expire {
            self.pass_over_silent(now);
            self.ask_second(now);
        }
        let mut waiting = Vec::new();
        while waiting.len() < MAX_WAITS
            && let Some(cid) = self.fresh.pop_front().or_else(|| self.next_queued())
        {
            if self.ask(cid, now, &mut exhausted) {
                waiting.push(cid);
            }
        }
        for cid in waiting {
            if let Some(want) = self.wants.get_mut(&cid) {
                want.queue(cid, &mut self.unasked);
            }
        }
        // What was asked just now is told with this round.
        self.has_news = false;
        Round {
            asks: std::mem::take(&mut self.outbox),
            exhausted,
        }
    }

    /// The next want that may have to be asked from somebody.
    fn next_queued(&mut self) -> Option<Cid> {
        while let Some(cid) = self.unasked.pop_front() {
            // A block that was no longer wanted, and then wanted again, may be there twice.
            if let Some(want) = self.wants.get_mut(&cid)
                && std::mem::take(&mut want.is_queued)
            {
                return Some(cid);
            }
        }
        None
    }

    fn tell(&mut self, peer: PeerId, ask: Ask) {
        self.has_news = true;
        if self.peers.contains_key(&peer) {
            self.outbox.entry(peer).or_default().push(ask);
        }
    }

    /// Asks somebody for a block that nobody is asked for yet; returns whether that has to wait.
    fn ask(&mut self, cid: Cid, now: Instant, exhausted: &mut Vec<(SessionId, Cid)>) -> bool {
        if self.wants.get(&cid).is_none_or(|w| !w.asked.is_empty()) {
            return false;
        }
        self.probe(cid, now);
        let candidates = self.candidates(&cid);
        if let Some(peer) = self.fastest(&candidates) {
            self.ask_from(peer, cid, now);
            return false;
        }
        let Some(want) = self.wants.get_mut(&cid) else {
            return false;
        };
        // Every peer that may have it is busy with what it was asked for before, or has yet to say whether it has it.
        if !candidates.is_empty() || !want.probed.is_empty() {
            return !candidates.is_empty();
        }
        if !want.exhausted {
            want.exhausted = true;
            exhausted.extend(want.sessions.iter().map(|id| (*id, cid)));
        }
        false
    }

    fn ask_from(&mut self, peer: PeerId, cid: Cid, now: Instant) {
        if let Some(want) = self.wants.get_mut(&cid) {
            want.asked.push(peer);
            want.exhausted = false;
        }
        if let Some(peer) = self.peers.get_mut(&peer) {
            peer.asked.insert(cid, now);
        }
        self.tell(peer, Ask::Want(cid));
    }

    /// Asks the peers of which nobody knows yet whether they have a block.
    fn probe(&mut self, cid: Cid, now: Instant) {
        let Some(want) = self.wants.get_mut(&cid) else {
            return;
        };
        let sessions = want.sessions.iter().filter_map(|id| self.sessions.get(id));
        let others: Vec<_> = sessions
            .flat_map(|session| session.others.keys())
            .filter(|peer| !want.probed.contains_key(*peer) && !want.failed.contains(*peer))
            .filter(|peer| self.peers.get(*peer).is_some_and(|p| !p.is_banned()))
            .copied()
            .collect();
        for peer in others {
            want.probed.insert(peer, now);
            self.outbox.entry(peer).or_default().push(Ask::Have(cid));
        }
    }

    /// Connected peers from which a block may be had.
    fn candidates(&self, cid: &Cid) -> Vec<PeerId> {
        let Some(want) = self.wants.get(cid) else {
            return Vec::new();
        };
        let sessions = want.sessions.iter().filter_map(|id| self.sessions.get(id));
        let providers = sessions.flat_map(|session| &session.providers);
        let usable = |peer: &&PeerId| {
            !want.failed.contains(*peer)
                && !want.asked.contains(*peer)
                && self.peers.get(*peer).is_some_and(|p| !p.is_banned())
        };
        let all: BTreeSet<_> = providers.chain(&want.has).filter(usable).collect();
        all.into_iter().copied().collect()
    }

    /// Of these peers, the one that is likely to bring one more block first.
    fn fastest(&self, candidates: &[PeerId]) -> Option<PeerId> {
        let with_room = candidates
            .iter()
            .filter_map(|id| Some((*id, self.peers.get(id).filter(|peer| peer.has_room())?)));
        let fastest = with_room.min_by_key(|(_, peer)| peer.expected());
        fastest.map(|(id, _)| id)
    }

    /// Asks another peer for what takes much longer than usual.
    fn ask_second(&mut self, now: Instant) {
        let fastest = self.peers.values().filter_map(Peer::pace).min();
        let mut late = Vec::new();
        for peer in self.peers.values() {
            let asked = peer
                .asked
                .iter()
                .filter(|(_, since)| peer.is_late(**since, now, fastest));
            late.extend(asked.map(|(cid, _)| *cid));
        }
        for cid in late {
            let asked = self.wants.get(&cid).map_or(0, |want| want.asked.len());
            if (1..MAX_ASKED).contains(&asked)
                && let Some(peer) = self.fastest(&self.candidates(&cid))
            {
                tracing::debug!(%peer, %cid, "late, asking another too");
                self.ask_from(peer, cid, now);
            }
        }
    }

    /// Asks nobody any longer who has sent nothing for a while.
    fn pass_over_silent(&mut self, now: Instant) {
        let timeout = self.config.stall_timeout;
        let is_over = |since: Instant| now.saturating_duration_since(since) >= timeout;
        let mut silent = Vec::new();
        for (id, peer) in &self.peers {
            let over = |since: Instant| {
                let since = peer.last_block.map_or(since, |last| last.max(since));
                is_over(since)
            };
            let asked = peer.asked.iter().filter(|(_, since)| over(**since));
            silent.extend(asked.map(|(cid, _)| (*id, *cid)));
        }
        for (cid, want) in &self.wants {
            let probed = want.probed.iter().filter(|(id, _)| !want.has.contains(*id));
            let probed = probed.filter(|(_, since)| is_over(**since));
            silent.extend(probed.map(|(id, _)| (*id, *cid)));
        }
        for (peer, cid) in silent {
            tracing::debug!(%peer, %cid, "no answer, asking another");
            self.failed(&peer, cid);
            self.tell(peer, Ask::Cancel(cid));
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

    /// The peer may be asked for what it failed to bring before.
    fn try_again(&mut self, session: SessionId, peer: PeerId) {
        self.has_news = true;
        let wants = self.sessions.get(&session).map(|s| s.wants.clone());
        for cid in wants.into_iter().flatten() {
            if let Some(want) = self.wants.get_mut(&cid)
                && want.asked.is_empty()
            {
                want.failed.remove(&peer);
                want.queue(cid, &mut self.unasked);
            }
        }
    }

    fn sessions_with(&self, peer: &PeerId) -> Vec<SessionId> {
        let has = |session: &Session| {
            session.providers.contains(peer) || session.others.contains_key(peer)
        };
        let with = self.sessions.iter().filter(|(_, session)| has(session));
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

    /// Length of a block in these tests.
    const LONG: usize = 1 << 20;

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
        assert_eq!(client.received(&from, (&first, LONG), now), [session]);
        let round = client.round(now, false);
        assert_eq!(wants(&round, &from), 1, "room for one more");
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
        let early = client.round(begun + Duration::from_millis(400), true);
        assert!(early.asks.is_empty());
        // When it is late, the third is asked as well.
        let late = client.round(begun + Duration::from_secs(4), true);
        let third = |_: &Round| asked(&late).unwrap();
        let round = client.round(begun + Duration::from_secs(6), true);
        assert_eq!(round.asks[&second], [Ask::Cancel(cid)]);
        let third = third(&round);
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
        client.cancel(one, cid);
        assert!(client.round(Instant::now(), false).asks.is_empty());
        client.close_session(two);
        let round = client.round(Instant::now(), false);
        assert_eq!(round.asks[&peer], [Ask::Cancel(cid)]);
        assert!(
            client
                .received(&peer, (&cid, LONG), Instant::now())
                .is_empty(),
            "no longer wanted"
        );
    }

    #[test]
    fn others_are_asked_what_they_have_and_only_then_for_it() {
        let mut client = Client::new(Config::default());
        let (a, b) = (PeerId::random(), PeerId::random());
        let session = client.open_session();
        for peer in [a, b] {
            client.connected(peer);
            client.add_other(session, peer);
        }
        let cid = cids(1)[0];
        client.want(session, cid);
        let now = Instant::now();
        let round = client.round(now, false);
        for peer in [a, b] {
            assert_eq!(round.asks[&peer], [Ask::Have(cid)]);
        }
        assert!(round.exhausted.is_empty(), "not before they have answered");
        client.refused(&a, cid);
        assert!(client.round(now, false).exhausted.is_empty());
        client.offered(&b, cid);
        assert_eq!(client.round(now, false).asks[&b], [Ask::Want(cid)]);
        client.refused(&b, cid);
        assert_eq!(client.round(now, false).exhausted, [(session, cid)]);
        // Those that never say anything count as having nothing.
        client.want(session, cid);
        assert_eq!(client.round(now, false).asks.len(), 2);
        let later = now + Duration::from_secs(6);
        assert_eq!(client.round(later, true).exhausted, [(session, cid)]);
    }

    #[test]
    fn who_sends_what_was_not_asked_for_is_not_asked_any_more() {
        let mut client = Client::new(Config::default());
        let (liar, good) = (PeerId::random(), PeerId::random());
        let session = client.open_session();
        for peer in [liar, good] {
            client.connected(peer);
            client.add_provider(session, peer);
        }
        for cid in cids(4) {
            client.want(session, cid);
        }
        let now = Instant::now();
        let round = client.round(now, false);
        assert!(wants(&round, &liar) > 0);
        for n in 100..103_u8 {
            let lie = cid::of(cid::RAW, &[n, n]);
            assert!(client.received(&liar, (&lie, LONG), now).is_empty());
        }
        let round = client.round(now, false);
        assert!(!round.asks.contains_key(&liar));
        assert!(
            wants(&round, &good) > 0,
            "all of it is asked from the other"
        );
        let mut brought = 0;
        for cid in cids(4) {
            brought += client.received(&good, (&cid, LONG), now).len();
        }
        assert_eq!(brought, 4);
        // What comes late is no lie.
        for cid in cids(4) {
            client.received(&good, (&cid, LONG), now);
        }
        client.want(session, cid::of(cid::RAW, b"more"));
        assert_eq!(wants(&client.round(now, false), &good), 1);
    }

    /// Wants take no more memory for what peers say about them, or for peers that come and go.
    #[test]
    fn what_peers_say_again_and_again_is_not_remembered_twice() {
        let mut client = Client::new(Config {
            window: 1,
            ..Config::default()
        });
        let (peer, session) = (PeerId::random(), client.open_session());
        client.connected(peer);
        client.add_other(session, peer);
        let all = cids(200);
        all.iter().for_each(|cid| client.want(session, *cid));
        let now = Instant::now();
        for _ in 0..100 {
            for cid in &all {
                client.offered(&peer, *cid);
            }
            client.disconnected(&PeerId::random());
            client.round(now, false);
        }
        let queued = client.fresh.len() + client.unasked.len();
        assert!(queued <= 2 * all.len(), "{queued}");
    }

    #[test]
    fn of_small_blocks_more_are_asked_at_a_time() {
        let most_asked = |bytes: usize| {
            let mut client = Client::new(Config::default());
            let (peer, session) = (PeerId::random(), client.open_session());
            client.connected(peer);
            client.add_provider(session, peer);
            let all: Vec<_> = (0..2000_u32)
                .map(|n| cid::of(cid::RAW, &n.to_le_bytes()))
                .collect();
            all.iter().for_each(|cid| client.want(session, *cid));
            let now = Instant::now();
            let (mut asked, mut most) = (VecDeque::new(), 0);
            for _ in 0..1000 {
                let mut round = client.round(now, false);
                let asks = round.asks.remove(&peer).unwrap_or_default();
                asked.extend(asks.into_iter().filter_map(|ask| match ask {
                    Ask::Want(cid) => Some(cid),
                    _ => None,
                }));
                most = most.max(asked.len());
                let cid = asked.pop_front().unwrap();
                client.received(&peer, (&cid, bytes), now);
            }
            most
        };
        assert_eq!(most_asked(2 * LONG), 32);
        assert_eq!(most_asked(LONG), 32);
        assert_eq!(most_asked(LONG / 2), 64);
        assert_eq!(most_asked(1000), 256);
    }

    #[test]
    fn who_has_brought_nothing_is_measured_by_those_who_have() {
        let mut client = Client::new(Config {
            window: 2,
            ..Config::default()
        });
        let (silent, good) = (PeerId::random(), PeerId::random());
        let session = client.open_session();
        for peer in [silent, good] {
            client.connected(peer);
            client.add_provider(session, peer);
        }
        for cid in cids(4) {
            client.want(session, cid);
        }
        let begun = Instant::now();
        let round = client.round(begun, false);
        assert_eq!((wants(&round, &silent), wants(&round, &good)), (2, 2));
        let later = |millis| begun + Duration::from_millis(millis);
        let nobody = client.round(later(200), true);
        assert!(nobody.asks.is_empty(), "nobody has brought anything");
        for ask in &round.asks[&good] {
            if let Ask::Want(cid) = ask {
                client.received(&good, (cid, LONG), later(210));
            }
        }
        let round = client.round(later(250), true);
        assert!(round.asks.is_empty(), "not longer than the good one took");
        let round = client.round(later(2000), true);
        assert_eq!(wants(&round, &good), 2, "what the silent one was asked");
    }

    #[test]
    fn the_faster_of_two_is_asked_more() {
        let mut client = Client::new(Config::default());
        let (slow, fast) = (PeerId::random(), PeerId::random());
        let session = client.open_session();
        for peer in [slow, fast] {
            client.connected(peer);
            client.add_provider(session, peer);
        }
        let all: Vec<_> = (0..1000_u32)
            .map(|n| cid::of(cid::RAW, &n.to_le_bytes()))
            .collect();
        all.iter().for_each(|cid| client.want(session, *cid));
        let begun = Instant::now();
        let mut queues: HashMap<PeerId, VecDeque<Cid>> = HashMap::new();
        let mut brought: HashMap<PeerId, usize> = HashMap::new();
        // The fast one brings a block each millisecond, the slow one every ten.
        for millis in 0..400 {
            let now = begun + Duration::from_millis(millis);
            for (peer, asks) in client.round(now, millis % 250 == 0).asks {
                for ask in asks {
                    if let Ask::Want(cid) = ask {
                        queues.entry(peer).or_default().push_back(cid);
                    }
                }
            }
            for (peer, every) in [(fast, 1), (slow, 10)] {
                if millis % every == 0
                    && let Some(cid) = queues.entry(peer).or_default().pop_front()
                {
                    *brought.entry(peer).or_default() += 1;
                    client.received(&peer, (&cid, LONG), now);
                }
            }
        }
        assert!(brought[&fast] >= 390, "{brought:?}");
        assert!(brought[&slow] >= 30, "{brought:?}");
    }
}
