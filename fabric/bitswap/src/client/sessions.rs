//! What sessions want, and whom they name for it.

use super::{Client, Session, SessionId, Tally};
use libp2p::PeerId;
use mc_types::Cid;

/// Peers of a session that are asked what they have.
const MAX_OTHERS: usize = 512;

impl Client {
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

    /// A peer that may have what the session wants.
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
            // Peers that did not answer are asked again.
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

    /// The peer may be asked for what it failed to bring before.
    pub(super) fn try_again(&mut self, session: SessionId, peer: PeerId) {
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

    pub(super) fn sessions_with(&self, peer: &PeerId) -> Vec<SessionId> {
        let has = |session: &Session| {
            session.providers.contains(peer) || session.others.contains_key(peer)
        };
        let with = self.sessions.iter().filter(|(_, session)| has(session));
        with.map(|(id, _)| *id).collect()
    }
}

#[cfg(test)]
mod tests {
    use crate::{
        Config,
        client::{
            Ask, Client,
            testing::{LONG, cids, wants},
        },
    };
    use libp2p::PeerId;
    use std::time::Instant;

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
}
