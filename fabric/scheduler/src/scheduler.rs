//! The state machine.

mod attempts;
mod commands;
mod moves;
mod wish;

use crate::{
    command::{Answer, Command, Effect, Step, WorkerView},
    placement::{self, Candidate, Seen, Topology, place},
    queue::{Place, Queue, Running},
    workers::Workers,
};
use mc_types::{
    Ending, FailureReason, FencingToken, Holder, JobId, JobRecord, JobState, Lease, NodeId, Policy,
    Timestamp,
};
use std::{
    collections::{BTreeSet, HashMap, VecDeque},
    time::Duration,
};
use wish::Wish;

/// Finished jobs that are remembered, so that a repeated finish gets its answer.
const MAX_ENDED: usize = 10_000;
/// How many jobs of one line are looked at when slots are free, besides those of kinds that no free worker can take now
/// (for want of memory, say).
const SCAN_JOBS: usize = 256;
/// While slots are given out, kinds of jobs that no worker can take now are remembered: all jobs of one kind ask for
/// the same. This is how many.
const MAX_KINDS: usize = 16;

/// How a scheduler behaves.
#[derive(Debug, Clone)]
pub struct Config {
    /// The term of a lease.
    pub lease_ttl: Duration,
    /// How long a worker may take to fetch what a job needs, before it runs.
    pub prepare_timeout: Duration,
    /// How long after a job's own timeout its worker may go on claiming that it runs.
    pub timeout_grace: Duration,
    /// A worker that was not heard for this long is offered nothing until it is. Workers say what they
    /// lend every four seconds.
    pub worker_silence: Duration,
    /// By which rule jobs are placed that name none.
    pub policy: Policy,
    /// Who is near.
    pub topology: Topology,
    /// The pause after a first failure.
    pub backoff_base: Duration,
    /// The longest pause.
    pub backoff_cap: Duration,
    /// Most jobs that have not ended.
    pub max_open_jobs: usize,
    /// Most workers.
    pub max_workers: usize,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            lease_ttl: Duration::from_secs(15),
            prepare_timeout: Duration::from_secs(30 * 60),
            timeout_grace: Duration::from_secs(60),
            worker_silence: Duration::from_secs(13),
            policy: Policy::default(),
            topology: Topology::default(),
            backoff_base: Duration::from_millis(100),
            backoff_cap: Duration::from_secs(30),
            max_open_jobs: 1_000_000,
            max_workers: 100_000,
        }
    }
}

/// What happened since the scheduler was made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Stats {
    /// Heartbeats, finishes and releases with a token that was not valid any more.
    pub stale: u64,
    /// Leases that expired.
    pub expired: u64,
    /// Leases that were granted.
    pub granted: u64,
    /// Attempts that were taken from workers which neither began nor ended them.
    pub overdue: u64,
    /// Leases whose worker's process was found to have ended.
    pub ended: u64,
    /// Milliseconds that did not count against leases, since this scheduler itself did not run.
    pub late_ms: u64,
}

/// An open job.
#[derive(Debug)]
pub(crate) struct Job {
    pub(crate) record: JobRecord,
    pub(crate) place: Place,
    /// Where its next attempt is to run, if somebody said so.
    pub(crate) wish: Option<Wish>,
    /// The wish that its newest grant fulfils, if its worker takes it.
    granted_wish: Option<Wish>,
    /// Attempts that failed because of a machine. A lease that was given back does not count.
    failures: u32,
    /// The node that failed it last.
    avoid: Option<NodeId>,
    /// When it was granted, if it is held.
    granted: Timestamp,
    /// When its lease ends, if it is held, by the scheduler's [attentive time](Scheduler::attentive).
    due: Timestamp,
    /// The nodes that failed it. They are to blame if another node does not fail it.
    failed_by: BTreeSet<NodeId>,
}

impl Job {
    /// A job as it comes, and waits in that place.
    fn new(record: JobRecord, place: Place, now: Timestamp) -> Self {
        Self {
            record,
            place,
            wish: None,
            granted_wish: None,
            failures: 0,
            avoid: None,
            granted: now,
            due: now,
            failed_by: BTreeSet::new(),
        }
    }

    /// Whether a worker has all that the job asks for now.
    fn fits(&self, worker: &Seen<'_>) -> bool {
        let mut clauses = placement::clauses(&self.record.spec, self.place.target.as_ref());
        clauses.all(|clause| worker.has(&clause))
    }
}

/// The scheduler: see the crate's documentation.
#[derive(Debug)]
pub struct Scheduler {
    config: Config,
    pub(crate) jobs: HashMap<JobId, Job>,
    pub(crate) queue: Queue,
    pub(crate) running: Running,
    pub(crate) workers: Workers,
    /// When leases end, by attentive time.
    leases: BTreeSet<(Timestamp, JobId)>,
    /// Until when jobs wait for the node that they are to move to.
    wishes: BTreeSet<(Timestamp, JobId)>,
    ended: HashMap<JobId, (FencingToken, JobState)>,
    ended_order: VecDeque<JobId>,
    newest_token: FencingToken,
    /// For how long this scheduler did not run, all in all.
    late: Duration,
    stats: Stats,
}

impl Scheduler {
    /// A scheduler without jobs.
    #[must_use]
    pub fn new(config: Config) -> Self {
        Self {
            config,
            jobs: HashMap::new(),
            queue: Queue::default(),
            running: Running::default(),
            workers: Workers::default(),
            leases: BTreeSet::new(),
            wishes: BTreeSet::new(),
            ended: HashMap::new(),
            ended_order: VecDeque::new(),
            newest_token: FencingToken::default(),
            late: Duration::ZERO,
            stats: Stats::default(),
        }
    }

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
            // Whoever wrote that may have had another clock.
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

