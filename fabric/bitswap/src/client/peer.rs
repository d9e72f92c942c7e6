//! What is known of a peer: what it was asked, how fast it is, and whether it tells the truth.

use crate::Config;
use mc_types::{AdaptiveWindow, Cid};
use std::{
    collections::HashMap,
    time::{Duration, Instant},
};

/// Blocks that are asked from a peer before it has sent any.
const FIRST_WINDOW: usize = 8;
/// How many times larger the window may get while blocks are small.
const MAX_SMALLER: usize = 8;
/// A peer is asked for enough blocks to keep it busy for this long, and for at least this many.
const ASKED_AHEAD: Duration = Duration::from_secs(1);
const MIN_WINDOW: usize = 2;
/// After this many unrequested blocks, a peer is no longer asked.
const MAX_FAULTS: u32 = 3;
/// The weight of the newest time in the average, in eighths.
const NEWEST: u32 = 1;
/// Another peer is asked as well once this one takes this many times longer than usual, and at least this long.
const HEDGE_FACTOR: u32 = 4;
const HEDGE_MIN: Duration = Duration::from_millis(500);
/// The least such time for a peer that has brought nothing yet while others have. It is measured by them.
const HEDGE_MIN_UNPROVEN: Duration = Duration::from_millis(100);

#[derive(Debug)]
pub(super) struct Peer {
    window: usize,
    /// The window stays as it is: the peer cannot bear another.
    is_fixed: bool,
    pub(super) asked: HashMap<Cid, Instant>,
    pub(super) last_block: Option<Instant>,
    /// The average time between two blocks while some were asked for.
    pace: Option<Duration>,
    /// How far the window may grow.
    most: AdaptiveWindow,
    faults: u32,
}

impl Peer {
    pub(super) fn new(config: &Config, fixed: Option<usize>) -> Self {
        Self {
            window: fixed.unwrap_or_else(|| FIRST_WINDOW.min(config.window)),
            is_fixed: fixed.is_some(),
            asked: HashMap::new(),
            last_block: None,
            pace: None,
            most: AdaptiveWindow::new(config.window, config.window.saturating_mul(MAX_SMALLER)),
            faults: 0,
        }
    }

    pub(super) fn fix_window(&mut self, window: usize) {
        self.window = window;
        self.is_fixed = true;
    }

    pub(super) fn has_room(&self) -> bool {
        self.asked.len() < self.window.min(self.in_time()) && !self.is_banned()
    }

    /// How many blocks it is likely to send within [`ASKED_AHEAD`]. Blocks that would wait longer at a busy peer can be
    /// had from others by then: when many peers fetch the same from one, each asks it for other blocks.
    fn in_time(&self) -> usize {
        let pace = self.pace.unwrap_or_default().as_nanos();
        let blocks = ASKED_AHEAD.as_nanos().checked_div(pace);
        let blocks = blocks.and_then(|blocks| usize::try_from(blocks).ok());
        blocks.map_or(usize::MAX, |blocks| blocks.max(MIN_WINDOW))
    }

    /// It sent a block of this many bytes.
    pub(super) fn delivered(&mut self, cid: &Cid, bytes: usize, now: Instant) {
        if let Some(since) = self.asked.remove(cid) {
            let begin = self.last_block.map_or(since, |last| last.max(since));
            let took = now.saturating_duration_since(begin);
            self.pace = Some(match self.pace {
                Some(pace) => (pace * (8 - NEWEST) + took * NEWEST) / 8,
                None => took,
            });
            self.most.came(bytes);
            if !self.is_fixed {
                self.window = (self.window + 1).min(self.most.blocks());
            }
        }
        self.last_block = Some(now);
    }

    /// It sent something that nobody asked for; returns whether it will not be asked again.
    pub(super) fn fault(&mut self) -> bool {
        // It may go on as long as it likes.
        self.faults = self.faults.saturating_add(1);
        self.faults == MAX_FAULTS
    }

    pub(super) const fn is_banned(&self) -> bool {
        self.faults >= MAX_FAULTS
    }

    /// How long one more block is likely to take. Among peers that have sent none yet, the idlest is best.
    pub(super) fn expected(&self) -> (Duration, usize) {
        let asked = self.asked.len();
        let more = u32::try_from(asked + 1).unwrap_or(u32::MAX);
        (self.pace.unwrap_or_default().saturating_mul(more), asked)
    }

    /// The average time between two of its blocks, if it has brought any.
    pub(super) const fn pace(&self) -> Option<Duration> {
        self.pace
    }

    /// From when on the peer is so late with a block that another may be asked as well. The fastest of the others has
    /// the pace `fastest`.
    pub(super) fn is_late(&self, since: Instant, now: Instant, fastest: Option<Duration>) -> bool {
        let asked = u32::try_from(self.asked.len()).unwrap_or(u32::MAX);
        let least = match (self.pace, fastest) {
            (None, Some(_)) => HEDGE_MIN_UNPROVEN,
            _ => HEDGE_MIN,
        };
        let usual = self.pace.or(fastest).unwrap_or_default();
        let patience = usual.saturating_mul(asked.saturating_mul(HEDGE_FACTOR));
        now.saturating_duration_since(since) >= patience.max(least)
    }
}
