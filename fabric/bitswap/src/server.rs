//! Serving: what peers want, and what may be read for them now.

mod peer;

pub(crate) use peer::Wanted;

use crate::{
    Config,
    config::MAX_ENTRIES,
    message::{WANT_HAVE, Wantlist},
    protocol::parse_cid,
};
use libp2p::{PeerId, swarm::ConnectionId};
use mc_types::Cid;
use peer::Peer;
use std::{
    collections::{HashMap, VecDeque},
    time::Instant,
};

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

    pub(crate) fn connected(&mut self, id: PeerId, now: Instant) {
        let new = || Peer::new(&self.config, now);
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
    pub(crate) fn next(&mut self, now: Instant) -> Option<(PeerId, Wanted)> {
        for _ in 0..self.turns.len() {
            let id = self.turns.pop_front()?;
            let Some(peer) = self.peers.get_mut(&id) else {
                continue;
            };
            if peer.is_full(&self.config, now) {
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

    /// A block of this many bytes was found for the peer.
    pub(crate) fn found(&mut self, id: &PeerId, bytes: usize) {
        if let Some(peer) = self.peers.get_mut(id) {
            peer.most_lookups.came(bytes);
        }
    }

    /// The peer is told whether a block is here.
    pub(crate) fn told(&mut self, id: &PeerId, now: Instant) {
        if let Some(peer) = self.peers.get_mut(id) {
            peer.presences.spend(1, now);
        }
    }

    /// An answer of this many bytes waits to be sent over this connection.
    pub(crate) fn sending(&mut self, id: &PeerId, connection: ConnectionId, bytes: usize) {
        if let Some(peer) = self.peers.get_mut(id) {
            *peer.outgoing_bytes.entry(connection).or_default() += bytes;
        }
    }

    /// How many more bytes the peer is going to get, as far as that is known.
    pub(crate) fn pending_bytes(&self, id: &PeerId) -> i32 {
        let outgoing = self.peers.get(id).map_or(0, Peer::outgoing);
        i32::try_from(outgoing).unwrap_or(i32::MAX)
    }

    /// Answers have left, or were given up.
    pub(crate) fn sent(&mut self, id: &PeerId, connection: ConnectionId, bytes: usize) {
        if let Some(peer) = self.peers.get_mut(id)
            && let Some(outgoing) = peer.outgoing_bytes.get_mut(&connection)
        {
            *outgoing = outgoing.saturating_sub(bytes);
        }
    }

    /// A connection is closed; what waited for it is gone.
    pub(crate) fn closed(&mut self, id: &PeerId, connection: ConnectionId) {
        if let Some(peer) = self.peers.get_mut(id) {
            peer.outgoing_bytes.remove(&connection);
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
    use std::time::Duration;

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

    fn line(number: usize) -> ConnectionId {
        ConnectionId::new_unchecked(number)
    }

    #[test]
    fn peers_take_turns_and_a_full_line_waits() {
        let now = Instant::now();
        let mut server = Server::new(Config::default());
        let (a, b) = (PeerId::random(), PeerId::random());
        let cids: Vec<_> = (0..4u8).map(|n| cid::of(cid::RAW, &[n])).collect();
        for peer in [a, b] {
            server.connected(peer, now);
            server.wanted(peer, list(&cids, false));
        }
        let order: Vec<_> = (0..4).map(|_| server.next(now).unwrap().0).collect();
        assert_eq!(order, [a, b, a, b]);
        server.sending(&a, line(1), usize::MAX >> 1);
        assert_eq!(server.next(now).unwrap().0, b);
        assert_eq!(server.next(now).unwrap().0, b);
        assert_eq!(server.next(now), None, "a waits until its line drains");
        // That another line is closed does not drain this one.
        server.closed(&a, line(2));
        server.sent(&a, line(2), usize::MAX >> 1);
        assert_eq!(server.next(now), None);
        server.sent(&a, line(1), usize::MAX >> 1);
        assert_eq!(server.next(now).unwrap().0, a);
    }

    /// Answers without blocks cost memory and time as well.
    #[test]
    fn who_only_asks_what_is_here_waits_too() {
        let begin = Instant::now();
        let mut server = Server::new(Config {
            max_presences_per_second: 1,
            ..Config::default()
        });
        let peer = PeerId::random();
        server.connected(peer, begin);
        let cids: Vec<_> = (0..9u8).map(|n| cid::of(cid::RAW, &[n])).collect();
        server.wanted(peer, list(&cids, false));
        let mut answered = 0;
        while let Some((id, _)) = server.next(begin) {
            server.looked_up(&id);
            server.told(&id, begin);
            answered += 1;
        }
        assert_eq!(answered, 5, "a burst, and one more");
        assert!(server.next(begin + Duration::from_millis(900)).is_none());
        assert!(server.next(begin + Duration::from_secs(1)).is_some());
    }

    #[test]
    fn cancelled_and_excess_wants_are_dropped() {
        let mut server = Server::new(Config {
            max_wants_per_peer: 2,
            ..Config::default()
        });
        let (peer, now) = (PeerId::random(), Instant::now());
        server.connected(peer, now);
        let cids: Vec<_> = (0..4u8).map(|n| cid::of(cid::RAW, &[n])).collect();
        server.wanted(peer, list(&cids, false));
        server.wanted(peer, list(&cids[..1], true));
        assert_eq!(server.next(now).unwrap().1.cid, cids[1]);
        assert_eq!(server.next(now), None);
    }
}
