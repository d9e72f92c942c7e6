//! Workers: they take offers, run them for a while, renew their leases, take checkpoints and report how it ended. They die
//! in the midst of it and come back, lose what they have, and some report what is not true, or when nobody wants it any
//! more.

use super::{lock, process, wire, world::World};
use mc_protocol::{Announcement, Request, RequestError, Response};
use mc_types::{
    AttemptResult, Cid, Completion, ErrorCode, FailureReason, FencingToken, JobId, JobSpec, Lease,
    Lent, Meter, NodeId, Outcome, Resources, Termination, Usage, canonical, cid,
};
use std::{collections::BTreeMap, sync::Arc, time::Duration};
use tokio::time::Instant;

/// Tasks that a worker runs at a time.
const SLOTS: usize = 2;
/// Between two heartbeats, and how long each waits for its answer.
const BEAT_EVERY: Duration = Duration::from_millis(1_500);
const PATIENCE: Duration = Duration::from_secs(3);
/// Between two announcements.
const ANNOUNCE_EVERY: Duration = Duration::from_secs(2);
/// How often an ending is reported before the worker gives up.
const REPORTS: u32 = 100;
/// After so many errors a worker takes its own result for lost.
const LOST_AFTER: u32 = 3;

/// A worker's machine.
#[derive(Debug, Default)]
pub(crate) struct Machine {
    pub(crate) is_up: bool,
    /// How often it has come up: what ran before is gone.
    life: u64,
    pub(crate) running: BTreeMap<JobId, FencingToken>,
    /// Whether a test does what attempts here would do.
    is_driven: bool,
}

/// How an attempt behaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Character {
    /// It reports what is so.
    Honest,
    /// It goes on when it is told that its lease is another's.
    Stubborn,
    /// Its outcome is of another task, or has another CID than it says.
    Liar,
    /// Its result is larger than any of its task may be.
    Excessive,
    /// It loses a part of its result before anybody has fetched it.
    Careless,
    /// Its machine fails it.
    Unlucky,
}

impl Character {
    fn of(world: &World) -> Self {
        if !world.is_troubled() {
            return Self::Honest;
        }
        match world.random.below(100) {
            0..15 => Self::Stubborn,
            15..19 => Self::Liar,
            19..23 => Self::Excessive,
            23..27 => Self::Careless,
            27..33 => Self::Unlucky,
            _ => Self::Honest,
        }
    }
}

/// An attempt.
struct Attempt {
    world: Arc<World>,
    worker: NodeId,
    life: u64,
    lease: Lease,
    grant: Vec<u8>,
    task: Cid,
    character: Character,
    /// Whom it reports to; the first is asked.
    coordinators: Vec<NodeId>,
}

/// What a worker answers at once.
pub(crate) fn answer(
    world: &Arc<World>,
    node: &NodeId,
    from: &NodeId,
    request: Request,
) -> Result<Response, RequestError> {
    let life = lock(&world.machines)
        .get(node)
        .filter(|machine| machine.is_up)
        .map(|machine| machine.life);
    let Some(life) = life else {
        return Err(RequestError::NotConnected(node.clone()));
    };
    Ok(match request {
        Request::Offer {
            lease,
            job,
            replicas,
            grant,
            ..
        } => {
            let coordinators = std::iter::once(from.clone()).chain(replicas).collect();
            offer(world, (node, life), coordinators, (lease, grant), &job)
        }
        Request::Cancel { job, token } => {
            if let Some(machine) = lock(&world.machines).get_mut(node)
                && machine.running.get(&job) == Some(&token)
            {
                machine.running.remove(&job);
            }
            Response::Ok
        }
        Request::Stop { .. } => Response::Ok,
        Request::Solicit => {
            let (world, node) = (Arc::clone(world), node.clone());
            let tasks = world.tasks.clone();
            tasks.serve("announcement", async move { announce(&world, &node).await });
            Response::Ok
        }
        other => Response::Unsupported {
            kind: other.kind().to_owned(),
        },
    })
}

/// Takes an offer, or refuses it.
fn offer(
    world: &Arc<World>,
    (node, life): (&NodeId, u64),
    coordinators: Vec<NodeId>,
    (lease, grant): (Lease, Vec<u8>),
    job: &JobSpec,
) -> Response {
    let refused = |reason: &str| Response::refused(ErrorCode::Overloaded, reason);
    let Ok((task, _)) = canonical::encode(&job.task) else {
        return refused("no task");
    };
    {
        let mut machines = lock(&world.machines);
        let machine = machines.entry(node.clone()).or_default();
        match machine.running.get(&lease.job) {
            Some(token) if *token == lease.token => return Response::Accepted,
            Some(_) => return refused("an earlier attempt has not ended"),
            None if machine.running.len() >= SLOTS => return refused("no slot is free"),
            None => {}
        }
        machine.running.insert(lease.job, lease.token);
        if machine.is_driven {
            return Response::Accepted;
        }
    }
    let attempt = Attempt {
        world: Arc::clone(world),
        worker: node.clone(),
        life,
        lease,
        grant,
        task,
        character: Character::of(world),
        coordinators,
    };
    world.tasks.serve("attempt", attempt.run());
    Response::Accepted
}

