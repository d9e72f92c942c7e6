//! What the tests of several parts need.

use super::round::Round;
use libp2p::PeerId;
use mc_types::{Cid, cid};

/// Length of a block in these tests.
pub(super) const LONG: usize = 1 << 20;

pub(super) fn cids(n: u8) -> Vec<Cid> {
    (0..n).map(|n| cid::of(cid::RAW, &[n])).collect()
}

pub(super) fn wants(round: &Round, peer: &PeerId) -> usize {
    round.asks.get(peer).map_or(0, Vec::len)
}
