//! What peers send: blocks, whether they have them, and what nobody asked for.

use super::{Ask, Client, Peer, SessionId, Want};
use libp2p::PeerId;
use mc_types::Cid;
use std::{collections::HashSet, time::Instant};

/// A peer of a session that has none of the blocks that it was asked about is asked no more after lacking this many.
const MAX_MISSES: u32 = 64;
/// How many blocks are remembered that came lately or are no longer wanted: an honest peer may still send them.
const MAX_RECENT: usize = 4096;

impl Client {
    /// A verified block of this many bytes came; returns the sessions that wanted it.
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
    pub(super) fn ended(&mut self, cid: Cid, want: &Want, from: Option<&PeerId>) {
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
}

#[cfg(test)]
mod tests {
    use crate::{
        Config,
        client::{
            Client,
            testing::{LONG, cids, wants},
        },
    };
    use libp2p::PeerId;
    use mc_types::cid;
    use std::time::Instant;

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
}
