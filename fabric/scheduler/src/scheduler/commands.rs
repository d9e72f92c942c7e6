//! What each command does.

use super::{Job, Scheduler, moves};
use crate::{
    command::{Answer, Effect},
    placement::place,
};
use mc_types::{
    AttemptResult, ErrorCode, FailureReason, FencingToken, JobId, JobRecord, JobState, NodeId,
    Termination, Timestamp,
};
use std::{collections::BTreeSet, time::Duration};

impl Scheduler {
    pub(super) fn submit(
        &mut self,
        now: Timestamp,
        record: JobRecord,
        effects: &mut Vec<Effect>,
    ) -> Answer {
        if self.jobs.contains_key(&record.id) {
            // It was asked for twice, and the first answer did not arrive.
            return Answer::Submitted;
        }
        if self.jobs.len() >= self.config.max_open_jobs {
            return Answer::Overloaded;
        }
        let (id, place) = (record.id, place(&record.spec));
        let job = Job::new(record, place, now);
        let target = job.place.target.as_ref();
        let known = target.and_then(|target| self.workers.seen(target, now));
        if let Some(clause) = known.and_then(|worker| moves::lacking(&job, worker)) {
            let reason = format!("the node that it is for lacks {clause}");
            return Answer::Unfit { reason };
        }
        effects.push(Effect::Persist(Box::new(job.record.clone())));
        effects.push(Effect::Changed {
            job: id,
            state: job.record.state,
        });
        let answer = match self.is_placeable(now, &job) {
            true => Answer::Submitted,
            false => Answer::Unplaceable,
        };
        self.queue.push(id, &job.place, job.record.not_before);
        self.jobs.insert(id, job);
        answer
    }

    /// The connection to a worker is gone.
    pub(super) fn gone(&mut self, now: Timestamp, worker: NodeId, effects: &mut Vec<Effect>) {
        self.workers.forget(&worker);
        self.give_up_wishes_for(now, &worker);
        if !self.workers.held_by(&worker).is_empty() {
            let newest = self.newest_token;
            effects.push(Effect::Probe { worker, newest });
        }
    }

    /// The process of a worker has ended, and with it what it held until then.
    pub(super) fn worker_ended(
        &mut self,
        now: Timestamp,
        worker: &NodeId,
        (newest, but): (FencingToken, &BTreeSet<(JobId, FencingToken)>),
        effects: &mut Vec<Effect>,
    ) {
        for id in self.workers.held_by(worker) {
            let holder = self
                .jobs
                .get(&id)
                .and_then(|job| job.record.holder.as_ref());
            let has_ended = holder.is_some_and(|held| {
                held.node == *worker && held.token <= newest && !but.contains(&(id, held.token))
            });
            if has_ended {
                self.stats.ended += 1;
                self.fail(now, id, None, "ended without a word", effects);
            }
        }
    }

    /// A worker that refuses since it has no slot is believed; the job goes to another at once.
    pub(super) fn offer_failed(
        &mut self,
        now: Timestamp,
        id: JobId,
        token: FencingToken,
        refused: bool,
        effects: &mut Vec<Effect>,
    ) -> Answer {
        let Some(holder) = self.holder(id, token) else {
            return Answer::Stale;
        };
        if refused && let Some(job) = self.jobs.get_mut(&id) {
            job.record.attempts = job.record.attempts.saturating_sub(1);
            // A slot may count as free a little before it is. The job still moves there, unless somebody has chosen
            // another node since.
            if job.wish.is_none() {
                job.wish = job.granted_wish.take();
            }
        }
        self.requeue(now, id, Some(Duration::ZERO), effects);
        self.workers.exhausted(&holder);
        if let Some(job) = self.jobs.get_mut(&id) {
            job.avoid = Some(holder);
        }
        Answer::Done
    }

