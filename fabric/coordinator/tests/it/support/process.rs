//! Processes of coordinators: they begin, stand still, are told to stop, and are killed.

use super::{
    content::Content,
    lock, node,
    plain::{NoDiscovery, PlainKeys},
    store::Jobs,
    wire::Wire,
    world::World,
};
use mc_coordinator::{Coordinator, Duty, Parts};
use mc_scheduler::Config;
use mc_supervision::Supervisor;
use mc_types::NodeId;
use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

/// How long a process that was told to stop may take.
const STOP_WITHIN: Duration = Duration::from_secs(90);
/// Between two tries to start one.
const TRY_AGAIN_AFTER: Duration = Duration::from_millis(700);

/// What becomes of a process from outside.
#[derive(Debug)]
pub(crate) struct Process {
    pub(crate) node: NodeId,
    is_dead: AtomicBool,
    still_until: Mutex<Option<Instant>>,
}

impl Process {
    const fn new(node: NodeId) -> Self {
        Self {
            node,
            is_dead: AtomicBool::new(false),
            still_until: Mutex::new(None),
        }
    }

    /// Waits until the process goes on: for ever, if it was killed.
    pub(crate) async fn goes_on(&self) {
        loop {
            if self.is_dead.load(Ordering::Relaxed) {
                std::future::pending::<()>().await;
            }
            let until = *lock(&self.still_until);
            match until {
                Some(until) if Instant::now() < until => tokio::time::sleep_until(until).await,
                _ => return,
            }
        }
    }

    /// From now on, nothing of it reaches anybody.
    fn die(&self) {
        self.is_dead.store(true, Ordering::Relaxed);
    }

    pub(crate) fn stand_still(&self, time: Duration) {
        *lock(&self.still_until) = Some(Instant::now() + time);
    }
}

/// A process that runs.
#[derive(Debug)]
pub(crate) struct Life {
    pub(crate) coordinator: Coordinator,
    pub(crate) process: Arc<Process>,
    stopping: CancellationToken,
    tasks: Supervisor,
}

impl Life {
    /// Whether something failed in it that must not fail.
    fn fault(&self) -> Option<String> {
        let panics = self.tasks.panics();
        let failure = self.tasks.failure();
        (panics > 0 || failure.is_some()).then(|| format!("{panics} panics, {failure:?}"))
    }
}

/// How the scheduler of all coordinators behaves.
pub(crate) fn config() -> Config {
    Config {
        lease_ttl: Duration::from_secs(6),
        backoff_cap: Duration::from_secs(4),
        ..Config::default()
    }
}

/// Starts a coordinator, as often as it takes.
pub(crate) async fn start(world: &Arc<World>, node: &NodeId) {
    start_with(world, node, &config()).await;
}

/// The same, with another scheduler than usual.
pub(crate) async fn start_with(world: &Arc<World>, node: &NodeId, config: &Config) {
    loop {
        let process = Arc::new(Process::new(node.clone()));
        let stopping = CancellationToken::new();
        let tasks = Supervisor::new(stopping.clone());
        let parts = parts(world, &process);
        match Coordinator::start(parts, config.clone(), &tasks, stopping.clone()).await {
            Ok(coordinator) => {
                let life = Life {
                    coordinator,
                    process,
                    stopping,
                    tasks,
                };
                lock(&world.lives).insert(node.clone(), life);
                return;
            }
            Err(_) => {
                process.die();
                stopping.cancel();
                tokio::time::sleep(TRY_AGAIN_AFTER).await;
            }
        }
    }
}

fn parts(world: &Arc<World>, process: &Arc<Process>) -> Parts {
    let (world, process) = (Arc::clone(world), Arc::clone(process));
    Parts {
        jobs: Arc::new(Jobs {
            world: Arc::clone(&world),
            process: Arc::clone(&process),
        }),
        content: Arc::new(Content {
            world: Arc::clone(&world),
            process: Arc::clone(&process),
        }),
        discovery: Arc::new(NoDiscovery),
        keys: Arc::new(PlainKeys {
            node: process.node.clone(),
        }),
        connected: world.connected.subscribe(),
        clock: world.clock.clone(),
        peers: Arc::new(Wire { world, process }),
        duty: Duty::Grants,
    }
}

/// Removes a process from those that run, and looks whether it was well.
fn take(world: &World, node: &NodeId) -> Option<Life> {
    let life = lock(&world.lives).remove(node)?;
    if let Some(fault) = life.fault() {
        world.violated(format!("{node} was not well: {fault}"));
    }
    Some(life)
}

/// Kills a coordinator: what it is doing is cut off, and others learn of that only by its silence.
pub(crate) fn kill(world: &World, node: &NodeId) {
    if let Some(life) = take(world, node) {
        world.count("coordinators that were killed");
        life.process.die();
        life.stopping.cancel();
    }
}

/// Has a coordinator stop in order.
pub(crate) async fn stop(world: &World, node: &NodeId) {
    let Some(life) = take(world, node) else {
        return;
    };
    life.stopping.cancel();
    let stopped = tokio::time::timeout(STOP_WITHIN, life.tasks.join()).await;
    if stopped.is_err() {
        world.violated(format!("{node} does not stop"));
    }
    life.process.die();
}

/// The coordinators.
pub(crate) fn all() -> [NodeId; 2] {
    [node(100), node(101)]
}
