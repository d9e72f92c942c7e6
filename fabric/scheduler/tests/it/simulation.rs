//! Seeded failures: messages that are lost, doubled, delayed and overtake each other; workers that
//! crash and return, of which coordinators may learn late, or cannot be reached for a while; jobs that are moved;
//! coordinators that crash and go on from what they had made durable, with a clock that may have been set by up to an
//! hour; jobs of which two have no room on one worker. With odd seeds there are two coordinators on one ledger: one that
//! stands still for a while is succeeded by the other, and does not know when it goes on.
//!
//! `MC_SEEDS=FROM..TO` asks for other seeds than those of every test run.

#![expect(
    clippy::indexing_slicing,
    reason = "coordinators are known by their places in a list"
)]

mod trouble;

use crate::support::{at, broke, config, exited, job, lent, node, spec, submit};
use mc_scheduler::{Answer, Command, Effect, Scheduler};
use mc_types::{FencingToken, JobId, JobRecord, JobState, NodeId, Resources, Timestamp};
use std::collections::{BTreeMap, BTreeSet};

const SEEDS: std::ops::Range<u64> = 0..2_000;
const WORKERS: u32 = 5;
/// Memory that each of them lends, and what jobs ask for, in turn: two of the last kind have no room on one worker.
const MEMORY: u64 = 10 << 20;
const JOB_MEMORY: [u64; 3] = [1 << 20, 3 << 20, 6 << 20];
const JOBS: u128 = 25;
/// Milliseconds in which things go wrong; afterwards everything works and every job must end.
const TROUBLE: u64 = 120_000;
const PATIENCE: u64 = 900_000;
/// Milliseconds for which some workers cannot be reached.
const PARTITION: u64 = 30_000;
/// Milliseconds by which the coordinator's clock may be wrong.
const SKEW: u64 = 3_600_000;
/// Milliseconds for which a coordinator is believed to be there, and between two times when it says so.
const TERM: u64 = 5_000;
const RENEW_EVERY: u64 = 1_500;
/// Milliseconds for which a coordinator stands still at most.
const STANDSTILL: u64 = 20_000;
/// Milliseconds between two heartbeats, and between two announcements.
const CHATTER_EVERY: u64 = 2_000;

/// A small generator whose sequence is fixed by its seed (SplitMix64).
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, n: u64) -> u64 {
        self.next() % n
    }

    fn chance(&mut self, percent: u64) -> bool {
        self.below(100) < percent
    }
}

/// What is on its way, by the time of its arrival.
enum Message {
    Command {
        to: usize,
        command: Command,
    },
    Offer {
        from: usize,
        worker: NodeId,
        job: JobId,
        token: FencingToken,
        memory: u64,
    },
    Cancel {
        worker: NodeId,
        job: JobId,
        token: FencingToken,
    },
}

impl Message {
    /// The worker at the other end.
    fn worker(&self) -> Option<&NodeId> {
        match self {
            Self::Offer { worker, .. } | Self::Cancel { worker, .. } => Some(worker),
            Self::Command { command, .. } => match command {
                Command::Announce { worker, .. }
                | Command::Heartbeat { worker, .. }
                | Command::Finish { worker, .. } => Some(worker),
                _ => None,
            },
        }
    }
}

/// What a worker works on.
struct Attempt {
    token: FencingToken,
    memory: u64,
    done_at: u64,
    breaks: bool,
}

/// A coordinator.
struct Coordinator {
    scheduler: Scheduler,
    /// How far its clock is beyond one that is as slow as it may be.
    skew: u64,
    stands_still_until: u64,
    /// Until when the ledger says that it is there, and when it says so again.
    there_until: u64,
    next_renewal: u64,
    /// Whether it believes what the ledger does not say.
    is_ahead: bool,
}

impl Coordinator {
    fn new() -> Self {
        Self {
            scheduler: Scheduler::new(config()),
            skew: SKEW,
            stands_still_until: 0,
            there_until: TERM,
            next_renewal: 0,
            is_ahead: false,
        }
    }
}

struct World {
    seed: u64,
    random: Random,
    now: u64,
    /// Workers that cannot be reached, and until when.
    cut_off: (BTreeSet<NodeId>, u64),
    coordinators: Vec<Coordinator>,
    /// What is durable, and whose each job is.
    records: BTreeMap<JobId, JobRecord>,
    owners: BTreeMap<JobId, usize>,
    /// The newest token of each job that anybody was offered.
    offered: BTreeMap<JobId, FencingToken>,
    /// Arrival, a number that makes it unique, and the message.
    network: BTreeMap<(u64, u64), Message>,
    sent: u64,
    next_chatter: u64,
    workers: BTreeMap<NodeId, BTreeMap<JobId, Attempt>>,
}

