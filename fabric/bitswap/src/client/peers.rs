//! Peers that come and go, and what is asked elsewhere when they do.

use super::{Client, Peer};
use libp2p::PeerId;
use std::collections::HashMap;

impl Client {
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
    pub(super) fn give_up_on(&mut self, id: &PeerId) {
        let peer = self.peers.get_mut(id);
        let asked = peer.map(|peer| std::mem::take(&mut peer.asked));
        for cid in asked.into_iter().flat_map(HashMap::into_keys) {
            self.failed(id, cid);
        }
    }

    /// Messages from the peer, and questions to it, may be lost, so it is asked again.
    pub(super) fn forget(&mut self, id: &PeerId) {
        self.has_news = true;
        for (cid, want) in &mut self.wants {
            want.probed.remove(id);
            want.has.remove(id);
            want.queue(*cid, &mut self.unasked);
        }
    }
}
