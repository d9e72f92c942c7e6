//! Serving: what peers want, and what may be read for them now.

use crate::{
    Config,
    config::MAX_ENTRIES,
    message::{WANT_HAVE, Wantlist},
    protocol::parse_cid,
};
use libp2p::PeerId;
use mc_types::{Ahead, Cid};
use std::collections::{HashMap, VecDeque};

/// A want of a peer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Wanted {
    pub(crate) cid: Cid,
    /// Whether only the presence is asked for.
    pub(crate) have: bool,
    pub(crate) send_dont_have: bool,
}

/// Length of a block that is reckoned with while it is looked up, in bytes.
const BLOCK_BYTES: usize = 1 << 20;

#[derive(Debug)]
struct Peer {
    /// In the order in which they came. What was cancelled since is not in `wanted` any more.
    queue: VecDeque<Cid>,
    wanted: HashMap<Cid, Wanted>,
    /// What it wants and we do not have, and whether it wants to know only that.
    unmet: HashMap<Cid, bool>,
    /// Blocks that are being looked up, and how many may be.
    lookups: usize,
    most_lookups: Ahead,
    outgoing_bytes: usize,
    has_turn: bool,
}

impl Peer {
    fn new(config: &Config) -> Self {
        let lookups = config.max_outgoing_bytes_per_peer / BLOCK_BYTES;
        Self {
            queue: VecDeque::new(),
            wanted: HashMap::new(),
            unmet: HashMap::new(),
            lookups: 0,
            most_lookups: Ahead::new(lookups.max(1), config.max_store_reads),
            outgoing_bytes: 0,
            has_turn: false,
        }
    }

    /// Whether what is on its way, or may be soon, is as much as it may be.
    fn is_full(&self, config: &Config) -> bool {
        self.outgoing_bytes >= config.max_outgoing_bytes_per_peer
            || self.lookups >= self.most_lookups.blocks()
    }

    fn push(&mut self, wanted: Wanted) {
        if self.wanted.insert(wanted.cid, wanted).is_none() {
            self.queue.push_back(wanted.cid);
        }
    }

    fn pop(&mut self) -> Option<Wanted> {
        loop {
            let cid = self.queue.pop_front()?;
            if let Some(wanted) = self.wanted.remove(&cid) {
                return Some(wanted);
            }
        }
    }

    fn clear(&mut self) {
        self.queue.clear();
        self.wanted.clear();
        self.unmet.clear();
    }
}

/// The wants of all peers.
#[derive(Debug)]
pub(crate) struct Server {
    config: Config,
    peers: HashMap<PeerId, Peer>,
    /// Peers with something in their queue, in the order of their turn.
    turns: VecDeque<PeerId>,
}

impl Server {
    pub(crate) fn new(config: Config) -> Self {
        Self {
            config,
            peers: HashMap::new(),
            turns: VecDeque::new(),
        }
    }

    pub(crate) fn connected(&mut self, id: PeerId) {
        let new = || Peer::new(&self.config);
        self.peers.entry(id).or_insert_with(new);
    }

    pub(crate) fn disconnected(&mut self, id: &PeerId) {
        self.peers.remove(id);
        self.turns.retain(|peer| peer != id);
    }

    /// Takes note of a want-list. What is beyond the bounds is ignored; its sender asks again.
    pub(crate) fn wanted(&mut self, id: PeerId, list: Wantlist) {
        let Some(peer) = self.peers.get_mut(&id) else {
            return;
        };
        if list.full {
            peer.clear();
        }
        for entry in list.entries.into_iter().take(MAX_ENTRIES) {
            let Some(cid) = parse_cid(&entry.cid) else {
                continue;
            };
            if entry.cancel {
                peer.wanted.remove(&cid);
                peer.unmet.remove(&cid);
            } else if peer.queue.len() < self.config.max_wants_per_peer {
                peer.push(Wanted {
                    cid,
                    have: entry.want_type == WANT_HAVE,
                    send_dont_have: entry.send_dont_have,
                });
            }
        }
        self.enqueue(id);
    }

    /// The next want that may be looked up: peers take turns, and one whose line is full waits.
    pub(crate) fn next(&mut self) -> Option<(PeerId, Wanted)> {
        for _ in 0..self.turns.len() {
            let id = self.turns.pop_front()?;
            let Some(peer) = self.peers.get_mut(&id) else {
                continue;
            };
            if peer.is_full(&self.config) {
                self.turns.push_back(id);
                continue;
            }
            peer.has_turn = false;
            if let Some(wanted) = peer.pop() {
                peer.lookups += 1;
                self.enqueue(id);
                return Some((id, wanted));
            }
        }
        None
    }

