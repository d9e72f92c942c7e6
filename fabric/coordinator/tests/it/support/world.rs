//! What all that is simulated shares.

use super::{
    content::Holdings, lock, process::Life, random::Random, store::Database, worker::Machine,
};
use mc_supervision::Supervisor;
use mc_types::{Clock, JobId, NodeId, Timestamp};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex},
    time::Duration,
};
use tokio::{sync::watch, time::Instant};

/// How long things go wrong. Afterwards everything works, and every job must end.
pub(crate) const TROUBLE: Duration = Duration::from_secs(60);

/// A clock that goes as tokio's does, which stands still while anything can be done.
#[derive(Debug)]
pub(crate) struct SimulatedClock(Instant);

impl Clock for SimulatedClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_millis(1_790_000_000_000).plus(self.0.elapsed())
    }
}

/// One run.
#[derive(Debug)]
pub(crate) struct World {
    pub(crate) seed: u64,
    pub(crate) random: Random,
    pub(crate) clock: Arc<SimulatedClock>,
    begun: Instant,
    /// How long things go wrong by chance.
    trouble: Duration,
    /// What the coordinators share.
    pub(crate) database: Database,
    /// What each node has.
    pub(crate) holdings: Holdings,
    /// The processes of coordinators that run.
    pub(crate) lives: Mutex<BTreeMap<NodeId, Life>>,
    /// The workers.
    pub(crate) machines: Mutex<BTreeMap<NodeId, Machine>>,
    /// The workers that coordinators see connected.
    pub(crate) connected: watch::Sender<Arc<BTreeSet<NodeId>>>,
    /// Jobs that were acknowledged, and jobs that somebody called off.
    pub(crate) acknowledged: Mutex<BTreeSet<JobId>>,
    pub(crate) called_off: Mutex<BTreeSet<JobId>>,
    /// What is simulated beside the coordinators.
    pub(crate) tasks: Supervisor,
    /// What must not have happened.
    violations: Mutex<Vec<String>>,
    /// How often what happened, so that a run in which nothing does is noticed.
    counts: Mutex<BTreeMap<&'static str, u64>>,
}

impl World {
    /// A world in which things go wrong by chance.
    pub(crate) fn troubled(seed: u64, tasks: Supervisor) -> Arc<Self> {
        Self::new(seed, TROUBLE, tasks)
    }

    /// A world in which only that goes wrong which a test has go wrong.
    pub(crate) fn calm(tasks: Supervisor) -> Arc<Self> {
        Self::new(1, Duration::ZERO, tasks)
    }

    fn new(seed: u64, trouble: Duration, tasks: Supervisor) -> Arc<Self> {
        let begun = Instant::now();
        Arc::new(Self {
            seed,
            random: Random::new(seed),
            clock: Arc::new(SimulatedClock(begun)),
            begun,
            trouble,
            database: Database::default(),
            holdings: Holdings::default(),
            lives: Mutex::default(),
            machines: Mutex::default(),
            connected: watch::Sender::default(),
            acknowledged: Mutex::default(),
            called_off: Mutex::default(),
            tasks,
            violations: Mutex::default(),
            counts: Mutex::default(),
        })
    }

    pub(crate) fn elapsed(&self) -> Duration {
        self.begun.elapsed()
    }

    pub(crate) fn is_troubled(&self) -> bool {
        self.elapsed() < self.trouble
    }

    /// Whether something goes wrong that does so this often while anything does.
    pub(crate) fn goes_wrong(&self, percent: u64) -> bool {
        self.is_troubled() && self.random.chance(percent)
    }

    /// Something must not have happened. Whoever notices may be part of a task whose panic the coordinator survives, so
    /// that it is only written down here.
    pub(crate) fn violated(&self, what: String) {
        lock(&self.violations).push(what);
    }

    pub(crate) fn violations(&self) -> Vec<String> {
        lock(&self.violations).clone()
    }

    pub(crate) fn count(&self, what: &'static str) {
        *lock(&self.counts).entry(what).or_default() += 1;
    }

    pub(crate) fn counts(&self) -> BTreeMap<&'static str, u64> {
        lock(&self.counts).clone()
    }

    /// The coordinators that run.
    pub(crate) fn coordinators(&self) -> Vec<NodeId> {
        lock(&self.lives).keys().cloned().collect()
    }

    /// The workers that run.
    pub(crate) fn workers(&self) -> Vec<NodeId> {
        let machines = lock(&self.machines);
        let up = machines.iter().filter(|(_, machine)| machine.is_up);
        up.map(|(node, _)| node.clone()).collect()
    }

    /// Coordinators see who is there.
    pub(crate) fn publish_connected(&self) {
        let up = self.workers().into_iter().collect();
        self.connected.send_replace(Arc::new(up));
    }
}
