//! The workers and their free slots.

use crate::command::{WorkerOffer, WorkerView};
use mc_types::NodeId;
use std::collections::{BTreeMap, BTreeSet};

/// What the workers lend at the moment.
#[derive(Debug, Default)]
pub(crate) struct Workers {
    workers: BTreeMap<NodeId, WorkerOffer>,
    /// Those with a free slot.
    free: BTreeSet<NodeId>,
    /// Where the next search begins, so that workers take turns.
    turn: Option<NodeId>,
}

impl Workers {
    /// Takes note of what a worker says. Its word replaces our own count; if an offer was under way
    /// while it spoke, the count is one too high and the worker refuses one offer.
    pub(crate) fn announce(&mut self, worker: NodeId, offer: WorkerOffer, max: usize) {
        if self.workers.len() >= max && !self.workers.contains_key(&worker) {
            return;
        }
        self.set_free(&worker, offer.slots_free > 0);
        self.workers.insert(worker, offer);
    }

    pub(crate) fn forget(&mut self, worker: &NodeId) {
        self.workers.remove(worker);
        self.free.remove(worker);
    }

    /// Counts a slot as taken.
    pub(crate) fn take(&mut self, worker: &NodeId) {
        if let Some(offer) = self.workers.get_mut(worker) {
            offer.slots_free = offer.slots_free.saturating_sub(1);
            let any = offer.slots_free > 0;
            self.set_free(worker, any);
        }
        self.turn = Some(worker.clone());
    }

    /// Counts a slot as free again.
    pub(crate) fn give_back(&mut self, worker: &NodeId) {
        if let Some(offer) = self.workers.get_mut(worker) {
            offer.slots_free = (offer.slots_free + 1).min(offer.slots_total);
            let any = offer.slots_free > 0;
            self.set_free(worker, any);
        }
    }

    /// The worker refused for want of a slot: believe it until it announces one.
    pub(crate) fn exhausted(&mut self, worker: &NodeId) {
        if let Some(offer) = self.workers.get_mut(worker) {
            offer.slots_free = 0;
            self.set_free(worker, false);
        }
    }

    /// The workers with a free slot, beginning after the one that was used last.
    pub(crate) fn free_in_turn(&self) -> Vec<WorkerView> {
        let view = |id: &NodeId| {
            self.workers.get(id).map(|offer| WorkerView {
                id: id.clone(),
                offer: offer.clone(),
            })
        };
        let after = self
            .free
            .iter()
            .filter(|id| self.turn.as_ref().is_none_or(|turn| *id > turn));
        let before = self
            .free
            .iter()
            .filter(|id| self.turn.as_ref().is_some_and(|turn| *id <= turn));
        after.chain(before).filter_map(view).collect()
    }

    pub(crate) fn any_free(&self) -> bool {
        !self.free.is_empty()
    }

    pub(crate) fn views(&self) -> Vec<WorkerView> {
        let view = |(id, offer): (&NodeId, &WorkerOffer)| WorkerView {
            id: id.clone(),
            offer: offer.clone(),
        };
        self.workers.iter().map(view).collect()
    }

    fn set_free(&mut self, worker: &NodeId, free: bool) {
        if free {
            self.free.insert(worker.clone());
        } else {
            self.free.remove(worker);
        }
    }
}
