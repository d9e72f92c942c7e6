//! One or two coordinators in a world where nothing goes wrong by itself, and workers that do what a test says.

use super::{lock, node, process, worker, world::World};
use mc_coordinator::{Coordinator, pins};
use mc_protocol::Response;
use mc_scheduler::Config;
use mc_supervision::Supervisor;
use mc_types::{
    AttemptResult, Cid, Clock, Completion, FencingToken, JobId, JobRecord, JobSpec, Meter, NodeId,
    Outcome, TaskSpec, Termination, Usage, canonical, cid,
};
use std::{collections::BTreeMap, sync::Arc, time::Duration};
use tokio_util::sync::CancellationToken;

/// A lease that does not end within a test.
const LONG: Duration = Duration::from_secs(3_600);
/// How long anything may take that a test waits for.
const PATIENCE: Duration = Duration::from_secs(300);
/// Between two looks.
const LOOK_EVERY: Duration = Duration::from_millis(10);

/// A component that users bring along.
fn component() -> Cid {
    cid::of(cid::RAW, b"component")
}

/// A job; each number makes another task.
pub(crate) fn spec(n: u32) -> JobSpec {
    JobSpec::new(TaskSpec::wasm(component()).with_args([n.to_string()]))
}

/// The name of the pin of a job.
pub(crate) fn pin(job: JobId) -> String {
    format!("{}{job}", pins::JOB)
}

/// A job that a worker has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Attempt {
    pub(crate) worker: NodeId,
    pub(crate) job: JobId,
    pub(crate) token: FencingToken,
    task: Cid,
}

/// When it is dropped, nothing must have happened that must not.
#[derive(Debug)]
pub(crate) struct Scene {
    pub(crate) world: Arc<World>,
}

impl Scene {
    /// One coordinator, whose leases last longer than the test.
    pub(crate) async fn new() -> Self {
        let config = Config {
            lease_ttl: LONG,
            ..process::config()
        };
        Self::with(&config).await
    }

    /// One coordinator.
    pub(crate) async fn with(config: &Config) -> Self {
        let tasks = Supervisor::new(CancellationToken::new());
        let world = World::calm(tasks);
        let [first, _] = process::all();
        process::start_with(&world, &first, config).await;
        Self { world }
    }

    /// Two coordinators that know each other, with the usual leases.
    pub(crate) async fn pair() -> Self {
        let scene = Self::with(&process::config()).await;
        let [_, second] = process::all();
        process::start(&scene.world, &second).await;
        // The first one looks now and then who else is there.
        tokio::time::sleep(process::config().lease_ttl).await;
        scene
    }

    /// The coordinator with that number, from 0 on.
    pub(crate) fn at(&self, n: usize) -> Coordinator {
        let all = process::all();
        let lives = lock(&self.world.lives);
        let life = all.get(n).and_then(|node| lives.get(node));
        life.unwrap().coordinator.clone()
    }

    /// The first coordinator.
    pub(crate) fn coordinator(&self) -> Coordinator {
        self.at(0)
    }

    /// The node of the first coordinator.
    pub(crate) fn home(&self) -> NodeId {
        let [first, _] = process::all();
        first
    }

    /// A worker comes up.
    pub(crate) fn add_worker(&self, n: u32) -> NodeId {
        let node = node(n);
        worker::come_up_driven(&self.world, &node);
        let chatter = worker::chatter(Arc::clone(&self.world), node.clone());
        self.world.tasks.serve("worker", chatter);
        node
    }

    /// An id of now.
    pub(crate) fn id(&self, n: u32) -> JobId {
        JobId::new(self.world.clock.now(), u128::from(n))
    }

    /// What a user's node has who hands a job in.
    pub(crate) fn bring_component(&self) {
        self.world.holdings.add(&self.home(), component(), &[]);
    }

    /// Hands in a job at the first coordinator.
    pub(crate) async fn submit(&self, spec: JobSpec) -> JobId {
        self.bring_component();
        let id = self.id(1);
        let submitted = self.coordinator().submit(Some(id), spec).await;
        submitted.unwrap();
        id
    }