    /// The scheduler did not run for this long, although it was due. That does not count against leases, whose renewals
    /// may be waiting.
    pub fn was_late(&mut self, by: Duration) {
        self.late = self.late.saturating_add(by);
        self.stats.late_ms = self
            .stats
            .late_ms
            .saturating_add(u64::try_from(by.as_millis()).unwrap_or(u64::MAX));
    }

    /// The time without that in which the scheduler did not run.
    fn attentive(&self, now: Timestamp) -> Timestamp {
        let late = u64::try_from(self.late.as_millis()).unwrap_or(u64::MAX);
        Timestamp::from_millis(now.as_millis().saturating_sub(late))
    }

    /// Takes a command. What must be durable before the answer is given is among the effects.
    pub fn step(&mut self, now: Timestamp, command: Command) -> Step {
        let mut effects = Vec::new();
        self.expire(now, &mut effects);
        let answer = self.obey(now, command, &mut effects);
        self.place(now, &mut effects);
        Step { answer, effects }
    }

    /// When [`Command::Tick`] is needed next, if nothing else happens.
    #[must_use]
    pub fn next_deadline(&self) -> Option<Timestamp> {
        let expiry = self.leases.first().map(|(when, _)| when.plus(self.late));
        let wish = self.wishes.first().map(|(when, _)| *when);
        let all = [
            expiry,
            wish,
            self.queue.next_due(),
            self.workers.next_pardon(),
        ];
        all.into_iter().flatten().min()
    }

    /// Whether a job waits that may be placed now.
    #[must_use]
    pub fn has_waiting(&self) -> bool {
        self.queue.has_waiting()
    }

    /// Whether a worker was heard of late, so that its free slots are known.
    #[must_use]
    pub fn is_heard(&self, worker: &NodeId, now: Timestamp) -> bool {
        self.workers.is_heard(worker, now)
    }

    /// The workers that are known.
    #[must_use]
    pub fn workers(&self) -> Vec<WorkerView> {
        self.workers.views()
    }

    /// What happened so far.
    #[must_use]
    pub const fn stats(&self) -> Stats {
        self.stats
    }

    /// Whether there are leases that may expire.
    #[must_use]
    pub fn has_leases(&self) -> bool {
        !self.leases.is_empty()
    }

    /// Jobs that have not ended.
    #[must_use]
    pub fn open_jobs(&self) -> usize {
        self.jobs.len()
    }

    /// Ends leases, back-offs, and what waits, when their time has come.
    fn expire(&mut self, now: Timestamp, effects: &mut Vec<Effect>) {
        let attentive = self.attentive(now);
        while let Some((_, id)) = self
            .leases
            .first()
            .copied()
            .filter(|(when, _)| *when <= attentive)
        {
            self.stats.expired += 1;
            let holder = self.jobs.get(&id).and_then(|job| job.record.holder.clone());
            if let Some(holder) = holder {
                // Until it says something again, it is not there.
                self.workers.silent(&holder.node, now);
            }
            self.fail(now, id, None, "fell silent and its lease expired", effects);
        }
        for id in self.queue.take_due(now) {
            if let Some(job) = self.jobs.get(&id) {
                self.queue.push(id, &job.place, job.record.not_before);
            }
        }
        self.expire_wishes(now);
        let overdue = self.queue.take_overdue(now);
        for why in self.why(now, &overdue) {
            let message = why.line().unwrap_or_default();
            let ending = Ending::Failed(FailureReason::Unplaced { message });
            self.end(now, why.job, JobState::Failed, ending, None, effects);
        }
        self.workers.pardon(now);
    }

    /// Grants leases as long as there are jobs, and slots and memory for them.
    fn place(&mut self, now: Timestamp, effects: &mut Vec<Effect>) {
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

    /// The worker for a job, if there is one that fits. The one that failed it last gets it only when nobody
    /// else is free.
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

    fn obey(&mut self, now: Timestamp, command: Command, effects: &mut Vec<Effect>) -> Answer {
        match command {
            Command::Submit { id, task_cid, spec } => {
                self.submit(now, JobRecord::queued(id, task_cid, spec, now), effects)
            }
            Command::Announce {
                worker,
                offer,
                running,
            } => {
                let until = now.plus(self.config.worker_silence);
                let max = self.config.max_workers;
                self.workers
                    .announce(now, worker, (offer, running), until, max);
                Answer::Done
            }
            Command::WorkerGone { worker } => {
                self.gone(now, worker, effects);
                Answer::Done
            }
            Command::WorkerEnded {
                worker,
                newest,
                but,
            } => {
                self.worker_ended(now, &worker, (newest, &but), effects);
                Answer::Done
            }
            Command::Tick => Answer::Done,
            Command::OfferFailed {
                job,
                token,
                refused,
                ..
            } => self.offer_failed(now, job, token, refused, effects),
            Command::Heartbeat {
                worker,
                job,
                token,
                running,
            } => self.heartbeat(now, &worker, job, token, running, effects),
            Command::CheckFinish { worker, job, token } => {
                self.check_finish(now, &worker, job, token, effects)
            }
            Command::Finish {
                worker,
                job,
                token,
                ending,
            } => self.finish(now, &worker, job, token, ending, effects),
            Command::Release {
                worker, job, token, ..
            } => self.release(now, &worker, job, token, effects),
            Command::Migrate { job, node } => self.migrate(now, job, &node),
            Command::Stay { job } => {
                self.stay(job);
                Answer::Done
            }
            Command::Cancel { job } => self.cancel(now, job, effects),
        }
    }
}
