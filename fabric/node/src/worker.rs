//! The worker: runs the attempts that coordinators offer, as many at a time as it has slots.

mod attempt;
mod before;
mod blocks;
mod caps;
mod coordinators;
mod debts;
mod disk;
mod ended;
mod execute;
mod heartbeats;
mod kept;
mod known;
mod owed;

use crate::{content::Content, peers::Peers, private};
use attempt::{Attempt, Controls};
use bytes::Bytes;
pub(crate) use caps::Caps;
pub(crate) use coordinators::Coordinators;
use debts::Debts;
use ended::Ended;
use kept::Kept;
pub(crate) use known::{Known, Stage};
use mc_execution::{Executors, LogFiles};
use mc_net::Identity;
use mc_protocol::{Announcement, Response};
use mc_supervision::Supervisor;
use mc_types::{
    Cid, Envelope, ErrorCode, FencingToken, JobId, JobSpec, Lease, Lent, LogStream, NodeId,
    Resources, canonical,
};
use std::{
    collections::{BTreeSet, HashMap},
    path::PathBuf,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};
use tokio::sync::{Notify, broadcast, watch};
use tokio_util::sync::CancellationToken;

/// Coordinators that may have asked what is lent before they are answered. They ask again.
const SOLICITATIONS: usize = 256;
/// Nodes that may have connected before those who wait for them are told. They look too.
const MET: usize = 256;

/// How long guests that were called off may take to notice it when the node stops.
const GUEST_GRACE: Duration = Duration::from_secs(2);

/// A lease that a worker is offered.
#[derive(Debug)]
pub(crate) struct Offered {
    pub lease: Lease,
    /// The lease, as the coordinator signed it.
    pub grant: Vec<u8>,
    /// The key of a private task.
    pub key: Option<Envelope>,
}

/// What a worker needs and what it lends.
#[derive(Debug, Clone)]
pub(crate) struct Options {
    /// To whom the keys of private tasks are sealed.
    pub identity: Identity,
    /// What it tells coordinators while nothing runs.
    pub announcement: Announcement,
    /// What it lends at most.
    pub caps: Caps,
    /// Where attempts keep their files.
    pub scratch: PathBuf,
    /// Where those are of attempts that an earlier process was killed with.
    pub before: PathBuf,
    /// Where endings are kept that no coordinator has heard yet.
    pub owed: PathBuf,
    /// For so many terms the coordinators of an attempt may be silent before it is ended.
    pub silent_terms: u32,
}

/// A cheap handle to this node's worker.
#[derive(Debug, Clone)]
pub(crate) struct Worker {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    options: Options,
    executors: Executors,
    content: Content,
    peers: Peers,
    running: Mutex<HashMap<JobId, Running>>,
    ended: Ended,
    recent: known::Recent,
    debts: Arc<Debts>,
    kept: Kept,
    free: watch::Sender<u32>,
    /// Whether an offer was refused, though a slot was free, since something ended here last.
    was_short: AtomicBool,
    /// Told when something ends then.
    room: Notify,
    /// Coordinators that ask what is lent.
    solicited: broadcast::Sender<NodeId>,
    /// Nodes that have connected.
    met: broadcast::Sender<NodeId>,
    attempts: Supervisor,
    counts: Counts,
    /// Set first when the node shuts down: attempts take a last checkpoint and release their leases.
    leaving: CancellationToken,
    closing: CancellationToken,
}

/// What became of the endings of attempts.
#[derive(Debug, Default)]
pub(crate) struct Counts {
    /// Those that a coordinator has in its ledger.
    pub recorded: AtomicU64,
    /// Those that no coordinator wanted any more.
    pub refused: AtomicU64,
}

/// An attempt as the worker sees it from outside.
#[derive(Debug)]
struct Running {
    coordinators: Coordinators,
    token: FencingToken,
    controls: Controls,
    logs: LogFiles,
    /// What is kept for it.
    reserved: Resources,
    /// As it was when it was accepted.
    known: Known,
}