impl Attempt {
    /// Whether the machine has been up all the time, and nobody has called the attempt off.
    fn is_there(&self) -> bool {
        let machines = lock(&self.world.machines);
        let Some(machine) = machines.get(&self.worker) else {
            return false;
        };
        let runs = machine.running.get(&self.lease.job) == Some(&self.lease.token);
        let goes_on = runs || self.character == Character::Stubborn;
        machine.is_up && machine.life == self.life && goes_on
    }

    /// Frees its slot.
    fn leave(&self) {
        if let Some(machine) = lock(&self.world.machines).get_mut(&self.worker)
            && machine.life == self.life
            && machine.running.get(&self.lease.job) == Some(&self.lease.token)
        {
            machine.running.remove(&self.lease.job);
        }
    }

    /// Asks a coordinator; if it does not answer or does not know, another one is asked the next time.
    async fn ask(&mut self, request: Request) -> Option<Response> {
        let coordinator = self.coordinators.first()?.clone();
        let asked = wire::deliver(&self.world, &self.worker, &coordinator, request);
        let answer = tokio::time::timeout(PATIENCE, asked).await;
        let answer = answer.ok().and_then(Result::ok);
        match &answer {
            None | Some(Response::Elsewhere) => self.coordinators.rotate_left(1),
            Some(Response::Renewed { replicas, .. }) => {
                for node in replicas {
                    if !self.coordinators.contains(node) {
                        self.coordinators.push(node.clone());
                    }
                }
            }
            Some(_) => {}
        }
        answer
    }

    async fn run(mut self) {
        let length = self.world.random.millis(12_000);
        let ends = Instant::now() + length;
        let mut checkpoint = self.world.random.chance(40).then_some(length / 2);
        let begun = Instant::now();
        while self.is_there() && Instant::now() < ends {
            tokio::time::sleep_until(ends.min(Instant::now() + BEAT_EVERY)).await;
            if !self.is_there() {
                return self.leave();
            }
            let beat = Request::Heartbeat {
                job: self.lease.job,
                token: self.lease.token,
                running: true,
                since_ms: u64::try_from(begun.elapsed().as_millis()).unwrap_or(u64::MAX),
            };
            let answer = self.ask(beat).await;
            let is_over = matches!(
                answer,
                Some(Response::Stale | Response::Cancelled | Response::Recorded)
            );
            if is_over && self.character != Character::Stubborn {
                return self.leave();
            }
            if checkpoint.is_some_and(|after| begun.elapsed() >= after) {
                checkpoint = None;
                self.take_checkpoint().await;
            }
        }
        if self.is_there() {
            self.report().await;
        }
        self.leave();
    }

    /// Something of this attempt that the worker has.
    fn block(&self, what: &str, links: &[Cid]) -> Cid {
        let text = format!("{what} of {} {}", self.lease.job, self.lease.token);
        let codec = if links.is_empty() {
            cid::RAW
        } else {
            cid::DAG_CBOR
        };
        let block = cid::of(codec, text.as_bytes());
        self.world.holdings.add(&self.worker, block, links);
        block
    }

    async fn take_checkpoint(&mut self) {
        let pages = self.block("pages", &[]);
        let cid = self.block("checkpoint", &[pages]);
        let request = Request::Checkpoint {
            job: self.lease.job,
            token: self.lease.token,
            cid,
            // Attempts of the same job may come equally far.
            position: 1 + self.world.random.below(4),
        };
        // If it is not taken, the next attempt begins from the beginning.
        let _ = self.ask(request).await;
    }

    /// What the attempt came to, as it says.
    fn ending(&self) -> AttemptResult {
        if self.character == Character::Unlucky {
            return broke();
        }
        let stdout = self.block("stdout", &[]);
        let outputs = self.block("outputs", &[]);
        let is_lie = self.character == Character::Liar;
        let outcome = Outcome {
            task: if is_lie { stdout } else { self.task },
            end: Termination::Exited { code: 0 },
            stdout,
            stderr: outputs,
            outputs,
            // So that it is known of each outcome by which lease it came about.
            fuel: self.lease.token.0,
            dirs: BTreeMap::new(),
            meter: Meter::Operators1,
        };
        match self.character {
            Character::Excessive => self.world.holdings.set_size(stdout, 1 << 50),
            Character::Careless => self.world.holdings.lose(&self.worker, Some(stdout)),
            _ => {}
        }
        let outcome_cid = canonical::encode(&outcome).map_or(stdout, |(cid, _)| cid);
        AttemptResult::Completed(Box::new(Completion {
            outcome_cid,
            outcome,
            usage: Usage {
                fuel: self.lease.token.0,
                memory_peak_bytes: 1,
                wall_ms: 1,
            },
        }))
    }

