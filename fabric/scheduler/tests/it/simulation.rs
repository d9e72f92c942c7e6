//! Seeded failures: messages that are lost, doubled, delayed and overtake each other; workers that
//! crash and return, or cannot be reached for a while; a coordinator that crashes and goes on from what it
//! had made durable, with a clock that may have been set by up to an hour.
//!
//! `MC_SEEDS=FROM..TO` asks for other seeds than those of every test run.

use crate::support::{announce, at, broke, config, exited, job, node, spec, submit};
use mc_scheduler::{Answer, Command, Effect, Scheduler};
use mc_types::{FencingToken, JobId, JobRecord, JobState, NodeId, Timestamp};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

const SEEDS: std::ops::Range<u64> = 0..2_000;
const WORKERS: u32 = 5;
const JOBS: u128 = 25;
/// Milliseconds in which things go wrong; afterwards everything works and every job must end.
const TROUBLE: u64 = 120_000;
const PATIENCE: u64 = 900_000;
/// Milliseconds for which some workers cannot be reached.
const PARTITION: u64 = 30_000;
/// Milliseconds by which the coordinator's clock may be wrong.
const SKEW: u64 = 3_600_000;
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
    Command(Command),
    Offer {
        worker: NodeId,
        job: JobId,
        token: FencingToken,
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
            Self::Command(
                Command::Announce { worker, .. }
                | Command::Heartbeat { worker, .. }
                | Command::Finish { worker, .. },
            ) => Some(worker),
            Self::Command(_) => None,
        }
    }
}

/// What a worker works on.
struct Attempt {
    token: FencingToken,
    done_at: u64,
    breaks: bool,
}