impl Worker {
    /// A worker without anything to do yet, whose attempts belong to `attempts`. It ends at once when `ended` is
    /// cancelled.
    #[must_use]
    pub(crate) fn new(
        options: Options,
        (executors, content, peers): (Executors, Content, Peers),
        attempts: Supervisor,
        ended: &CancellationToken,
    ) -> Self {
        let (free, _) = watch::channel(options.announcement.slots_total);
        let inner = Inner {
            options,
            executors,
            content,
            peers,
            running: Mutex::default(),
            ended: Ended::default(),
            recent: known::Recent::default(),
            debts: Arc::default(),
            kept: Kept::default(),
            free,
            was_short: AtomicBool::new(false),
            room: Notify::new(),
            solicited: broadcast::Sender::new(SOLICITATIONS),
            met: broadcast::Sender::new(MET),
            attempts,
            counts: Counts::default(),
            leaving: ended.child_token(),
            closing: ended.child_token(),
        };
        Self {
            inner: Arc::new(inner),
        }
    }

    /// Goes on telling coordinators how attempts of an earlier process ended. Gives those of which it does so: they did
    /// not end with the process.
    pub(crate) fn resume(&self) -> BTreeSet<(JobId, FencingToken)> {
        let unsaid = owed::resume(&self.inner);
        before::resume(&self.inner);
        unsaid
    }

    /// What this worker lends at the moment.
    #[must_use]
    pub(crate) fn announcement(&self) -> Announcement {
        let running = self.inner.running();
        self.inner.announcement(&running)
    }

    /// What this worker tells a coordinator that it lends.
    #[must_use]
    pub(crate) fn announcement_to(&self, coordinator: &NodeId) -> Announcement {
        // Both of one moment: what is free is what is not running.
        let running = self.inner.running();
        let yours = running
            .iter()
            .filter(|(_, attempt)| attempt.coordinators.contains(coordinator));
        Announcement {
            yours: yours.map(|(job, _)| *job).collect(),
            ..self.inner.announcement(&running)
        }
    }

    /// A coordinator asks what is lent here.
    pub(crate) fn solicited(&self, coordinator: NodeId) {
        // While starting, nobody listens yet; it asks again.
        let _ = self.inner.solicited.send(coordinator);
    }

    /// A node has connected: it is told what it has not heard yet.
    pub(crate) fn met(&self, node: NodeId) {
        // Mostly there is nothing that anybody has not heard.
        let _ = self.inner.met.send(node);
    }

    /// Endings that no coordinator has acknowledged yet.
    #[must_use]
    pub(crate) fn owed(&self) -> u64 {
        self.inner.debts.endings()
    }

    /// The coordinators that ask what is lent here, from now on.
    #[must_use]
    pub(crate) fn solicitations(&self) -> broadcast::Receiver<NodeId> {
        self.inner.solicited.subscribe()
    }

    /// What became of the endings of attempts since this process began.
    #[must_use]
    pub(crate) fn counts(&self) -> &Counts {
        &self.inner.counts
    }

    /// Changes whenever the number of free slots does.
    #[must_use]
    pub(crate) fn free_slots(&self) -> watch::Receiver<u32> {
        self.inner.free.subscribe()
    }

    /// Ends when there may be room for what was refused.
    pub(crate) async fn has_room(&self) {
        self.inner.room.notified().await;
    }

