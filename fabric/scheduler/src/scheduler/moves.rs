//! Moving a job to a node that somebody chose. This is a wish for the next attempt and no more: the job is not bound to
//! that node, and goes on elsewhere if the node cannot have it.

use super::{Job, Scheduler, wish::Wish};
use crate::{
    command::Answer,
    placement::{self, Seen},
};
use mc_types::{Clause, JobId, JobState, NodeId, Timestamp};

/// For how many terms of a lease a job waits for the node that it is to move to. It has given up a slot for that.
const PATIENCE_TERMS: u32 = 2;

impl Scheduler {
    /// A job is to move to `node`.
    pub(super) fn migrate(&mut self, now: Timestamp, id: JobId, node: &NodeId) -> Answer {
        let Some(job) = self.jobs.get(&id) else {
            return Answer::NotOpen;
        };
        if let Some(wish) = &job.wish {
            let to = wish.node.clone();
            return Answer::Moving { to };
        }
        let holder = job.record.holder.clone();
        if holder.as_ref().is_some_and(|holder| holder.node == *node) {
            return Answer::Done;
        }
        if let Some(reason) = self.refuse(now, job, node) {
            return Answer::Unfit { reason };
        }
        let Some(job) = self.jobs.get_mut(&id) else {
            return Answer::NotOpen;
        };
        job.wish = Some(Wish {
            node: node.clone(),
            until: None,
        });
        match holder {
            Some(holder) => Answer::Leave {
                node: holder.node,
                token: holder.token,
            },
            None => {
                self.wait_for_wish(now, id);
                Answer::Done
            }
        }
    }

    /// Why a job cannot run on `node`; `None` if it can, for all that is known.
    fn refuse(&self, now: Timestamp, job: &Job, node: &NodeId) -> Option<String> {
        let Some(seen) = self.workers.seen(node, now) else {
            return Some(format!("no node {node} is connected"));
        };
        lacking(job, seen).map(|clause| format!("the node {node} lacks {clause}"))
    }

    /// The worker cannot release the job, so the job does not move: its node continues it.
    pub(super) fn stay(&mut self, id: JobId) {
        if let Some(job) = self.jobs.get_mut(&id)
            && job.record.holder.is_some()
        {
            job.wish = None;
        }
    }

    /// A job that is to move has lost its node. It waits for the one that it is to move to, if that is still there.
    pub(super) fn wait_for_wish(&mut self, now: Timestamp, id: JobId) {
        let Some(job) = self.jobs.get_mut(&id) else {
            return;
        };
        let from = now.max(job.record.not_before);
        let Some(wish) = &mut job.wish else {
            return;
        };
        if self.workers.seen(&wish.node, now).is_none() {
            job.wish = None;
            return;
        }
        // If the node refused the job in between, the time does not start again: otherwise a node could make a job wait
        // for ever by refusing it.
        let patience = self.config.lease_ttl * PATIENCE_TERMS;
        let until = wish.until.unwrap_or_else(|| from.plus(patience));
        wish.until = Some(until);
        let node = wish.node.clone();
        self.wishes.insert((until, id));
        self.aim(now, id, Some(node));
    }

    /// Ends the wishes whose time is over.
    pub(super) fn expire_wishes(&mut self, now: Timestamp) {
        while let Some(first) = self.wishes.first().copied()
            && first.0 <= now
        {
            self.wishes.remove(&first);
            self.give_up_wish(now, first.1);
        }
    }

    /// A node is gone: what was to move there goes on elsewhere.
    pub(super) fn give_up_wishes_for(&mut self, now: Timestamp, node: &NodeId) {
        let is_for = |id: &JobId| {
            let job = self.jobs.get(id);
            job.and_then(|job| job.wish.as_ref())
                .is_some_and(|wish| wish.node == *node)
        };
        let waiting: Vec<JobId> = self
            .wishes
            .iter()
            .map(|(_, id)| *id)
            .filter(is_for)
            .collect();
        for id in waiting {
            self.give_up_wish(now, id);
        }
    }

    /// A job that was waiting for the node that it was to move to may go to any node again.
    fn give_up_wish(&mut self, now: Timestamp, id: JobId) {
        if self.end_wish(id).is_some() {
            let job = self.jobs.get(&id);
            let own = job.and_then(|job| placement::target(&job.record.spec));
            self.aim(now, id, own);
        }
    }

    /// The wish was fulfilled, or no longer matters. Returns it, if there was one.
    pub(super) fn end_wish(&mut self, id: JobId) -> Option<Wish> {
        let wish = self.jobs.get_mut(&id)?.wish.take()?;
        if let Some(until) = wish.until {
            self.wishes.remove(&(until, id));
        }
        Some(wish)
    }

    /// Has a job wait for another node than before.
    fn aim(&mut self, now: Timestamp, id: JobId, target: Option<NodeId>) {
        let Some(job) = self.jobs.get_mut(&id) else {
            return;
        };
        let not_before = job.record.not_before;
        if job.record.state == JobState::Queued {
            self.queue.remove(id, &job.place, not_before);
        }
        job.place.target = target;
        if job.record.state == JobState::Queued {
            self.queue.put(now, id, &job.place, not_before);
        }
    }
}

/// The first lasting condition of a job that a worker does not meet.
pub(super) fn lacking<'j>(job: &'j Job, worker: Seen<'_>) -> Option<Clause<'j>> {
    placement::clauses(&job.record.spec, None)
        .take_while(Clause::is_lasting)
        .find(|clause| !worker.has(clause))
}
