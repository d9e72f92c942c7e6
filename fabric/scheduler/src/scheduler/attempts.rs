//! What may become of an attempt.

use super::{MAX_ENDED, Scheduler};
use crate::{
    command::{Answer, Effect},
    retry,
};
use mc_types::{
    AttemptResult, ErrorCode, FailureReason, FencingToken, JobId, JobState, NodeId, Timestamp,
};
use std::time::Duration;

impl Scheduler {
    /// Whether the worker holds the job with that token; if not, the answer that it gets.
    pub(super) fn check(
        &mut self,
        worker: &NodeId,
        id: JobId,
        token: FencingToken,
    ) -> Result<(), Answer> {
        if self.holder(id, token).as_ref() == Some(worker) {
            return Ok(());
        }
        let answer = match self.ended.get(&id) {
            Some((last, JobState::Cancelled)) if *last == token => Answer::Cancelled,
            Some((last, _)) if *last == token => Answer::Recorded,
            Some(_) => Answer::Stale,
            None if self.jobs.contains_key(&id) => Answer::Stale,
            None => Answer::NotOpen,
        };
        if answer == Answer::Stale {
            self.stats.stale += 1;
        }
        Err(answer)
    }

    /// The node that holds the job, if that is by `token`.
    pub(super) fn holder(&self, id: JobId, token: FencingToken) -> Option<NodeId> {
        let holder = self.jobs.get(&id)?.record.holder.as_ref()?;
        (holder.token == token).then(|| holder.node.clone())
    }

