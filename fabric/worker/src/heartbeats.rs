//! Renews the lease of an attempt. Heartbeats are a task of their own, so that nothing that the attempt does, such as
//! writing a checkpoint, delays them.

use crate::{accepted::Accepted, coordinators::Coordinators, shared::Shared};
use mc_protocol::{Exchange, Request, RequestError, Response};
use mc_supervision::Supervisor;
use mc_types::{FencingToken, JobId};
use std::{sync::Arc, time::Duration};
use tokio::{sync::watch, time::Instant};
use tokio_util::task::AbortOnDropHandle;
use tracing::{Instrument, Span, debug};

/// Heartbeats in one term of a lease: two may be lost.
const PER_TERM: u32 = 3;
/// Bounds on the term, which a coordinator chooses.
const MIN_TERM_MS: u64 = 100;
const MAX_TERM_MS: u64 = 3_600_000;
/// The least time that an answer may take. If none has come when the next heartbeat is due, the heartbeat counts as lost.
const ANSWER_WITHIN: Duration = Duration::from_secs(1);
/// A task that takes less than this is never reported as running: its ending follows at once.
const REPORT_START_AFTER: Duration = Duration::from_millis(10);

/// Why heartbeats ended before the attempt did.
pub(crate) enum Lost {
    /// Another node holds the lease, so nobody wants the result of this attempt.
    Stale,
    /// The user cancelled the job.
    Cancelled,
    /// No coordinator has answered for too long.
    Silent,
}

/// The heartbeats of an attempt.
pub(crate) struct Heartbeats {
    peers: Arc<dyn Exchange>,
    coordinators: Coordinators,
    job: JobId,
    token: FencingToken,
    term: Duration,
    /// For how long all coordinators may be silent.
    patience: Duration,
    /// When the guest began, once it has.
    begun: watch::Receiver<Option<Instant>>,
}

impl Heartbeats {
    pub(crate) fn of(attempt: &Accepted, shared: &Shared) -> Self {
        let lease = &attempt.lease;
        let term = Duration::from_millis(lease.ttl_ms.clamp(MIN_TERM_MS, MAX_TERM_MS));
        Self {
            peers: Arc::clone(&shared.parts.peers),
            coordinators: attempt.coordinators.clone(),
            job: lease.job,
            token: lease.token,
            term,
            patience: term.saturating_mul(shared.options.silent_terms),
            begun: attempt.controls.begun.subscribe(),
        }
    }

    /// Starts them. They end when the handle is dropped.
    pub(crate) fn begin(self, tasks: &Supervisor) -> AbortOnDropHandle<Lost> {
        let beating = self.until_lost().instrument(Span::current());
        AbortOnDropHandle::new(tasks.part("heartbeats", beating))
    }

    /// Renews the lease until it is lost. A silent coordinator may come back, and nobody else is granted the job until
    /// then, so the attempt goes on for a while; but a coordinator that stays away must not keep a slot for ever.
    async fn until_lost(mut self) -> Lost {
        let pause = self.term / PER_TERM;
        let within = pause.max(ANSWER_WITHIN);
        let (mut heard, mut sent) = (Instant::now(), Instant::now());
        loop {
            // The start is reported soon after it; all else at regular times, however long the last answer took.
            let due = pause.saturating_sub(sent.elapsed());
            let _ = tokio::time::timeout(due, self.has_begun()).await;
            sent = Instant::now();
            let request = self.request();
            let answer = self.coordinators.ask_within(within, &*self.peers, request);
            match answer.await {
                Ok(Response::Stale) => return Lost::Stale,
                Ok(Response::Cancelled) => return Lost::Cancelled,
                // The coordinator is there, even if its answer is not understood.
                Ok(_) | Err(RequestError::UnsupportedAnswer { .. }) => heard = Instant::now(),
                Err(error) => {
                    debug!(%error, "heartbeat not answered");
                    if heard.elapsed() >= self.patience {
                        return Lost::Silent;
                    }
                }
            }
        }
    }

    /// Returns soon after the guest has begun.
    async fn has_begun(&mut self) {
        if self.begun.changed().await.is_err() {
            std::future::pending::<()>().await;
        }
        tokio::time::sleep(REPORT_START_AFTER).await;
    }

    fn request(&self) -> Request {
        let began = *self.begun.borrow();
        let since = began.map_or(Duration::ZERO, |began| began.elapsed());
        Request::Heartbeat {
            job: self.job,
            token: self.token,
            running: began.is_some(),
            since_ms: u64::try_from(since.as_millis()).unwrap_or(u64::MAX),
        }
    }
}