    /// Says how it ended until that is acknowledged.
    async fn report(&mut self) {
        let mut ending = self.ending();
        let mut errors = 0;
        for _ in 0..REPORTS {
            if !self.is_there() {
                return;
            }
            if matches!(ending, AttemptResult::Failed(_)) {
                self.report_log().await;
            }
            let finish = Request::Finish {
                job: self.lease.job,
                token: self.lease.token,
                ending: ending.clone(),
            };
            match self.ask(finish).await {
                Some(Response::Recorded) => return self.check_recorded(&ending),
                Some(Response::Stale | Response::Cancelled) => {
                    self.world.count("endings that came too late");
                    return;
                }
                Some(Response::Error { .. }) => errors += 1,
                _ => {}
            }
            if errors >= LOST_AFTER && self.character == Character::Careless {
                ending = broke();
            }
            tokio::time::sleep(self.world.random.millis(1_000)).await;
        }
    }

    async fn report_log(&mut self) {
        let (stdout, stderr) = (self.block("log", &[]), self.block("log", &[]));
        let wrote = Request::Wrote {
            job: self.lease.job,
            token: self.lease.token,
            attempt: self.lease.attempt,
            stdout,
            stderr,
            grant: self.grant.clone(),
        };
        // A log that nobody takes is lost.
        let _ = self.ask(wrote).await;
    }

    /// What was called recorded is in the store, and it is this attempt's.
    fn check_recorded(&self, ending: &AttemptResult) {
        let is_true = matches!(self.character, Character::Honest | Character::Stubborn);
        let AttemptResult::Completed(completion) = ending else {
            return;
        };
        let job = self.lease.job;
        let row = self.world.database.job(job);
        let recorded = row.as_ref().and_then(|row| row.record.completion());
        if is_true && recorded != Some(&**completion) {
            let what = format!("the ending of job {job} was called recorded: {recorded:?}");
            self.world.violated(what);
        }
    }
}

/// What a machine says that fails a task.
fn broke() -> AttemptResult {
    AttemptResult::Failed(FailureReason::Infrastructure {
        code: None,
        message: "the disk broke".to_owned(),
    })
}

/// A worker says now and then what it lends.
pub(crate) async fn chatter(world: Arc<World>, node: NodeId) {
    loop {
        announce(&world, &node).await;
        tokio::time::sleep(ANNOUNCE_EVERY).await;
    }
}

/// Says to all coordinators what a worker lends.
pub(crate) async fn announce(world: &Arc<World>, node: &NodeId) {
    for coordinator in process::all() {
        let running = lock(&world.machines)
            .get(node)
            .filter(|machine| machine.is_up)
            .map(|machine| machine.running.clone());
        let Some(running) = running else {
            return;
        };
        let yours = running.keys().copied().filter(|job| {
            let row = world.database.job(*job);
            row.is_some_and(|row| row.owner == coordinator)
        });
        let free = SLOTS.saturating_sub(running.len());
        let announcement = Announcement {
            slots_total: u32::try_from(SLOTS).unwrap_or(u32::MAX),
            slots_free: u32::try_from(free).unwrap_or(u32::MAX),
            cpus: 2,
            lent: lent(),
            yours: yours.collect(),
            ..Announcement::default()
        };
        // It is sent again soon.
        let said = wire::deliver(world, node, &coordinator, Request::Announce(announcement));
        let _ = tokio::time::timeout(PATIENCE, said).await;
    }
}

/// More than all jobs take together.
fn lent() -> Lent {
    let total = Resources {
        cpu_millis: 1 << 20,
        memory_bytes: 1 << 40,
        scratch_bytes: 1 << 50,
        output_bytes: 1 << 50,
        gpus: 0,
    };
    Lent {
        total,
        free: total,
        attempt_millis: None,
    }
}

/// A machine comes up, with nothing that runs.
pub(crate) fn come_up(world: &World, node: &NodeId) {
    {
        let mut machines = lock(&world.machines);
        let machine = machines.entry(node.clone()).or_default();
        machine.life += 1;
        machine.is_up = true;
        machine.running.clear();
    }
    world.publish_connected();
}

/// A machine comes up whose attempts do nothing by themselves.
pub(crate) fn come_up_driven(world: &World, node: &NodeId) {
    come_up(world, node);
    if let Some(machine) = lock(&world.machines).get_mut(node) {
        machine.is_driven = true;
    }
}

/// A machine dies, and all that runs on it. It may lose what it has.
pub(crate) fn die(world: &World, node: &NodeId) {
    if let Some(machine) = lock(&world.machines).get_mut(node) {
        machine.is_up = false;
        machine.running.clear();
    }
    if world.random.chance(50) {
        world.holdings.lose(node, None);
    }
    world.count("workers that died");
    world.publish_connected();
}