    pub(super) fn heartbeat(
        &mut self,
        now: Timestamp,
        worker: &NodeId,
        id: JobId,
        token: FencingToken,
        running: Option<Duration>,
        effects: &mut Vec<Effect>,
    ) -> Answer {
        let until = now.plus(self.config.worker_silence);
        self.workers.heard(worker, until);
        if let Err(refusal) = self.check(worker, id, token) {
            return refusal;
        }
        if let Some(what) = self.overdue(now, id) {
            self.stats.overdue += 1;
            self.fail(now, id, None, what, effects);
            return Answer::Stale;
        }
        self.renew(now, id, effects);
        if let Some(job) = self.jobs.get_mut(&id)
            && let Some(running) = running
            && job.record.state == JobState::Assigned
        {
            let running = u64::try_from(running.as_millis()).unwrap_or(u64::MAX);
            let started = now.as_millis().saturating_sub(running);
            job.record.state = JobState::Running;
            job.record.started = Some(Timestamp::from_millis(started).max(job.granted));
            effects.push(Effect::Persist(Box::new(job.record.clone())));
            effects.push(Effect::Changed {
                job: id,
                state: JobState::Running,
            });
        }
        Answer::Renewed {
            ttl: self.config.lease_ttl,
        }
    }

    pub(super) fn check_finish(
        &mut self,
        now: Timestamp,
        worker: &NodeId,
        id: JobId,
        token: FencingToken,
        effects: &mut Vec<Effect>,
    ) -> Answer {
        if let Err(refusal) = self.check(worker, id, token) {
            return refusal;
        }
        self.renew(now, id, effects);
        self.jobs
            .get(&id)
            .map_or(Answer::NotOpen, |job| Answer::MayFinish {
                task_cid: job.record.task_cid,
            })
    }

    pub(super) fn finish(
        &mut self,
        now: Timestamp,
        worker: &NodeId,
        id: JobId,
        token: FencingToken,
        ending: AttemptResult,
        effects: &mut Vec<Effect>,
    ) -> Answer {
        if let Err(refusal) = self.check(worker, id, token) {
            return refusal;
        }
        match ending {
            AttemptResult::Failed(FailureReason::Infrastructure {
                code: Some(ErrorCode::Overloaded),
                ..
            }) => self.crowd_out(now, id, effects),
            AttemptResult::Failed(FailureReason::Infrastructure { code, message }) => {
                self.fail(now, id, code, &format!("failed: {message}"), effects);
            }
            // Whatever a later version means by this reason, another machine may do better.
            AttemptResult::Failed(FailureReason::Other {
                kind,
                code,
                message,
            }) => {
                let what = format!("failed ({}) {message}", kind.escape_debug());
                self.fail(now, id, code, what.trim_end(), effects);
            }
            // Nobody called the job off, so the worker gave up for reasons of its own.
            AttemptResult::Cancelled => self.fail(now, id, None, "gave the attempt up", effects),
            AttemptResult::Completed(ref completion) => {
                let state = match completion.outcome.end {
                    Termination::Exited { code: 0 } => JobState::Succeeded,
                    _ => JobState::Failed,
                };
                let wall = Duration::from_millis(completion.usage.wall_ms);
                self.penalize(now, id, worker);
                self.end(now, id, state, ending, Some(wall), effects);
            }
            AttemptResult::Failed(_) => self.end(now, id, JobState::Failed, ending, None, effects),
        }
        Answer::Recorded
    }

    pub(super) fn release(
        &mut self,
        now: Timestamp,
        worker: &NodeId,
        id: JobId,
        token: FencingToken,
        effects: &mut Vec<Effect>,
    ) -> Answer {
        if let Err(refusal) = self.check(worker, id, token) {
            return refusal;
        }
        self.requeue(now, id, None, effects);
        // It gives back because it goes away.
        self.workers.exhausted(worker);
        Answer::Done
    }

    pub(super) fn cancel(
        &mut self,
        now: Timestamp,
        id: JobId,
        effects: &mut Vec<Effect>,
    ) -> Answer {
        let Some(job) = self.jobs.get(&id) else {
            return Answer::NotOpen;
        };
        if let Some(holder) = &job.record.holder {
            let (worker, token) = (holder.node.clone(), holder.token);
            effects.push(Effect::CancelAttempt {
                worker,
                job: id,
                token,
            });
        }
        self.end(
            now,
            id,
            JobState::Cancelled,
            AttemptResult::Cancelled,
            None,
            effects,
        );
        Answer::Cancelled
    }
}
