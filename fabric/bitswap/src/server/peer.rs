//! What one peer wants, and what is on its way to it.

use crate::{Config, rate::Rate};
use libp2p::swarm::ConnectionId;
use mc_types::{AdaptiveWindow, Cid};
use std::{
    collections::{HashMap, VecDeque},
    time::Instant,
};

/// A want of a peer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Wanted {
    pub(crate) cid: Cid,
    /// Whether only the presence is asked for.
    pub(crate) have: bool,
    pub(crate) send_dont_have: bool,
}

/// The length that is assumed for a block while it is looked up, in bytes.
const BLOCK_BYTES: usize = 1 << 20;

#[derive(Debug)]
pub(super) struct Peer {
    /// In the order in which they came. Those that were cancelled since are not in `wanted` any more.
    pub(super) queue: VecDeque<Cid>,
    pub(super) wanted: HashMap<Cid, Wanted>,
    /// What it wants and we do not have, and whether it only wants to know that.
    pub(super) unmet: HashMap<Cid, bool>,
    /// Blocks that are being looked up, and how many may be.
    pub(super) lookups: usize,
    pub(super) most_lookups: AdaptiveWindow,
    /// What waits to be sent, by connection: when a connection is lost, what waits for it is lost, too.
    pub(super) outgoing_bytes: HashMap<ConnectionId, usize>,
    /// Answers without blocks: those are not slowed down by what they take of the line.
    pub(super) presences: Rate,
    pub(super) has_turn: bool,
}

impl Peer {
    pub(super) fn new(config: &Config, now: Instant) -> Self {
        let lookups = config.max_outgoing_bytes_per_peer / BLOCK_BYTES;
        Self {
            queue: VecDeque::new(),
            wanted: HashMap::new(),
            unmet: HashMap::new(),
            lookups: 0,
            most_lookups: AdaptiveWindow::new(lookups.max(1), config.max_store_reads),
            outgoing_bytes: HashMap::new(),
            presences: Rate::new(config.max_presences_per_second, now),
            has_turn: false,
        }
    }

    pub(super) fn outgoing(&self) -> usize {
        self.outgoing_bytes.values().sum()
    }

    /// Whether as much as is allowed is on its way, or may be soon.
    pub(super) fn is_full(&mut self, config: &Config, now: Instant) -> bool {
        self.outgoing() >= config.max_outgoing_bytes_per_peer
            || self.lookups >= self.most_lookups.blocks()
            || !self.presences.wait(now).is_zero()
    }

    pub(super) fn push(&mut self, wanted: Wanted) {
        if self.wanted.insert(wanted.cid, wanted).is_none() {
            self.queue.push_back(wanted.cid);
        }
    }

    pub(super) fn pop(&mut self) -> Option<Wanted> {
        loop {
            let cid = self.queue.pop_front()?;
            if let Some(wanted) = self.wanted.remove(&cid) {
                return Some(wanted);
            }
        }
    }

    pub(super) fn clear(&mut self) {
        self.queue.clear();
        self.wanted.clear();
        self.unmet.clear();
    }
}