impl World {
    fn new(seed: u64) -> Self {
        Self {
            seed,
            random: Random(seed),
            now: 0,
            cut_off: (BTreeSet::new(), 0),
            coordinators: (0..=seed % 2).map(|_| Coordinator::new()).collect(),
            records: BTreeMap::new(),
            owners: BTreeMap::new(),
            offered: BTreeMap::new(),
            network: BTreeMap::new(),
            sent: 0,
            next_chatter: 0,
            workers: (0..WORKERS).map(|n| (node(n), BTreeMap::new())).collect(),
        }
    }

    /// What a coordinator takes the time to be.
    fn clock(&self, coordinator: usize) -> Timestamp {
        at(self.now + self.coordinators[coordinator].skew)
    }

    fn stands_still(&self, coordinator: usize) -> bool {
        self.now < self.coordinators[coordinator].stands_still_until
    }

    fn is_cut_off(&self, worker: &NodeId) -> bool {
        self.now < self.cut_off.1 && self.cut_off.0.contains(worker)
    }

    fn troubled(&self) -> bool {
        self.now < TROUBLE
    }

    /// Sends a message; in troubled times it may be lost, doubled or late.
    fn send(&mut self, message: impl Fn() -> Message) {
        let copies = match self.random.below(100) {
            0..15 if self.troubled() => 0,
            15..30 if self.troubled() => 2,
            _ => 1,
        };
        for _ in 0..copies {
            let late = if self.troubled() && self.random.chance(10) {
                15_000
            } else {
                50
            };
            let arrival = self.now + 1 + self.random.below(late);
            self.sent += 1;
            self.network.insert((arrival, self.sent), message());
        }
    }

    /// Gives a command to a coordinator; `None` if it does not answer, or says that the job is another's.
    fn command(&mut self, to: usize, command: Command) -> Option<Answer> {
        if self.stands_still(to) {
            return None;
        }
        if self.coordinators[to].is_ahead {
            self.restore(to);
        }
        if let Command::Submit { id, .. } = &command {
            self.owners.insert(*id, to);
        }
        let job = match &command {
            Command::Heartbeat { job, .. } | Command::Finish { job, .. } => Some(*job),
            _ => None,
        };
        let now = self.clock(to);
        let step = self.coordinators[to].scheduler.step(now, command);
        if !self.act(to, step.effects) {
            return None;
        }
        let is_elsewhere = job.is_some_and(|job| self.owners.get(&job) != Some(&to));
        (step.answer != Answer::Stale || !is_elsewhere).then_some(step.answer)
    }

    /// Makes what a coordinator wants durable, and then does it; nothing of it if one of the jobs is another's.
    fn act(&mut self, by: usize, effects: Vec<Effect>) -> bool {
        let is_fenced = |effect: &Effect| match effect {
            Effect::Persist(record) => self.owners.get(&record.id) != Some(&by),
            _ => false,
        };
        if effects.iter().any(is_fenced) {
            self.coordinators[by].is_ahead = true;
            return false;
        }
        for effect in &effects {
            if let Effect::Persist(record) = effect {
                self.check(self.records.get(&record.id), record);
                self.records.insert(record.id, JobRecord::clone(record));
            }
        }
        for effect in effects {
            match effect {
                Effect::Offer {
                    worker,
                    lease,
                    spec,
                } => {
                    let (job, token) = (lease.job, lease.token);
                    let memory = spec.task.limits.memory_bytes;
                    self.check_reserved(by, &worker);
                    let older = self.offered.insert(job, token);
                    let seed = self.seed;
                    assert!(Some(token) > older, "seed {seed}: token reused");
                    self.send(|| Message::Offer {
                        from: by,
                        worker: worker.clone(),
                        job,
                        token,
                        memory,
                    });
                }
                Effect::CancelAttempt { worker, job, token } => {
                    self.send(|| Message::Cancel {
                        worker: worker.clone(),
                        job,
                        token,
                    });
                }
                // Workers go only when they have lost everything.
                Effect::Probe { worker, newest } => {
                    self.send(|| Message::Command {
                        to: by,
                        command: Command::WorkerEnded {
                            worker: worker.clone(),
                            newest,
                            but: BTreeSet::new(),
                        },
                    });
                }
                Effect::Persist(_) | Effect::Changed { .. } => {}
            }
        }
        true
    }

    /// What a coordinator has granted on a worker when it grants more there is together no more than the worker lends,
    /// whatever the worker has said of late, or not, and whatever the coordinator knew before it began.
    fn check_reserved(&self, by: usize, worker: &NodeId) {
        let is_held = |record: &&JobRecord| {
            let holder = record.holder.as_ref();
            self.owners.get(&record.id) == Some(&by)
                && holder.is_some_and(|holder| holder.node == *worker)
        };
        let held = self.records.values().filter(is_held);
        let reserved: Resources = held
            .map(|record| record.spec.task.resources().reserved())
            .sum();
        assert!(
            reserved.fits(lent(MEMORY).total),
            "seed {}: {worker} lends less than {reserved:?}",
            self.seed
        );
    }

