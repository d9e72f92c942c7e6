//! The handle to a worker: what coordinators and the node itself ask of it.

use crate::{
    Counts, Known, Options, Parts, Stage,
    accepted::Accepted,
    before,
    controls::Controls,
    coordinators::Coordinators,
    keys, outbox, scratch,
    shared::{Running, Shared},
};
use bytes::Bytes;
use mc_execution::LogFiles;
use mc_protocol::{Announcement, Exchange, Response};
use mc_supervision::Supervisor;
use mc_types::{
    Cid, Envelope, ErrorCode, FencingToken, JobId, JobSpec, Lease, LogStream, NodeId, canonical,
};
use std::{
    collections::BTreeSet,
    sync::{Arc, atomic::Ordering},
    time::Duration,
};
use tokio::sync::{broadcast, watch};
use tokio_util::sync::CancellationToken;

/// How long cancelled guests may take to end when the node stops.
const GUEST_GRACE: Duration = Duration::from_secs(2);

/// A lease that a worker is offered, and what it is for.
#[derive(Debug)]
pub struct Offer {
    /// The lease.
    pub lease: Lease,
    /// The lease, as the coordinator signed it.
    pub grant: Vec<u8>,
    /// The key of a private task.
    pub key: Option<Envelope>,
    /// What to run.
    pub job: JobSpec,
    /// Checkpoints of earlier attempts, newest first.
    pub checkpoints: Vec<Cid>,
    /// Other coordinators, which have the job if the one that offers it is gone.
    pub replicas: Vec<NodeId>,
}

/// A cheap handle to this node's worker.
#[derive(Debug, Clone)]
pub struct Worker {
    shared: Arc<Shared>,
}

impl Worker {
    /// An idle worker, whose attempts belong to `attempts`. It ends at once when `ended` is cancelled.
    #[must_use]
    pub fn new(
        options: Options,
        parts: Parts,
        attempts: Supervisor,
        ended: &CancellationToken,
    ) -> Self {
        let shared = Shared::new(options, parts, attempts, ended);
        Self {
            shared: Arc::new(shared),
        }
    }

    /// Goes on delivering what an earlier process left in the outbox. Gives the attempts that had ended by themselves, and
    /// not because that process did.
    #[must_use]
    pub fn resume(&self) -> BTreeSet<(JobId, FencingToken)> {
        let undelivered = outbox::resume(&self.shared);
        before::resume(&self.shared);
        undelivered
    }

    /// What this worker lends now.
    #[must_use]
    pub fn announcement(&self) -> Announcement {
        let running = self.shared.running();
        self.shared.announcement(&running)
    }

    /// The same for one coordinator, with its jobs that take slots.
    #[must_use]
    pub fn announcement_to(&self, coordinator: &NodeId) -> Announcement {
        // Both under one lock, so that they agree.
        let running = self.shared.running();
        let yours = running
            .iter()
            .filter(|(_, attempt)| attempt.coordinators.contains(coordinator));
        Announcement {
            yours: yours.map(|(job, _)| *job).collect(),
            ..self.shared.announcement(&running)
        }
    }

    /// A coordinator asks what this worker lends.
    pub fn solicited(&self, coordinator: NodeId) {
        // While starting, there is no receiver yet; the coordinator asks again.
        let _ = self.shared.solicited.send(coordinator);
    }

    /// A node has connected: what waits for it is delivered at once.
    pub fn met(&self, node: NodeId) {
        // There is no receiver while nothing waits.
        let _ = self.shared.met.send(node);
    }

    /// Endings that no coordinator has acknowledged yet.
    #[must_use]
    pub fn unacknowledged(&self) -> u64 {
        self.shared.backlog.endings()
    }

    /// How others are asked.
    #[must_use]
    pub(crate) fn peers(&self) -> Arc<dyn Exchange> {
        Arc::clone(&self.shared.parts.peers)
    }

