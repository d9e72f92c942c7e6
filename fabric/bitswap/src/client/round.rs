//! A round of asking: each want from the peer that is likely to bring it first.

use super::{Ask, Client, SessionId};
use libp2p::PeerId;
use mc_types::Cid;
use std::{
    collections::{BTreeSet, HashMap},
    time::Instant,
};

/// After this many wants in a row that had to wait, a round is over: the next ones would probably have to wait, too.
const MAX_WAITS: usize = 64;

/// What a round of asking came to.
#[derive(Debug, Default)]
pub(crate) struct Round {
    pub(crate) asks: HashMap<PeerId, Vec<Ask>>,
    pub(crate) exhausted: Vec<(SessionId, Cid)>,
}

impl Client {
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

    pub(super) fn ask_from(&mut self, peer: PeerId, cid: Cid, now: Instant) {
        if let Some(want) = self.wants.get_mut(&cid) {
            want.asked.push(peer);
            want.exhausted = false;
        }
        if let Some(peer) = self.peers.get_mut(&peer) {
            peer.asked.insert(cid, now);
        }
        self.tell(peer, Ask::Want(cid));
    }

    /// Asks the peers that may or may not have a block.
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
    pub(super) fn candidates(&self, cid: &Cid) -> Vec<PeerId> {
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
    pub(super) fn fastest(&self, candidates: &[PeerId]) -> Option<PeerId> {
        let with_room = candidates
            .iter()
            .filter_map(|id| Some((*id, self.peers.get(id).filter(|peer| peer.has_room())?)));
        let fastest = with_room.min_by_key(|(_, peer)| peer.expected());
        fastest.map(|(id, _)| id)
    }
}

#[cfg(test)]
mod tests;