    /// A coordinator goes on from what the ledger says.
    fn restore(&mut self, coordinator: usize) {
        let open = self.records.values().filter(|record| {
            !record.state.is_terminal() && self.owners.get(&record.id) == Some(&coordinator)
        });
        let open = open.cloned().collect();
        let newest = self.records.values().map(|record| record.last_token).max();
        let now = self.clock(coordinator);
        let (scheduler, _) = Scheduler::restore(config(), open, newest.unwrap_or_default(), now);
        self.coordinators[coordinator].scheduler = scheduler;
        self.coordinators[coordinator].is_ahead = false;
    }

    /// Coordinators say that they are there, and take the jobs of those that do not.
    fn renew(&mut self) {
        for this in 0..self.coordinators.len() {
            let now = self.now;
            if self.stands_still(this) || now < self.coordinators[this].next_renewal {
                continue;
            }
            let coordinator = &mut self.coordinators[this];
            coordinator.is_ahead |= coordinator.there_until < now;
            coordinator.there_until = now + TERM;
            coordinator.next_renewal = now + RENEW_EVERY;
            let gone = |owner: usize| self.coordinators[owner].there_until < now;
            let is_open = |job: &JobId| {
                let record = self.records.get(job);
                record.is_some_and(|record| !record.state.is_terminal())
            };
            let taken = self
                .owners
                .iter()
                .filter(|(job, owner)| gone(**owner) && is_open(job));
            let taken: Vec<JobId> = taken.map(|(job, _)| *job).collect();
            self.owners.extend(taken.iter().map(|job| (*job, this)));
            let records = taken
                .iter()
                .filter_map(|job| self.records.get(job).cloned());
            let records = records.collect();
            let clock = self.clock(this);
            let effects = self.coordinators[this].scheduler.adopt(records, clock);
            self.act(this, effects);
        }
    }

    /// What must hold of every durable write.
    fn check(&self, before: Option<&JobRecord>, record: &JobRecord) {
        let seed = self.seed;
        let held = matches!(record.state, JobState::Assigned | JobState::Running);
        assert_eq!(held, record.holder.is_some(), "seed {seed}: {record:?}");
        assert_eq!(
            record.state.is_terminal(),
            record.ending.is_some(),
            "seed {seed}: {record:?}"
        );
        if let Some(before) = before {
            assert!(
                !before.state.is_terminal(),
                "seed {seed}: an ended job changed"
            );
            assert!(
                record.last_token >= before.last_token,
                "seed {seed}: a token went back"
            );
        }
    }

    /// One millisecond-precise step to the next thing that happens.
    fn advance(&mut self) {
        let arrival = self.network.first_key_value().map(|((at, _), _)| *at);
        let done = self
            .workers
            .values()
            .flat_map(|w| w.values())
            .map(|a| a.done_at);
        let next = arrival
            .into_iter()
            .chain(done)
            .chain([self.now + 1_000])
            .min();
        self.now = next.unwrap_or(self.now).max(self.now + 1);
        while let Some(entry) = self.network.first_entry()
            && entry.key().0 <= self.now
        {
            let message = entry.remove();
            self.arrive(message);
        }
        self.work();
        self.renew();
        for coordinator in 0..self.coordinators.len() {
            self.command(coordinator, Command::Tick);
        }
        if self.now >= self.next_chatter {
            self.next_chatter = self.now + CHATTER_EVERY;
            self.chatter();
        }
        if self.troubled() {
            self.break_something();
        }
    }

    fn arrive(&mut self, message: Message) {
        if message
            .worker()
            .is_some_and(|worker| self.is_cut_off(worker))
        {
            return;
        }
        match message {
            Message::Command { to, command } => drop(self.command(to, command)),
            Message::Offer {
                from,
                worker,
                job,
                token,
                memory,
            } => {
                let done_at = self.now + self.random.below(8_000);
                let breaks = self.troubled() && self.random.chance(5);
                if let Some(attempts) = self.workers.get_mut(&worker)
                    && attempts.len() < 2
                    && taken(attempts) + memory <= MEMORY
                    && attempts
                        .get(&job)
                        .is_none_or(|attempt| attempt.token < token)
                {
                    attempts.insert(
                        job,
                        Attempt {
                            token,
                            memory,
                            done_at,
                            breaks,
                        },
                    );
                } else {
                    let reason = "busy".to_owned();
                    self.send(|| {
                        let reason = reason.clone();
                        let refused = true;
                        let command = Command::OfferFailed {
                            job,
                            token,
                            refused,
                            reason,
                        };
                        Message::Command { to: from, command }
                    });
                }
            }
            Message::Cancel { worker, job, token } => {
                if let Some(attempts) = self.workers.get_mut(&worker) {
                    attempts.retain(|id, attempt| *id != job || attempt.token != token);
                }
            }
        }
    }

