//! Which jobs are given to which workers.

use super::{Job, Scheduler};
use crate::{
    command::Effect,
    placement::{self, Candidate},
};
use mc_types::{FencingToken, Holder, JobId, JobState, Lease, NodeId, Timestamp};

/// How many jobs of one line are looked at when slots are free, besides those of kinds that no free worker can take now
/// (for want of memory, say).
const SCAN_JOBS: usize = 256;
/// While slots are given out, kinds of jobs that no worker can take now are remembered: all jobs of one kind ask for
/// the same. This is how many.
const MAX_KINDS: usize = 16;

impl Scheduler {
    /// Grants leases as long as there are jobs, and slots and memory for them.
    pub(super) fn place(&mut self, now: Timestamp, effects: &mut Vec<Effect>) {
        if !self.workers.any_free() {
            return;
        }
        let free = self.workers.free(now).map(|seen| seen.id);
        let mut kinds = Vec::new();
        let mut may = |id| self.may_be_placed(now, id, &mut kinds);
        let running = &self.running;
        let candidates = self.queue.candidates(free, SCAN_JOBS, running, &mut may);
        // Nothing becomes free in this loop: a job that cannot be placed once cannot be placed later in it.
        let mut in_vain: Vec<JobId> = Vec::new();
        for id in candidates {
            let Some(job) = self.jobs.get(&id) else {
                continue;
            };
            let asks_the_same = |other: &JobId| {
                let other = self.jobs.get(other);
                other.is_some_and(|other| other.asks_as(job))
            };
            if in_vain.iter().any(asks_the_same) {
                continue;
            }
            let Some(worker) = self.choose(now, job) else {
                if in_vain.len() < MAX_KINDS {
                    in_vain.push(id);
                }
                continue;
            };
            self.grant(now, id, &worker, effects);
            if !self.workers.any_free() {
                return;
            }
        }
    }

    /// Whether a free worker could be given a job, as far as that is known: for each of `kinds` of jobs, by one of them,
    /// it is found out once.
    fn may_be_placed(&self, now: Timestamp, id: JobId, kinds: &mut Vec<(JobId, bool)>) -> bool {
        let Some(job) = self.jobs.get(&id) else {
            return false;
        };
        let is_alike = |other: &JobId| {
            let other = self.jobs.get(other);
            other.is_some_and(|other| other.asks_as(job))
        };
        if let Some((_, may)) = kinds.iter().find(|(other, _)| is_alike(other)) {
            return *may;
        }
        if kinds.len() >= MAX_KINDS {
            return true;
        }
        let may = self.workers.free(now).any(|worker| job.fits(&worker));
        kinds.push((id, may));
        may
    }

    /// The worker for a job, if one fits. The worker that failed the job last gets it only when no other is free.
    fn choose(&self, now: Timestamp, job: &Job) -> Option<NodeId> {
        let spec = &*job.record.spec;
        let fitting = self.workers.free(now).filter(|worker| job.fits(worker));
        let candidates = fitting.map(|seen| Candidate {
            id: seen.id,
            offer: seen.offer,
            at_hand: self.workers.at_hand(seen.id, spec),
            nearness: self.config.topology.nearness(seen.id),
        });
        let (avoided, fresh): (Vec<_>, Vec<_>) =
            candidates.partition(|candidate| job.avoid.as_ref() == Some(candidate.id));
        let candidates = if fresh.is_empty() { avoided } else { fresh };
        if candidates.is_empty() {
            return None;
        }
        let policy = placement::of(spec.policy.unwrap_or(self.config.policy));
        let chosen = candidates.get(policy.choose(spec, &candidates));
        chosen.map(|candidate| candidate.id.clone())
    }

    fn grant(&mut self, now: Timestamp, id: JobId, worker: &NodeId, effects: &mut Vec<Effect>) {
        let due = self.attentive(now).plus(self.config.lease_ttl);
        let Some(job) = self.jobs.get_mut(&id) else {
            return;
        };
        self.queue.remove(id, &job.place, job.record.not_before);
        self.running.add(&job.place.submitter);
        job.granted = now;
        job.due = due;
        // Whether or not the job got to the node that it was to move to: from now on only what the job itself asks for
        // counts.
        job.place.target = placement::target(&job.record.spec);
        self.newest_token = FencingToken(self.newest_token.0 + 1);
        let (token, expires) = (self.newest_token, now.plus(self.config.lease_ttl));
        let record = &mut job.record;
        record.state = JobState::Assigned;
        record.attempts += 1;
        record.last_token = token;
        record.last_node = Some(worker.clone());
        record.holder = Some(Holder {
            node: worker.clone(),
            token,
            expires,
        });
        record.started = None;
        self.leases.insert((due, id));
        self.workers.take(now, worker, id, &record.spec);
        self.stats.granted += 1;
        let ttl_ms = u64::try_from(self.config.lease_ttl.as_millis()).unwrap_or(u64::MAX);
        let lease = Lease {
            job: id,
            token,
            attempt: record.attempts,
            expires,
            ttl_ms,
        };
        effects.push(Effect::Persist(Box::new(record.clone())));
        effects.push(Effect::Changed {
            job: id,
            state: record.state,
        });
        let spec = record.spec.clone();
        effects.push(Effect::Offer {
            worker: worker.clone(),
            lease,
            spec,
        });
        let wish = self.end_wish(id).filter(|wish| wish.node == *worker);
        if let Some(job) = self.jobs.get_mut(&id) {
            job.granted_wish = wish;
        }
    }
}
