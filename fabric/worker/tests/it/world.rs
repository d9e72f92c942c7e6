//! A worker, and all that it is put together from.

use crate::{
    network::{Network, PATIENCE, TTL, node},
    storage::{Blocks, NoKeys, Published},
    tasks::Tasks,
};
use mc_execution::{Executor, Executors};
use mc_protocol::{Announcement, Response};
use mc_supervision::Supervisor;
use mc_types::{FencingToken, JobId, JobSpec, Lease, NodeId, Resources, TaskSpec, Timestamp, cid};
use mc_worker::{Caps, Offer, Options, Parts, Worker};
use std::{path::PathBuf, sync::Arc, time::Duration};
use tempfile::TempDir;
use tokio_util::sync::CancellationToken;

pub(crate) const KIBIBYTE: u64 = 1 << 10;
pub(crate) const MEBIBYTE: u64 = 1 << 20;
/// A page of the files that tasks write.
const PAGE_BYTES: u64 = 64 << 10;
/// Slots of the worker.
pub(crate) const SLOTS: u32 = 4;
/// For so many terms coordinators may be silent.
pub(crate) const SILENT_TERMS: u32 = 4;

/// A worker among others.
pub(crate) struct World {
    pub(crate) network: Arc<Network>,
    pub(crate) content: Arc<Blocks>,
    pub(crate) published: Arc<Published>,
    pub(crate) tasks: Arc<Tasks>,
    pub(crate) worker: Worker,
    pub(crate) supervisor: Supervisor,
    caps: Caps,
    stopping: CancellationToken,
    dir: TempDir,
}

/// What the worker usually lends: 1000 MiB of memory, 4 pages for files, 100 KiB for what is printed.
pub(crate) fn caps() -> Caps {
    Caps {
        total: Resources {
            cpu_millis: 4_000,
            memory_bytes: 1_000 * MEBIBYTE,
            scratch_bytes: 4 * PAGE_BYTES,
            output_bytes: 100 * KIBIBYTE,
            gpus: 0,
        },
        disk_bytes: MEBIBYTE,
        attempt: None,
    }
}

/// A job whose task does what `says` says. It asks for 100 MiB of memory, and for all of the disk that is lent.
pub(crate) fn job(says: &str) -> JobSpec {
    let mut task = TaskSpec::wasm(cid::of(cid::RAW, b"component"));
    task.args = vec![says.to_owned()];
    task.limits.memory_bytes = 100 * MEBIBYTE;
    task.limits.scratch_bytes = caps().total.scratch_bytes;
    task.limits.output_bytes = caps().total.output_bytes;
    JobSpec::new(task)
}

/// The job with this number.
pub(crate) fn id(n: u64) -> JobId {
    JobId::new(Timestamp::from_millis(1), u128::from(n))
}

/// The token of its lease.
pub(crate) const fn token(n: u64) -> FencingToken {
    FencingToken(n)
}

/// A lease for the job with this number.
pub(crate) fn offer(n: u64, job: JobSpec, replicas: Vec<NodeId>) -> Offer {
    let ttl_ms = u64::try_from(TTL.as_millis()).unwrap();
    Offer {
        lease: Lease {
            job: id(n),
            token: token(n),
            attempt: 1,
            expires: Timestamp::from_millis(ttl_ms),
            ttl_ms,
        },
        grant: vec![1],
        key: None,
        job,
        checkpoints: Vec::new(),
        replicas,
    }
}

impl World {
    /// A worker that lends what it usually does.
    pub(crate) fn new() -> Self {
        Self::lending(caps())
    }

    pub(crate) fn lending(caps: Caps) -> Self {
        let dir = tempfile::tempdir().unwrap();
        for name in ["scratch", "before", "outbox"] {
            std::fs::create_dir(dir.path().join(name)).unwrap();
        }
        let others = (Arc::new(Network::new()), Arc::default(), Arc::default());
        Self::start(dir, caps, others)
    }