    /// Workers report what is done, again and again until it is answered.
    fn work(&mut self) {
        let now = self.now;
        let mut done = Vec::new();
        for (worker, attempts) in &mut self.workers {
            for (job, attempt) in attempts.iter_mut().filter(|(_, a)| a.done_at <= now) {
                attempt.done_at = now + 500;
                done.push((worker.clone(), *job, attempt.token, attempt.breaks));
            }
        }
        for (worker, job, token, breaks) in done {
            if self.is_cut_off(&worker) || self.troubled() && self.random.chance(30) {
                continue;
            }
            let ending = if breaks { broke() } else { exited(0) };
            let finish = Command::Finish {
                worker: worker.clone(),
                job,
                token,
                ending,
            };
            let before = self.records.get(&job).cloned();
            let to = self.coordinator_of(&job);
            let Some(answer) = self.command(to, finish) else {
                continue;
            };
            self.check_finish(before.as_ref(), &worker, token, (to, &answer));
            if answer != Answer::Done
                && let Some(attempts) = self.workers.get_mut(&worker)
            {
                attempts.remove(&job);
            }
        }
    }

    /// The coordinator whom a worker tells something of a job: mostly the right one.
    fn coordinator_of(&mut self, job: &JobId) -> usize {
        let owner = self.owners.get(job).copied().unwrap_or_default();
        let other = self.coordinators.len() - 1 - owner;
        if self.random.chance(20) { other } else { owner }
    }

    /// A finish counts only if it is the holder's.
    fn check_finish(
        &self,
        before: Option<&JobRecord>,
        worker: &NodeId,
        token: FencingToken,
        (to, answer): (usize, &Answer),
    ) {
        let seed = self.seed;
        let holder = before.and_then(|record| record.holder.as_ref());
        let valid = holder.is_some_and(|h| h.token == token && h.node == *worker);
        // The same step may have granted the job anew; ending it is what only its holder may do.
        let ended = |record: &JobRecord| record.state.is_terminal();
        let now = before.and_then(|before| self.records.get(&before.id));
        let changed = before.is_some_and(|b| !ended(b)) && now.is_some_and(ended);
        let expired = holder.is_some_and(|holder| holder.expires <= self.clock(to));
        assert!(
            valid || expired || !changed,
            "seed {seed}: a stale finish was accepted"
        );
        if !valid && *answer == Answer::Recorded {
            let repeated = before.is_some_and(|b| ended(b) && b.last_token == token);
            assert!(repeated, "seed {seed}: a stale finish was called recorded");
        }
    }
}

/// The memory that attempts on one worker take.
fn taken(attempts: &BTreeMap<JobId, Attempt>) -> u64 {
    attempts.values().map(|attempt| attempt.memory).sum()
}

/// The seeds that are asked for.
#[expect(
    clippy::disallowed_methods,
    reason = "how long a test takes is no configuration"
)]
fn seeds() -> std::ops::Range<u64> {
    let asked = std::env::var("MC_SEEDS").ok();
    let asked = asked.and_then(|asked| {
        let (from, to) = asked.split_once("..")?;
        Some(from.parse().ok()?..to.parse().ok()?)
    });
    asked.unwrap_or(SEEDS)
}

#[test]
fn every_job_ends_whatever_is_lost_on_the_way() {
    for seed in seeds() {
        let mut world = World::new(seed);
        for n in 0..JOBS {
            let mut spec = spec();
            spec.retries = 100;
            spec.submitter = (n % 3).to_string();
            spec.priority = u8::try_from(n % 10).unwrap();
            let kind = usize::try_from(n).unwrap() % JOB_MEMORY.len();
            spec.task.limits.memory_bytes = JOB_MEMORY[kind];
            let to = usize::try_from(n).unwrap() % world.coordinators.len();
            let answer = world.command(to, submit(job(n), spec));
            assert_eq!(answer, Some(Answer::Submitted));
        }
        while world
            .records
            .values()
            .any(|record| !record.state.is_terminal())
        {
            world.advance();
            assert!(world.now < PATIENCE, "seed {seed}: some jobs never end");
        }
        assert_eq!(
            world.records.len(),
            usize::try_from(JOBS).unwrap(),
            "seed {seed}: a job is lost"
        );
        let succeeded = world
            .records
            .values()
            .filter(|r| r.state == JobState::Succeeded)
            .count();
        assert_eq!(
            succeeded,
            world.records.len(),
            "seed {seed}: with retries left, all succeed"
        );
    }
}