struct World {
    seed: u64,
    random: Random,
    now: u64,
    /// How far the coordinator's clock is beyond one that is as slow as it may be.
    skew: u64,
    /// Workers that cannot be reached, and until when.
    cut_off: (BTreeSet<NodeId>, u64),
    scheduler: Scheduler,
    /// What is durable.
    records: BTreeMap<JobId, JobRecord>,
    newest_token: FencingToken,
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
            skew: SKEW,
            cut_off: (BTreeSet::new(), 0),
            scheduler: Scheduler::new(config()),
            records: BTreeMap::new(),
            newest_token: FencingToken::default(),
            network: BTreeMap::new(),
            sent: 0,
            next_chatter: 0,
            workers: (0..WORKERS).map(|n| (node(n), BTreeMap::new())).collect(),
        }
    }

    /// What the coordinator takes the time to be.
    fn clock(&self) -> Timestamp {
        at(self.now + self.skew)
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

    fn command(&mut self, command: Command) -> Answer {
        let step = self.scheduler.step(self.clock(), command);
        for effect in &step.effects {
            if let Effect::Persist(record) = effect {
                self.check(self.records.get(&record.id), record);
                self.records.insert(record.id, JobRecord::clone(record));
            }
        }
        for effect in step.effects {
            match effect {
                Effect::Offer { worker, lease, .. } => {
                    assert!(
                        lease.token > self.newest_token,
                        "seed {}: token reused",
                        self.seed
                    );
                    self.newest_token = lease.token;
                    self.send(|| Message::Offer {
                        worker: worker.clone(),
                        job: lease.job,
                        token: lease.token,
                    });
                }
                Effect::CancelAttempt { worker, job, token } => {
                    self.send(|| Message::Cancel {
                        worker: worker.clone(),
                        job,
                        token,
                    });
                }
                Effect::Persist(_) | Effect::Changed { .. } => {}
            }
        }
        step.answer
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
        self.command(Command::Tick);
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
            Message::Command(command) => drop(self.command(command)),
            Message::Offer { worker, job, token } => {
                let done_at = self.now + self.random.below(8_000);
                let breaks = self.troubled() && self.random.chance(5);
                if let Some(attempts) = self.workers.get_mut(&worker)
                    && attempts.len() < 2
                    && attempts
                        .get(&job)
                        .is_none_or(|attempt| attempt.token < token)
                {
                    attempts.insert(
                        job,
                        Attempt {
                            token,
                            done_at,
                            breaks,
                        },
                    );
                } else {
                    let reason = "busy".to_owned();
                    self.send(|| {
                        let reason = reason.clone();
                        let refused = true;
                        Message::Command(Command::OfferFailed {
                            job,
                            token,
                            refused,
                            reason,
                        })
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
            let answer = self.command(finish);
            self.check_finish(before.as_ref(), &worker, token, &answer);
            if answer != Answer::Done
                && let Some(attempts) = self.workers.get_mut(&worker)
            {
                attempts.remove(&job);
            }
        }
    }

    /// A finish counts only if it is the holder's.
    fn check_finish(
        &self,
        before: Option<&JobRecord>,
        worker: &NodeId,
        token: FencingToken,
        answer: &Answer,
    ) {
        let seed = self.seed;
        let holder = before.and_then(|record| record.holder.as_ref());
        let valid = holder.is_some_and(|h| h.token == token && h.node == *worker);
        // The same step may have granted the job anew; ending it is what only its holder may do.
        let ended = |record: &JobRecord| record.state.is_terminal();
        let now = before.and_then(|before| self.records.get(&before.id));
        let changed = before.is_some_and(|b| !ended(b)) && now.is_some_and(ended);
        let expired = holder.is_some_and(|holder| holder.expires <= self.clock());
        assert!(
            valid || expired || !changed,
            "seed {seed}: a stale finish was accepted"
        );
        if !valid && *answer == Answer::Recorded {
            let repeated = before.is_some_and(|b| ended(b) && b.last_token == token);
            assert!(repeated, "seed {seed}: a stale finish was called recorded");
        }
    }

    /// Heartbeats and announcements.
    fn chatter(&mut self) {
        let beats: Vec<_> = self
            .workers
            .iter()
            .flat_map(|(w, attempts)| attempts.iter().map(|(job, a)| (w.clone(), *job, a.token)))
            .collect();
        for (worker, job, token) in beats {
            let beat = || Command::Heartbeat {
                worker: worker.clone(),
                job,
                token,
                running: Some(Duration::ZERO),
            };
            self.send(|| Message::Command(beat()));
        }
        let lent: Vec<_> = self
            .workers
            .iter()
            .map(|(worker, attempts)| {
                let busy = u32::try_from(attempts.len()).unwrap_or(2);
                (worker.clone(), 2 - busy, attempts.keys().copied().collect())
            })
            .collect();
        for (worker, slots, jobs) in lent {
            let mut said = announce(worker, 2);
            if let Command::Announce { offer, running, .. } = &mut said {
                offer.slots_free = slots;
                *running = jobs;
            }
            self.send(|| Message::Command(said.clone()));
        }
    }

    fn break_something(&mut self) {
        if self.random.chance(1) {
            // A worker loses everything that it worked on.
            let worker = node(u32::try_from(self.random.below(u64::from(WORKERS))).unwrap());
            self.workers.insert(worker.clone(), BTreeMap::new());
            self.command(Command::WorkerGone { worker });
        }
        if self.random.chance(1) {
            // The coordinator comes back with what is durable, and nothing else.
            let open = self
                .records
                .values()
                .filter(|record| !record.state.is_terminal());
            let open = open.cloned().collect();
            let newest = self
                .records
                .values()
                .map(|r| r.last_token)
                .max()
                .unwrap_or_default();
            self.skew = self.random.below(2 * SKEW);
            let (scheduler, _) = Scheduler::restore(config(), open, newest, self.clock());
            self.scheduler = scheduler;
        }
        if self.now >= self.cut_off.1 && self.random.chance(1) {
            let workers: Vec<_> = self.workers.keys().cloned().collect();
            let some = workers.into_iter().filter(|_| self.random.chance(50));
            self.cut_off = (some.collect(), self.now + PARTITION);
        }
    }
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
            assert_eq!(world.command(submit(job(n), spec)), Answer::Submitted);
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