    /// A job that is in the store.
    pub(crate) fn stored(&self, job: JobId) -> JobRecord {
        self.world.database.job(job).unwrap().record
    }

    /// The job as a worker has it, once one does.
    pub(crate) async fn taken(&self, job: JobId) -> Attempt {
        let taken = async {
            loop {
                if let Some(attempt) = self.attempt(job) {
                    return attempt;
                }
                tokio::time::sleep(LOOK_EVERY).await;
            }
        };
        tokio::time::timeout(PATIENCE, taken).await.unwrap()
    }

    fn attempt(&self, job: JobId) -> Option<Attempt> {
        let record = self.world.database.job(job)?.record;
        let holder = record.holder?;
        let machines = lock(&self.world.machines);
        let running = machines.get(&holder.node)?.running.get(&job);
        (running == Some(&holder.token)).then(|| Attempt {
            worker: holder.node.clone(),
            job,
            token: holder.token,
            task: record.task_cid,
        })
    }

    /// Whether any worker has been offered the job and took it.
    pub(crate) fn is_anywhere(&self, job: JobId) -> bool {
        let machines = lock(&self.world.machines);
        let mut running = machines.values().map(|machine| &machine.running);
        running.any(|running| running.contains_key(&job))
    }

    /// The worker of an attempt ends it.
    pub(crate) fn leave(&self, attempt: &Attempt) {
        if let Some(machine) = lock(&self.world.machines).get_mut(&attempt.worker) {
            machine.running.remove(&attempt.job);
        }
    }

    /// The worker of an attempt gives it back.
    pub(crate) async fn release(&self, attempt: &Attempt) -> Response {
        self.leave(attempt);
        let (worker, reason) = (attempt.worker.clone(), "it goes away".to_owned());
        let coordinator = self.coordinator();
        coordinator
            .release(worker, attempt.job, attempt.token, reason)
            .await
    }

    /// Something that the worker of an attempt has.
    pub(crate) fn block(&self, attempt: &Attempt, what: &str) -> Cid {
        let text = format!("{what} of {} {}", attempt.job, attempt.token);
        let block = cid::of(cid::RAW, text.as_bytes());
        self.world.holdings.add(&attempt.worker, block, &[]);
        block
    }

    /// What an attempt came to. Its worker has all of it.
    pub(crate) fn completion(&self, attempt: &Attempt) -> Completion {
        let outcome = Outcome {
            task: attempt.task,
            end: Termination::Exited { code: 0 },
            stdout: self.block(attempt, "stdout"),
            stderr: self.block(attempt, "stderr"),
            outputs: self.block(attempt, "outputs"),
            // By this the store sees of which lease a result is.
            fuel: attempt.token.0,
            dirs: BTreeMap::new(),
            meter: Meter::Operators1,
        };
        let (outcome_cid, _) = canonical::encode(&outcome).unwrap();
        let usage = Usage {
            fuel: attempt.token.0,
            memory_peak_bytes: 1,
            wall_ms: 1,
        };
        Completion {
            outcome_cid,
            outcome,
            usage,
        }
    }

    /// The worker of an attempt reports its end to the coordinator with that number.
    pub(crate) async fn finish_at(
        &self,
        n: usize,
        attempt: &Attempt,
        completion: &Completion,
    ) -> Response {
        let ending = AttemptResult::Completed(Box::new(completion.clone()));
        let (worker, job, token) = (attempt.worker.clone(), attempt.job, attempt.token);
        self.at(n).finish(worker, job, token, ending).await
    }

    /// The same, to the first one.
    pub(crate) async fn finish(&self, attempt: &Attempt, completion: &Completion) -> Response {
        self.finish_at(0, attempt, completion).await
    }

    /// The pins of the first coordinator whose names begin so.
    pub(crate) fn pins_of(&self, prefix: &str) -> BTreeMap<String, Cid> {
        let mut pins = self.world.holdings.pins(&self.home());
        pins.retain(|name, _| name.starts_with(prefix));
        pins
    }
}

impl Drop for Scene {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            let violations = self.world.violations();
            assert!(violations.is_empty(), "{violations:#?}");
        }
    }
}