    fn start(
        dir: TempDir,
        caps: Caps,
        (network, content, published): (Arc<Network>, Arc<Blocks>, Arc<Published>),
    ) -> Self {
        let stopping = CancellationToken::new();
        let supervisor = Supervisor::new(stopping.clone());
        let tasks = Arc::new(Tasks::default());
        let executor: Arc<dyn Executor> = tasks.clone();
        let parts = Parts {
            executors: Executors::new(vec![executor]),
            content: content.clone(),
            peers: network.clone(),
            completions: published.clone(),
            keys: Arc::new(NoKeys),
        };
        let options = Options {
            announcement: Announcement {
                slots_total: SLOTS,
                slots_free: SLOTS,
                lent: caps.lent(),
                ..Announcement::default()
            },
            caps: caps.clone(),
            scratch: dir.path().join("scratch"),
            before: dir.path().join("before"),
            outbox: dir.path().join("outbox"),
            silent_terms: SILENT_TERMS,
        };
        let worker = Worker::new(options, parts, supervisor.clone(), &stopping.child_token());
        Self {
            network,
            content,
            published,
            tasks,
            worker,
            supervisor,
            caps,
            stopping,
            dir,
        }
    }

    /// Kills the process of the worker, and starts another one, which has resumed nothing yet.
    pub(crate) async fn restart(self) -> Self {
        self.stopping.cancel();
        self.supervisor.join().await;
        let others = (self.network, self.content, self.published);
        Self::start(self.dir, self.caps, others)
    }

    /// Offers a job in the name of node A.
    pub(crate) fn offer(&self, n: u64, job: JobSpec) -> Response {
        self.worker.offer(node('A'), offer(n, job, Vec::new()))
    }

    /// The same, and it is taken. The task does what `says` says.
    pub(crate) fn begin(&self, n: u64, says: &str) {
        assert_eq!(self.offer(n, job(says)), Response::Accepted);
    }

    /// Calls an attempt off in the name of node A.
    pub(crate) fn cancel(&self, n: u64) {
        let answer = self.worker.cancel(&node('A'), id(n), token(n));
        assert_eq!(answer, Response::Ok);
    }

    /// Lets all go on that can.
    pub(crate) async fn settle(&self) {
        tokio::time::sleep(Duration::from_secs(1)).await;
    }

    pub(crate) fn free(&self) -> u32 {
        *self.worker.free_slots().borrow()
    }

    /// Waits until so many slots are free.
    pub(crate) async fn until_free(&self, slots: u32) {
        let mut free = self.worker.free_slots();
        let wanted = free.wait_for(|free| *free == slots);
        let waited = tokio::time::timeout(PATIENCE, wanted).await;
        assert!(waited.is_ok(), "there never were {slots} slots free");
    }

    /// Waits until something is so that is not told by anybody.
    pub(crate) async fn until(&self, what: &str, every: Duration, is_so: impl Fn(&Self) -> bool) {
        for _ in 0..10_000 {
            if is_so(self) {
                return;
            }
            tokio::time::sleep(every).await;
        }
        panic!("it never was so: {what}");
    }

    /// Waits until coordinators have acknowledged all that has ended.
    pub(crate) async fn until_acknowledged(&self) {
        let every = Duration::from_millis(10);
        let is_so = |world: &Self| world.worker.unacknowledged() == 0;
        self.until("all is acknowledged", every, is_so).await;
        // What is kept for it goes after that.
        let is_gone = |world: &Self| world.kept().is_empty() && world.content.pins().is_empty();
        self.until("nothing is kept any more", every, is_gone).await;
    }

    /// The files of endings that no coordinator has heard.
    pub(crate) fn kept(&self) -> Vec<PathBuf> {
        let entries = std::fs::read_dir(self.dir.path().join("outbox")).unwrap();
        entries.map(|entry| entry.unwrap().path()).collect()
    }
}
