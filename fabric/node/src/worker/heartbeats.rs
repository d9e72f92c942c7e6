//! Renewing the lease of an attempt. This is a task of its own, so that heartbeats wait for nothing that the attempt
//! does, such as the writing of a checkpoint.

use super::{Inner, attempt::Attempt, coordinators::Coordinators};
use crate::peers::Peers;
use mc_protocol::{Request, RequestError, Response};
use mc_supervision::Supervisor;
use mc_types::{FencingToken, JobId};
use std::time::{Duration, Instant};
use tokio::sync::watch;
use tokio_util::task::AbortOnDropHandle;
use tracing::{Instrument, Span, debug};

/// Heartbeats in one term of a lease: two may be lost.
const PER_TERM: u32 = 3;
/// The shortest and the longest term that a coordinator can mean.
const MIN_TERM_MS: u64 = 100;
const MAX_TERM_MS: u64 = 3_600_000;
/// How long an answer is waited for at least. If none has come when the next heartbeat is due, one was lost.
const ANSWER_WITHIN: Duration = Duration::from_secs(1);
/// Tasks that take less than this never say that they run: their end says it.
const REPORT_START_AFTER: Duration = Duration::from_millis(10);

/// Why heartbeats ended before the attempt did.
pub(super) enum Lost {
    /// The lease is another's: whatever this attempt comes to is of no interest.
    Stale,
    /// The user called the job off.
    Cancelled,
    /// No coordinator has answered for too long.
    Silent,
}

/// The heartbeats of an attempt.
pub(super) struct Heartbeats {
    peers: Peers,
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
    pub(super) fn of(attempt: &Attempt, inner: &Inner) -> Self {
        let lease = &attempt.lease;
        let term = Duration::from_millis(lease.ttl_ms.clamp(MIN_TERM_MS, MAX_TERM_MS));
        Self {
            peers: inner.peers.clone(),
            coordinators: attempt.coordinators.clone(),
            job: lease.job,
            token: lease.token,
            term,
            patience: term.saturating_mul(inner.options.silent_terms),
            begun: attempt.controls.begun.subscribe(),
        }
    }

    /// Begins with them; they end when the handle is dropped.
    pub(super) fn begin(self, tasks: &Supervisor) -> AbortOnDropHandle<Lost> {
        let beating = self.until_lost().instrument(Span::current());
        AbortOnDropHandle::new(tasks.part("heartbeats", beating))
    }

    /// Renews the lease until it is lost. A coordinator that does not answer is no reason to stop for long:
    /// it may come back, and until then nobody else is granted the job. One that does not come back must not
    /// keep a slot for ever.
    async fn until_lost(mut self) -> Lost {
        let pause = self.term / PER_TERM;
        let within = pause.max(ANSWER_WITHIN);
        let (mut heard, mut sent) = (Instant::now(), Instant::now());
        loop {
            // A start is reported soon, unless the end comes sooner; anything else in due time, however long the last
            // answer took.
            let due = pause.saturating_sub(sent.elapsed());
            let _ = tokio::time::timeout(due, self.has_begun()).await;
            sent = Instant::now();
            let request = self.request();
            let answer = self.coordinators.ask_within(within, &self.peers, request);
            match answer.await {
                Ok(Response::Stale) => return Lost::Stale,
                Ok(Response::Cancelled) => return Lost::Cancelled,
                // Whoever answers is there, whatever it means.
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

    /// Ends soon after the guest has begun.
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