    /// The coordinators that ask what is lent here, from now on.
    #[must_use]
    pub(crate) fn solicitations(&self) -> broadcast::Receiver<NodeId> {
        self.shared.solicited.subscribe()
    }

    /// How many endings of attempts were delivered or dropped since this process began.
    #[must_use]
    pub fn counts(&self) -> &Counts {
        &self.shared.counts
    }

    /// Changes whenever the number of free slots does.
    #[must_use]
    pub fn free_slots(&self) -> watch::Receiver<u32> {
        self.shared.free.subscribe()
    }

    /// Ends when there may be room for what was refused.
    pub(crate) async fn has_room(&self) {
        self.shared.room.notified().await;
    }

    /// Takes an offer of `coordinator`, or refuses it. An accepted attempt runs until it has ended, or has lost its lease; how
    /// it ended is delivered in any case.
    #[must_use]
    pub fn offer(&self, coordinator: NodeId, offer: Offer) -> Response {
        let attempt = match self.check(coordinator, offer) {
            Ok(attempt) => attempt,
            Err(refusal) => return refusal,
        };
        if let Some(answer) = self.reserve(&attempt) {
            return answer;
        }
        let slot = Slot {
            shared: Arc::clone(&self.shared),
            job: attempt.lease.job,
            token: attempt.lease.token,
        };
        let running = Box::pin(attempt.run(Arc::clone(&self.shared)));
        self.shared.attempts.serve("attempt", async move {
            let _slot = slot;
            running.await;
        });
        Response::Accepted
    }

    /// The attempt that an offer asks for, or why it could not run here even if nothing else ran.
    fn check(&self, coordinator: NodeId, offer: Offer) -> Result<Accepted, Response> {
        let Offer {
            lease,
            grant,
            key,
            job: spec,
            mut checkpoints,
            replicas,
        } = offer;
        let invalid = |reason: String| Response::refused(ErrorCode::InvalidTask, reason);
        spec.validate()
            .map_err(|error| invalid(error.to_string()))?;
        let key = keys::of_lease(&*self.shared.parts.keys, &spec.task, &lease, key.as_ref());
        let key = key.map_err(|reason| Response::refused(ErrorCode::WrongKey, reason))?;
        let controls = Controls::new(&self.shared.leaving, &self.shared.closing);
        if controls.cancel.is_cancelled() || controls.leaving.is_cancelled() {
            let reason = "the node is shutting down";
            return Err(Response::refused(ErrorCode::Infrastructure, reason));
        }
        let (task, _) =
            canonical::encode(&spec.task).map_err(|error| invalid(error.to_string()))?;
        if let Some(kept) = self.shared.kept.of(&lease) {
            checkpoints.retain(|checkpoint| *checkpoint != kept);
            checkpoints.insert(0, kept);
        }
        let scratch = &self.shared.options.scratch;
        let coordinators = Coordinators::new(coordinator, replicas);
        Ok(Accepted {
            known: Known {
                task,
                coordinator: coordinators.granting(),
                attempt: lease.attempt,
                key: spec.task.private.as_ref().map(|private| private.key),
                wrote: None,
                stage: Stage::Held,
            },
            logs: LogFiles::within(&scratch::dir(scratch, lease.job, lease.token)),
            coordinators,
            lease,
            grant,
            key,
            spec,
            checkpoints,
            controls,
        })
    }

