//! One attempt from the accepted offer to the recorded finish.

use super::{Inner, Known, Stage, coordinators::Coordinators, execute, log::LogFiles, owed::Owed};
use crate::private::TaskKey;
use mc_net::message::{Request, Response};
use mc_types::{Cid, Ending, JobSpec, Lease};
use std::{
    sync::Arc,
    time::{Duration, Instant},
};
use tokio::sync::{Notify, watch};
use tokio_util::sync::CancellationToken;
use tracing::{debug, info};

/// Heartbeats in one term of a lease: two may be lost.
const HEARTBEATS_PER_TERM: u32 = 3;
/// How often a coordinator is told what an attempt wrote that it gave up, and the pause in between.
const TELLS: u32 = 3;
const TELL_AGAIN_AFTER: Duration = Duration::from_millis(200);
/// Tasks that take less than this never say that they run: their end says it.
const REPORT_START_AFTER: Duration = Duration::from_millis(10);

/// An accepted offer.
#[derive(Debug)]
pub(super) struct Attempt {
    /// What is told of it here.
    pub(super) known: Known,
    pub(super) coordinators: Coordinators,
    pub(super) lease: Lease,
    /// The lease, as the coordinator signed it.
    pub(super) grant: Vec<u8>,
    /// Of a private task.
    pub(super) key: Option<TaskKey>,
    pub(super) spec: JobSpec,
    /// Checkpoints of earlier attempts, newest first.
    pub(super) checkpoints: Vec<Cid>,
    pub(super) controls: Controls,
    pub(super) logs: LogFiles,
}

/// By what an attempt is influenced from outside. Cheap to clone.
#[derive(Debug, Clone)]
pub(super) struct Controls {
    /// Set when the user calls the job off, the lease is lost, or the node shuts down.
    pub(super) cancel: CancellationToken,
    /// Set when the attempt is to end with a checkpoint.
    pub(super) leaving: CancellationToken,
    /// Asks for a checkpoint.
    pub(super) stop_now: Arc<Notify>,
    /// Set as soon as it is known that the program cannot be stopped.
    pub(super) cannot_stop: CancellationToken,
    /// When the guest began, once it has.
    pub(super) begun: watch::Sender<Option<Instant>>,
}

impl Controls {
    /// Those of an attempt on a node that is `leaving`, and then `closing`.
    pub(super) fn new(leaving: &CancellationToken, closing: &CancellationToken) -> Self {
        Self {
            cancel: closing.child_token(),
            leaving: leaving.child_token(),
            stop_now: Arc::default(),
            cannot_stop: CancellationToken::new(),
            begun: watch::Sender::new(None),
        }
    }
}

/// Why heartbeats ended before the attempt did.
enum Lost {
    /// The lease is another's: whatever this attempt comes to is of no interest.
    Stale,
    /// The user called the job off.
    Cancelled,
}

impl Attempt {
    /// Runs the attempt. The slot is free again when this returns.
    #[tracing::instrument(name = "attempt", skip_all, fields(job = %self.lease.job, token = %self.lease.token))]
    pub(super) async fn run(self, inner: Arc<Inner>) {
        let execute::Executed { ending, wrote } = Box::pin(self.execute(&inner)).await;
        if let Some(ending) = ending.clone() {
            let is_recorded = false;
            let known = Known {
                stage: Stage::Ended {
                    ending,
                    is_recorded,
                },
                ..self.known.clone()
            };
            inner.recent.ended(self.lease.job, self.lease.token, known);
        }
        // The slot is free as soon as the machine is; reporting may take longer.
        inner.remove(self.lease.job, self.lease.token);
        match ending {
            Some(ending) => {
                let lease = (&self.lease, self.grant);
                let owed = Owed::new(&self.coordinators, lease, (ending, wrote));
                owed.say(&inner, self.coordinators, false).await;
            }
            None if inner.closing.is_cancelled() || self.controls.leaving.is_cancelled() => {
                self.tell(&inner, wrote).await;
                self.release(&inner).await;
            }
            None => {
                self.tell(&inner, wrote).await;
                info!("attempt dropped: the lease is another's");
            }
        }
    }

    /// What the attempt came to: nothing when it lost its lease or the node shuts down.
    async fn execute(&self, inner: &Inner) -> execute::Executed {
        let is_running = self.controls.begun.subscribe();
        let work = execute::execute(inner, self);
        tokio::pin!(work);
        let lost = tokio::select! {
            biased;
            executed = &mut work => return executed,
            lost = self.heartbeats(inner, is_running) => lost,
        };
        // The guest is stopped before its slot is given to another.
        self.controls.cancel.cancel();
        let wrote = work.await.wrote;
        let ending = match lost {
            Lost::Stale => None,
            Lost::Cancelled => Some(Ending::Cancelled),
        };
        execute::Executed { ending, wrote }
    }

    /// Says what the attempt wrote.
    async fn tell(&self, inner: &Inner, wrote: Option<execute::Wrote>) {
        let Some(wrote) = wrote else {
            return;
        };
        for _ in 0..TELLS {
            let lease = (self.lease.job, self.lease.token, self.lease.attempt);
            let request = wrote.request(lease, self.grant.clone());
            match self.coordinators.ask(&inner.peers, request).await {
                Ok(Response::Pending | Response::Elsewhere) => {}
                Ok(_) => return,
                Err(error) => debug!(%error, "what was written was not heard"),
            }
            tokio::time::sleep(TELL_AGAIN_AFTER).await;
        }
    }

    /// Renews the lease until it is lost. A coordinator that does not answer is no reason to stop:
    /// it may come back, and until then nobody else is granted the job.
    async fn heartbeats(
        &self,
        inner: &Inner,
        mut is_running: watch::Receiver<Option<Instant>>,
    ) -> Lost {
        let term = Duration::from_millis(self.lease.ttl_ms.max(1));
        let pause = term / HEARTBEATS_PER_TERM;
        loop {
            // A start is reported soon, unless the end comes sooner; anything else in due time.
            let started = async {
                if is_running.changed().await.is_err() {
                    std::future::pending::<()>().await;
                }
                tokio::time::sleep(REPORT_START_AFTER).await;
            };
            let _ = tokio::time::timeout(pause, started).await;
            let began = *is_running.borrow();
            let since = began.map_or(Duration::ZERO, |began| began.elapsed());
            let request = Request::Heartbeat {
                job: self.lease.job,
                token: self.lease.token,
                running: began.is_some(),
                since_ms: u64::try_from(since.as_millis()).unwrap_or(u64::MAX),
            };
            match self.coordinators.ask(&inner.peers, request).await {
                Ok(Response::Stale) => return Lost::Stale,
                Ok(Response::Cancelled) => return Lost::Cancelled,
                Ok(_) => {}
                Err(error) => debug!(%error, "heartbeat not answered"),
            }
        }
    }

    async fn release(&self, inner: &Inner) {
        let (job, token) = (self.lease.job, self.lease.token);
        let reason = "the attempt goes on elsewhere".to_owned();
        let request = Request::Release { job, token, reason };
        if let Err(error) = self.coordinators.ask(&inner.peers, request).await {
            // Nothing is lost: the lease expires by itself.
            debug!(%error, "release not answered");
        }
    }
}
