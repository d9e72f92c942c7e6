//! The state machine.

mod attempts;
mod commands;
mod config;
mod grants;
mod moves;
mod takeover;
mod wish;

pub use config::{Config, Stats};

use crate::{
    command::{Answer, Command, Effect, Step, WorkerView},
    placement::{self, Seen},
    queue::{Queue, QueuePlace, Running},
    workers::Workers,
};
use mc_types::{
    AttemptResult, FailureReason, FencingToken, JobId, JobRecord, JobState, NodeId, Timestamp,
};
use std::{
    collections::{BTreeSet, HashMap, VecDeque},
    time::Duration,
};
use wish::Wish;

/// Finished jobs that are remembered, so that a repeated finish gets its answer.
const MAX_ENDED: usize = 10_000;

/// An open job.
#[derive(Debug)]
pub(crate) struct Job {
    pub(crate) record: JobRecord,
    pub(crate) place: QueuePlace,
    /// Where its next attempt should run, if a user named a node.
    pub(crate) wish: Option<Wish>,
    /// The wish that its newest grant fulfils, if its worker takes it.
    granted_wish: Option<Wish>,
    /// Attempts that failed because of a machine. A lease that was given back does not count.
    failures: u32,
    /// Attempts in a row that found no room on the disk of their node, since others had it.
    crowded_out: u32,
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
    fn new(record: JobRecord, place: QueuePlace, now: Timestamp) -> Self {
        Self {
            record,
            place,
            wish: None,
            granted_wish: None,
            failures: 0,
            crowded_out: 0,
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
        let answer = self.apply(now, command, &mut effects);
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
            self.workers.next_reinstatement(),
        ];
        all.into_iter().flatten().min()
    }

    /// Whether a job waits that may be placed now.
    #[must_use]
    pub fn has_waiting(&self) -> bool {
        self.queue.has_waiting()
    }

    /// Whether a worker announced itself recently, so that its free slots are known.
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
            let ending = AttemptResult::Failed(FailureReason::Unplaced { message });
            self.end(now, why.job, JobState::Failed, ending, None, effects);
        }
        self.workers.reinstate(now);
    }

    fn apply(&mut self, now: Timestamp, command: Command, effects: &mut Vec<Effect>) -> Answer {
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