    /// What the holder of a job should have done by now. A worker that renews its lease for ever may not
    /// keep a job for ever.
    pub(super) fn overdue(&self, now: Timestamp, id: JobId) -> Option<&'static str> {
        let job = self.jobs.get(&id)?;
        let Some(started) = job.record.started else {
            let late = now.since(job.granted) > self.config.prepare_timeout;
            return late.then_some("did not begin to run it in time");
        };
        let timeout = Duration::from_millis(job.record.spec.timeout_ms?);
        let late = now.since(started) > timeout.saturating_add(self.config.timeout_grace);
        late.then_some("did not end it when its time was over")
    }

    /// Begins a new term. It is written down only when half of the recorded one has passed: what a
    /// crash forgets is less than the new term that every lease gets after a restart.
    pub(super) fn renew(&mut self, now: Timestamp, id: JobId, effects: &mut Vec<Effect>) {
        let due = self.attentive(now).plus(self.config.lease_ttl);
        let Some(job) = self.jobs.get_mut(&id) else {
            return;
        };
        let Some(holder) = &mut job.record.holder else {
            return;
        };
        if due.since(job.due) < self.config.lease_ttl / 4 {
            return;
        }
        holder.expires = now.plus(self.config.lease_ttl);
        self.leases.remove(&(job.due, id));
        self.leases.insert((due, id));
        job.due = due;
        effects.push(Effect::Persist(Box::new(job.record.clone())));
    }

    /// A machine failed the job: it is tried again, if a retry is left.
    pub(super) fn fail(
        &mut self,
        now: Timestamp,
        id: JobId,
        code: Option<ErrorCode>,
        what: &str,
        effects: &mut Vec<Effect>,
    ) {
        let Some(job) = self.jobs.get_mut(&id) else {
            return;
        };
        job.failures += 1;
        job.crowded_out = 0;
        job.avoid = job.record.last_node.clone();
        job.failed_by.extend(job.record.last_node.clone());
        if job.failures <= job.record.spec.retries {
            let (base, cap) = (self.config.backoff_base, self.config.backoff_cap);
            let pause = retry::not_before(now, base, cap, id, job.failures).since(now);
            self.requeue(now, id, Some(pause), effects);
            return;
        }
        let node = job
            .record
            .last_node
            .as_ref()
            .map_or("unknown", NodeId::as_str);
        let message = format!("node {node} {what}; no retry is left");
        let ending = AttemptResult::Failed(FailureReason::Infrastructure { code, message });
        self.end(now, id, JobState::Failed, ending, None, effects);
    }

    /// The attempt found no room on the disk of its node, since others had it: neither the job nor the node has failed. The
    /// job waits, longer each time, so that jobs which do find room go before it.
    pub(super) fn crowd_out(&mut self, now: Timestamp, id: JobId, effects: &mut Vec<Effect>) {
        let Some(job) = self.jobs.get_mut(&id) else {
            return;
        };
        job.crowded_out = job.crowded_out.saturating_add(1);
        job.avoid = job.record.last_node.clone();
        let (base, cap) = (self.config.backoff_base, self.config.backoff_cap);
        let pause = retry::pause(base, cap, id, job.crowded_out);
        self.requeue(now, id, Some(pause), effects);
    }

    /// Takes the job from its holder and puts it back into the queue.
    pub(super) fn requeue(
        &mut self,
        now: Timestamp,
        id: JobId,
        pause: Option<Duration>,
        effects: &mut Vec<Effect>,
    ) {
        self.take_lease(id);
        let Some(job) = self.jobs.get_mut(&id) else {
            return;
        };
        job.record.state = JobState::Queued;
        job.record.started = None;
        job.record.not_before = now.plus(pause.unwrap_or_default());
        self.queue.put(now, id, &job.place, job.record.not_before);
        effects.push(Effect::Persist(Box::new(job.record.clone())));
        effects.push(Effect::Changed {
            job: id,
            state: JobState::Queued,
        });
        self.wait_for_wish(now, id);
    }

    /// Ends the job for good.
    pub(super) fn end(
        &mut self,
        now: Timestamp,
        id: JobId,
        state: JobState,
        ending: AttemptResult,
        wall: Option<Duration>,
        effects: &mut Vec<Effect>,
    ) {
        self.take_lease(id);
        self.end_wish(id);
        let Some(mut job) = self.jobs.remove(&id) else {
            return;
        };
        self.queue.remove(id, &job.place, job.record.not_before);
        let record = &mut job.record;
        if let (None, Some(wall)) = (record.started, wall) {
            // It was over before it could say that it had begun.
            let wall = u64::try_from(wall.as_millis()).unwrap_or(u64::MAX);
            let started = now
                .as_millis()
                .saturating_sub(wall)
                .max(record.submitted.as_millis());
            record.started = Some(Timestamp::from_millis(started));
        }
        record.state = state;
        record.ending = Some(ending);
        record.finished = Some(now);
        self.remember(id, record.last_token, state);
        effects.push(Effect::Persist(Box::new(job.record)));
        effects.push(Effect::Changed { job: id, state });
    }

    /// Removes the holder, and counts its slot as free.
    fn take_lease(&mut self, id: JobId) {
        if let Some(job) = self.jobs.get_mut(&id)
            && let Some(holder) = job.record.holder.take()
        {
            self.leases.remove(&(job.due, id));
            self.running.remove(&job.place.submitter);
            self.workers.give_back(&holder.node, id);
        }
    }

    /// `worker` came to an outcome, so the workers that failed the same job are to blame.
    pub(super) fn penalize(&mut self, now: Timestamp, id: JobId, worker: &NodeId) {
        self.workers.succeeded(worker);
        if let Some(job) = self.jobs.get_mut(&id) {
            job.failed_by.remove(worker);
            for node in std::mem::take(&mut job.failed_by) {
                self.workers.failed(now, node);
            }
        }
    }

    fn remember(&mut self, id: JobId, token: FencingToken, state: JobState) {
        self.ended.insert(id, (token, state));
        self.ended_order.push_back(id);
        if self.ended_order.len() > MAX_ENDED
            && let Some(oldest) = self.ended_order.pop_front()
        {
            self.ended.remove(&oldest);
        }
    }
}