    /// Reserves a slot and the resources for an attempt. Gives the answer to the offer if that is impossible, or was done
    /// before.
    fn reserve(&self, attempt: &Accepted) -> Option<Response> {
        let busy = |reason: &str| Some(Response::refused(ErrorCode::Overloaded, reason));
        let (shared, lease) = (&self.shared, &attempt.lease);
        let mut running = shared.running();
        let ended = shared.ended.contains(lease.job, lease.token);
        let runs = running.get(&lease.job);
        if ended || runs.is_some_and(|running| running.token == lease.token) {
            // The answer to the first offer was lost.
            return Some(Response::Accepted);
        }
        if running.len() >= shared.slots() {
            return busy("no slot is free");
        }
        if running.contains_key(&lease.job) {
            return busy("an earlier attempt of the job has not ended here yet");
        }
        // The coordinator may not know what attempts of others have taken.
        if let Some(clause) = shared.lent(&running).lacks(&attempt.spec) {
            shared.was_short.store(true, Ordering::Relaxed);
            return busy(&format!("the node lacks {clause}"));
        }
        if let Some(reason) = shared.backlog.refusal(&attempt.coordinators.granting()) {
            return busy(reason);
        }
        let entry = Running {
            coordinators: attempt.coordinators.clone(),
            token: lease.token,
            controls: attempt.controls.clone(),
            logs: attempt.logs.clone(),
            reserved: attempt.spec.task.resources().reserved(),
            known: attempt.known.clone(),
        };
        running.insert(lease.job, entry);
        shared.publish_free(&running);
        None
    }

    /// Cancels the attempt that was granted with `token`, if `coordinator` is one of its coordinators.
    #[must_use]
    pub fn cancel(&self, coordinator: &NodeId, job: JobId, token: FencingToken) -> Response {
        if let Some(running) = self.shared.running().get(&job)
            && running.coordinators.contains(coordinator)
            && running.token == token
        {
            running.controls.cancel.cancel();
        }
        Response::Ok
    }

    /// Asks for a checkpoint of the attempt that was granted with `token`, if `coordinator` is one of its coordinators. With
    /// `leave`, the attempt ends with it.
    #[must_use]
    pub fn stop(
        &self,
        coordinator: &NodeId,
        job: JobId,
        token: FencingToken,
        leave: bool,
    ) -> Response {
        let refused = |reason: &str| Response::refused(ErrorCode::CannotStop, reason);
        match self.shared.running().get(&job) {
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

    /// What this node itself knows about a job.
    #[must_use]
    pub fn known(&self, job: JobId) -> Option<Known> {
        let running = self.shared.running().get(&job).map(|running| {
            let begun = *running.controls.begun.borrow();
            let stage = begun.map_or(Stage::Held, |begun| Stage::Running { begun });
            let known = running.known.clone();
            Known { stage, ..known }
        });
        running.or_else(|| self.shared.recent.get(job))
    }

    /// The output of the running attempt from `offset` on; `None` if none runs here.
    pub async fn own_log(
        &self,
        job: JobId,
        stream: LogStream,
        offset: u64,
    ) -> Option<std::io::Result<Bytes>> {
        let logs = self.shared.running().get(&job)?.logs.clone();
        Some(logs.read(stream, offset).await)
    }

    /// What an attempt has written from `offset` on, if `coordinator` is one of its coordinators.
    pub async fn log(
        &self,
        coordinator: &NodeId,
        job: JobId,
        stream: LogStream,
        offset: u64,
    ) -> Response {
        let logs = match self.shared.running().get(&job) {
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

    /// Shuts down: takes no more offers, lets running attempts leave a last checkpoint and release their leases, and
    /// cancels after `grace` those that cannot be stopped.
    pub async fn shutdown(&self, grace: Duration) {
        self.shared.leaving.cancel();
        self.shared.publish_free(&self.shared.running());
        let _ = tokio::time::timeout(grace, self.shared.attempts.join()).await;
        self.shared.closing.cancel();
        self.shared.attempts.join().await;
        let closed = self.shared.parts.executors.close();
        if tokio::time::timeout(GUEST_GRACE, closed).await.is_err() {
            tracing::warn!("a guest does not end; it ends with this process");
        }
    }
}

/// The slot of an attempt. Dropping it frees the slot.
#[derive(Debug)]
struct Slot {
    shared: Arc<Shared>,
    job: JobId,
    token: FencingToken,
}

impl Drop for Slot {
    fn drop(&mut self) {
        self.shared.remove(self.job, self.token);
    }
}