    /// What [`Self::next`] gave has been looked up.
    pub(crate) fn looked_up(&mut self, id: &PeerId) {
        if let Some(peer) = self.peers.get_mut(id) {
            peer.lookups = peer.lookups.saturating_sub(1);
        }
    }

    /// A want could not be met; it is remembered for when the block comes.
    pub(crate) fn not_here(&mut self, id: &PeerId, wanted: &Wanted) {
        if let Some(peer) = self.peers.get_mut(id)
            && peer.unmet.len() < self.config.max_wants_per_peer
        {
            peer.unmet.insert(wanted.cid, wanted.have);
        }
    }

    /// Bytes are on their way to the peer; false when it has gone.
    pub(crate) fn sending(&mut self, id: &PeerId, bytes: usize) -> bool {
        let Some(peer) = self.peers.get_mut(id) else {
            return false;
        };
        peer.outgoing_bytes += bytes;
        peer.most_lookups.came(bytes);
        true
    }

    /// How much more the peer is going to get, as far as that is known.
    pub(crate) fn pending_bytes(&self, id: &PeerId) -> i32 {
        let outgoing = self.peers.get(id).map_or(0, |peer| peer.outgoing_bytes);
        i32::try_from(outgoing).unwrap_or(i32::MAX)
    }

    /// They have left.
    pub(crate) fn sent(&mut self, id: &PeerId, bytes: usize) {
        if let Some(peer) = self.peers.get_mut(id) {
            peer.outgoing_bytes = peer.outgoing_bytes.saturating_sub(bytes);
        }
    }

    /// Nothing is on its way any more.
    pub(crate) fn lost(&mut self, id: &PeerId) {
        if let Some(peer) = self.peers.get_mut(id) {
            peer.outgoing_bytes = 0;
        }
    }

    /// Blocks have come that peers may be waiting for.
    pub(crate) fn added(&mut self, cids: &[Cid]) {
        let mut ready = Vec::new();
        for (id, peer) in &mut self.peers {
            if peer.unmet.is_empty() {
                continue;
            }
            for cid in cids {
                if let Some(have) = peer.unmet.remove(cid) {
                    peer.push(Wanted {
                        cid: *cid,
                        have,
                        send_dont_have: false,
                    });
                    ready.push(*id);
                }
            }
        }
        ready.into_iter().for_each(|id| self.enqueue(id));
    }

    fn enqueue(&mut self, id: PeerId) {
        if let Some(peer) = self.peers.get_mut(&id)
            && !peer.queue.is_empty()
            && !peer.has_turn
        {
            peer.has_turn = true;
            self.turns.push_back(id);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::message::{Entry, WANT_BLOCK};
    use mc_types::cid;

    fn list(cids: &[Cid], cancel: bool) -> Wantlist {
        let entry = |cid: &Cid| Entry {
            cid: cid.to_bytes(),
            priority: 1,
            cancel,
            want_type: WANT_BLOCK,
            send_dont_have: true,
        };
        Wantlist {
            entries: cids.iter().map(entry).collect(),
            full: false,
        }
    }

    #[test]
    fn peers_take_turns_and_a_full_line_waits() {
        let mut server = Server::new(Config::default());
        let (a, b) = (PeerId::random(), PeerId::random());
        let cids: Vec<_> = (0..4u8).map(|n| cid::of(cid::RAW, &[n])).collect();
        for peer in [a, b] {
            server.connected(peer);
            server.wanted(peer, list(&cids, false));
        }
        let order: Vec<_> = (0..4).map(|_| server.next().unwrap().0).collect();
        assert_eq!(order, [a, b, a, b]);
        assert!(server.sending(&a, usize::MAX >> 1));
        assert_eq!(server.next().unwrap().0, b);
        assert_eq!(server.next().unwrap().0, b);
        assert_eq!(server.next(), None, "a waits until its line drains");
        server.sent(&a, usize::MAX >> 1);
        assert_eq!(server.next().unwrap().0, a);
    }

    #[test]
    fn cancelled_and_excess_wants_are_dropped() {
        let mut server = Server::new(Config {
            max_wants_per_peer: 2,
            ..Config::default()
        });
        let peer = PeerId::random();
        server.connected(peer);
        let cids: Vec<_> = (0..4u8).map(|n| cid::of(cid::RAW, &[n])).collect();
        server.wanted(peer, list(&cids, false));
        server.wanted(peer, list(&cids[..1], true));
        assert_eq!(server.next().unwrap().1.cid, cids[1]);
        assert_eq!(server.next(), None);
    }
}
