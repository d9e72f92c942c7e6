//! One attempt from the accepted offer to the recorded finish.

use super::{Inner, execute, log::LogFiles};
use mc_net::message::{Request, Response};
use mc_types::{Cid, Ending, JobSpec, Lease, NodeId};
use std::{sync::Arc, time::Duration};
use tokio::sync::{Notify, watch};
use tokio_util::sync::CancellationToken;
use tracing::{debug, info, warn};

/// Heartbeats in one term of a lease: two may be lost.
const HEARTBEATS_PER_TERM: u32 = 3;
/// First pause before a finish is repeated, and the longest: it doubles in between.
const FINISH_RETRY_MIN: Duration = Duration::from_millis(50);
const FINISH_RETRY_MAX: Duration = Duration::from_secs(5);
/// How long a finish is repeated to a coordinator that does not answer. Its lease is long gone by
/// then, and the result stays in this node's store in any case.
const FINISH_GIVE_UP: Duration = Duration::from_secs(24 * 3600);

/// An accepted offer.
#[derive(Debug)]
pub(super) struct Attempt {
    pub(super) coordinator: NodeId,
    pub(super) lease: Lease,
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
}

impl Controls {
    /// Those of an attempt on a node that is `leaving`, and then `closing`.
    pub(super) fn new(leaving: &CancellationToken, closing: &CancellationToken) -> Self {
        Self {
            cancel: closing.child_token(),
            leaving: leaving.child_token(),
            stop_now: Arc::default(),
            cannot_stop: CancellationToken::new(),
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
        let ending = self.execute(&inner).await;
        // The slot is free as soon as the machine is; reporting may take longer.
        inner.remove(self.lease.job, self.lease.token);
        match ending {
            Some(ending) => self.finish(&inner, ending).await,
            None if inner.closing.is_cancelled() || self.controls.leaving.is_cancelled() => {
                self.release(&inner).await;
            }
            None => info!("attempt dropped: the lease is another's"),
        }
    }

    /// What the attempt came to; `None` when it lost its lease or the node shuts down.
    async fn execute(&self, inner: &Inner) -> Option<Ending> {
        let (running, is_running) = watch::channel(false);
        let work = execute::execute(inner, self, running);
        tokio::pin!(work);
        let lost = tokio::select! {
            biased;
            ending = &mut work => return ending,
            lost = self.heartbeats(inner, is_running) => lost,
        };
        // The guest is stopped before its slot is given to another.
        self.controls.cancel.cancel();
        let _ = work.await;
        match lost {
            Lost::Stale => None,
            Lost::Cancelled => Some(Ending::Cancelled),
        }
    }

    /// Renews the lease until it is lost. A coordinator that does not answer is no reason to stop:
    /// it may come back, and until then nobody else is granted the job.
    async fn heartbeats(&self, inner: &Inner, mut is_running: watch::Receiver<bool>) -> Lost {
        let term = Duration::from_millis(self.lease.ttl_ms.max(1));
        let pause = term / HEARTBEATS_PER_TERM;
        loop {
            // A start is reported at once, anything else in due time.
            let started = async {
                if is_running.changed().await.is_err() {
                    std::future::pending::<()>().await;
                }
            };
            let _ = tokio::time::timeout(pause, started).await;
            let (job, token, running) = (self.lease.job, self.lease.token, *is_running.borrow());
            let request = Request::Heartbeat {
                job,
                token,
                running,
            };
            match inner.peers.request(&self.coordinator, request).await {
                Ok(Response::Stale) => return Lost::Stale,
                Ok(Response::Cancelled) => return Lost::Cancelled,
                Ok(_) => {}
                Err(error) => debug!(%error, "heartbeat not answered"),
            }
        }
    }

    /// Reports the ending until the coordinator has it in its ledger or wants it no more.
    async fn finish(&self, inner: &Inner, ending: Ending) {
        let mut pause = FINISH_RETRY_MIN;
        let attempts = async {
            loop {
                let (job, token) = (self.lease.job, self.lease.token);
                let request = Request::Finish {
                    job,
                    token,
                    ending: ending.clone(),
                };
                match inner.peers.request(&self.coordinator, request).await {
                    Ok(Response::Recorded) => return,
                    Ok(Response::Stale | Response::Cancelled) => {
                        info!("finish refused: the lease is another's");
                        return;
                    }
                    Ok(Response::Pending) => pause = FINISH_RETRY_MIN,
                    Ok(other) => warn!(?other, "unexpected answer to a finish"),
                    Err(error) => debug!(%error, "finish not answered"),
                }
                tokio::select! {
                    () = tokio::time::sleep(pause) => {}
                    () = inner.closing.cancelled() => return,
                }
                pause = (pause * 2).min(FINISH_RETRY_MAX);
            }
        };
        if tokio::time::timeout(FINISH_GIVE_UP, attempts)
            .await
            .is_err()
        {
            warn!("finish given up: the coordinator did not answer for a day");
        }
    }

    async fn release(&self, inner: &Inner) {
        let (job, token) = (self.lease.job, self.lease.token);
        let reason = "the attempt goes on elsewhere".to_owned();
        let request = Request::Release { job, token, reason };
        if let Err(error) = inner.peers.request(&self.coordinator, request).await {
            // Nothing is lost: the lease expires by itself.
            debug!(%error, "release not answered");
        }
    }
}
