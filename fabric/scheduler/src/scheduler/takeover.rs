//! Taking over jobs that another scheduler began.

use super::{Config, Job, Scheduler};
use crate::{command::Effect, placement::place};
use mc_types::{FencingToken, JobRecord, Timestamp};

impl Scheduler {
    /// The scheduler that goes on with the jobs of an earlier one. Leases begin a new term, since
    /// their holders could not renew them in the meantime.
    ///
    /// `newest_token` must be at least as large as any that was ever granted.
    #[must_use]
    pub fn restore(
        config: Config,
        open_jobs: Vec<JobRecord>,
        newest_token: FencingToken,
        now: Timestamp,
    ) -> (Self, Vec<Effect>) {
        let mut scheduler = Self::new(config);
        scheduler.newest_token = newest_token;
        let effects = scheduler.adopt(open_jobs, now);
        (scheduler, effects)
    }

    /// Goes on with the jobs of another scheduler, too. Their leases begin a new term of twice the usual length, since
    /// their holders have to find this scheduler first. Jobs that are here already stay as they are.
    pub fn adopt(&mut self, open_jobs: Vec<JobRecord>, now: Timestamp) -> Vec<Effect> {
        let mut effects = Vec::new();
        for mut record in open_jobs {
            if self.jobs.contains_key(&record.id) {
                continue;
            }
            // The scheduler that wrote it may have had another clock.
            let longest = now.plus(self.config.backoff_cap);
            record.not_before = record.not_before.min(longest);
            self.newest_token = self.newest_token.max(record.last_token);
            let (id, place) = (record.id, place(&record.spec));
            let term = self.config.lease_ttl * 2;
            let due = self.attentive(now).plus(term);
            if let Some(holder) = &mut record.holder {
                self.running.add(&place.submitter);
                self.workers.hold(now, &holder.node, id, &record.spec);
                holder.expires = now.plus(term);
                self.leases.insert((due, id));
                effects.push(Effect::Persist(Box::new(record.clone())));
            } else {
                self.queue.put(now, id, &place, record.not_before);
            }
            let job = Job {
                failures: record.attempts.saturating_sub(1),
                due,
                ..Job::new(record, place, now)
            };
            self.jobs.insert(id, job);
        }
        effects
    }

    /// Goes on with the workers that another scheduler knew.
    pub fn take_workers_of(&mut self, other: &mut Self) {
        self.workers = std::mem::take(&mut other.workers).with_leases_of(&mut self.workers);
        self.stats = other.stats;
    }
}