    /// Takes an offer of the first of `coordinators`, or refuses it. An accepted attempt runs until it ended and its coordinator
    /// knows it, or until it lost its lease.
    #[must_use]
    pub(crate) fn offer(
        &self,
        coordinators: Coordinators,
        Offered { lease, grant, key }: Offered,
        spec: JobSpec,
        checkpoints: Vec<Cid>,
    ) -> Response {
        let busy = |reason: &str| Response::refused(ErrorCode::Overloaded, reason);
        if let Err(error) = spec.validate() {
            return Response::refused(ErrorCode::InvalidTask, error.to_string());
        }
        let identity = &self.inner.options.identity;
        let key = match private::of_lease(identity, &spec.task, &lease, key.as_ref()) {
            Ok(key) => key,
            Err(reason) => return Response::refused(ErrorCode::WrongKey, reason),
        };
        let controls = Controls::new(&self.inner.leaving, &self.inner.closing);
        if controls.cancel.is_cancelled() || controls.leaving.is_cancelled() {
            return Response::refused(ErrorCode::Infrastructure, "the node is shutting down");
        }
        let dir = format!("{}-{}", lease.job, lease.token);
        let logs = LogFiles::within(&self.inner.options.scratch.join(dir));
        let task = match canonical::encode(&spec.task) {
            Ok((task, _)) => task,
            Err(error) => return Response::refused(ErrorCode::InvalidTask, error.to_string()),
        };
        let known = Known {
            task,
            coordinator: coordinators.granting(),
            attempt: lease.attempt,
            key: spec.task.private.as_ref().map(|private| private.key),
            wrote: None,
            stage: Stage::Held,
        };
        let mut checkpoints = checkpoints;
        if let Some(kept) = self.inner.kept.of(&lease) {
            checkpoints.retain(|checkpoint| *checkpoint != kept);
            checkpoints.insert(0, kept);
        }
        {
            let mut running = self.inner.running();
            let ended = self.inner.ended.contains(lease.job, lease.token);
            let runs = running.get(&lease.job);
            if ended || runs.is_some_and(|running| running.token == lease.token) {
                // The answer to the first offer was lost.
                return Response::Accepted;
            }
            if running.len() >= self.inner.slots() {
                return busy("no slot is free");
            }
            if running.contains_key(&lease.job) {
                return busy("an earlier attempt of the job has not ended here yet");
            }
            // Whatever the coordinator takes to be free: others may have taken it.
            if let Some(clause) = self.inner.lent(&running).lacks(&spec) {
                self.inner.was_short.store(true, Ordering::Relaxed);
                return busy(&format!("the node lacks {clause}"));
            }
            if let Some(reason) = self.inner.debts.refusal(&coordinators.granting()) {
                return busy(reason);
            }
            let entry = Running {
                coordinators: coordinators.clone(),
                token: lease.token,
                controls: controls.clone(),
                logs: logs.clone(),
                reserved: spec.task.resources().reserved(),
                known: known.clone(),
            };
            running.insert(lease.job, entry);
            self.inner.publish_free(&running);
        }
        let attempt = Attempt {
            known,
            coordinators,
            lease,
            grant,
            key,
            spec,
            checkpoints,
            controls,
            logs,
        };
        let slot = Slot {
            inner: Arc::clone(&self.inner),
            job: attempt.lease.job,
            token: attempt.lease.token,
        };
        let running = Box::pin(attempt.run(Arc::clone(&self.inner)));
        self.inner.attempts.serve("attempt", async move {
            let _slot = slot;
            running.await;
        });
        Response::Accepted
    }

    /// Stops an attempt, if it is the one that was granted with `token` and `coordinator` has a say in it.
    #[must_use]
    pub(crate) fn cancel(&self, coordinator: &NodeId, job: JobId, token: FencingToken) -> Response {
        if let Some(running) = self.inner.running().get(&job)
            && running.coordinators.contains(coordinator)
            && running.token == token
        {
            running.controls.cancel.cancel();
        }
        Response::Ok
    }

    /// Has a checkpoint taken of an attempt, if it is the one that was granted with `token` and `coordinator` has a say in it. With
    /// `leave`, the attempt ends with that.
    #[must_use]
    pub(crate) fn stop(
        &self,
        coordinator: &NodeId,
        job: JobId,
        token: FencingToken,
        leave: bool,
    ) -> Response {
        let refused = |reason: &str| Response::refused(ErrorCode::CannotStop, reason);
        match self.inner.running().get(&job) {
            Some(running)
                if running.coordinators.contains(coordinator) && running.token == token =>
            {
                let controls = &running.controls;
                if controls.cannot_stop.is_cancelled() {
                    return refused("the component cannot be stopped: see mc-wasm inspect");
                }
                if leave {
                    controls.leaving.cancel();
                } else {
                    controls.stop_now.notify_one();
                }
                Response::Ok
            }
            _ => refused("the job is just coming to its node, or leaving it; try again"),
        }
    }

    /// What this node knows by itself of a job.
    #[must_use]
    pub(crate) fn known(&self, job: JobId) -> Option<Known> {
        let running = self.inner.running().get(&job).map(|running| {
            let begun = *running.controls.begun.borrow();
            let stage = begun.map_or(Stage::Held, |begun| Stage::Running { begun });
            let known = running.known.clone();
            Known { stage, ..known }
        });
        running.or_else(|| self.inner.recent.get(job))
    }

    /// What the attempt that runs here has written from `offset` on; `None` if none does.
    pub(crate) async fn own_log(
        &self,
        job: JobId,
        stream: LogStream,
        offset: u64,
    ) -> Option<std::io::Result<Bytes>> {
        let logs = self.inner.running().get(&job)?.logs.clone();
        Some(logs.read(stream, offset).await)
    }

    /// What an attempt has written from `offset` on.
    pub(crate) async fn log(
        &self,
        coordinator: &NodeId,
        job: JobId,
        stream: LogStream,
        offset: u64,
    ) -> Response {
        let logs = match self.inner.running().get(&job) {
            Some(running) if running.coordinators.contains(coordinator) => running.logs.clone(),
            _ => {
                return Response::error(ErrorCode::NotFound, "no such attempt runs here");
            }
        };
        match logs.read(stream, offset).await {
            Ok(bytes) => Response::Log { bytes },
            Err(error) => Response::error(ErrorCode::Path, error.to_string()),
        }
    }

    /// Accepts nothing more, has a last checkpoint taken of running attempts and their leases released,
    /// and gives `grace` to those that cannot be stopped before they are called off.
    pub(crate) async fn shutdown(&self, grace: Duration) {
        self.inner.leaving.cancel();
        self.inner.publish_free(&self.inner.running());
        let _ = tokio::time::timeout(grace, self.inner.attempts.join()).await;
        self.inner.closing.cancel();
        self.inner.attempts.join().await;
        let closed = self.inner.executors.close();
        if tokio::time::timeout(GUEST_GRACE, closed).await.is_err() {
            tracing::warn!("a guest does not end; it ends with this process");
        }
    }
}

/// The slot of an attempt. It is free again whatever becomes of the attempt.
#[derive(Debug)]
struct Slot {
    inner: Arc<Inner>,
    job: JobId,
    token: FencingToken,
}

impl Drop for Slot {
    fn drop(&mut self) {
        self.inner.remove(self.job, self.token);
    }
}

impl Inner {
    fn running(&self) -> MutexGuard<'_, HashMap<JobId, Running>> {
        // Every update is a single insertion or removal, so a poisoned map is still consistent.
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn slots(&self) -> usize {
        usize::try_from(self.options.announcement.slots_total).unwrap_or(usize::MAX)
    }

    /// What this worker lends, and what of that is free while these run.
    fn lent(&self, running: &HashMap<JobId, Running>) -> Lent {
        let reserved: Resources = running.values().map(|attempt| attempt.reserved).sum();
        let lent = self.options.caps.lent();
        Lent {
            free: lent.total.saturating_sub(reserved),
            ..lent
        }
    }

    /// What this worker lends while these run.
    fn announcement(&self, running: &HashMap<JobId, Running>) -> Announcement {
        Announcement {
            slots_free: *self.free.borrow(),
            lent: self.lent(running),
            ..self.options.announcement.clone()
        }
    }

    /// A node that is shutting down lends nothing, whatever ends on it.
    fn publish_free(&self, running: &HashMap<JobId, Running>) {
        let busy = u32::try_from(running.len()).unwrap_or(u32::MAX);
        let free = if self.leaving.is_cancelled() {
            0
        } else {
            self.options.announcement.slots_total.saturating_sub(busy)
        };
        self.free.send_replace(free);
    }

    /// Forgets an attempt that ended.
    fn remove(&self, job: JobId, token: FencingToken) {
        let mut running = self.running();
        if running.get(&job).is_some_and(|r| r.token == token) {
            running.remove(&job);
            self.ended.add(job, token);
            self.publish_free(&running);
            if self.was_short.swap(false, Ordering::Relaxed) {
                self.room.notify_one();
            }
        }
    }
}
