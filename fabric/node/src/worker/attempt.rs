//! One attempt from the accepted offer to the recorded finish.

use super::{
    Inner, Known, Stage,
    coordinators::Coordinators,
    disk::{Purpose, Share},
    execute::{self, Executed, Wrote},
    heartbeats::{Heartbeats, Lost},
    kept::Left,
    owed::{Owed, What},
};
use mc_content::TaskKey;
use mc_execution::LogFiles;
use mc_protocol::{Request, Response};
use mc_types::{Cid, Ending, FailureReason, JobSpec, Lease};
use std::{
    sync::Arc,
    time::{Duration, Instant},
};
use tokio::sync::{Notify, watch};
use tokio_util::sync::CancellationToken;
use tracing::{debug, info, warn};

/// How often a coordinator is told what an attempt wrote that it gave up, and the pause in between.
const TELLS: u32 = 3;
const TELL_AGAIN_AFTER: Duration = Duration::from_millis(200);
/// How often it is looked how much an attempt has printed.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// How long a guest may take to leave a checkpoint when its coordinators have been silent for too long, or it has run
/// for too long.
const LEAVE_WITHIN: Duration = Duration::from_secs(60);

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
    /// The newest checkpoint that is stored here, and its position.
    pub(super) newest: watch::Sender<Option<(Cid, u64)>>,
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
            newest: watch::Sender::new(None),
        }
    }

    /// Those that whatever runs the task obeys.
    pub(super) fn of_execution(&self) -> mc_execution::Controls {
        mc_execution::Controls {
            cancel: self.cancel.clone(),
            leaving: self.leaving.clone(),
            stop_now: Arc::clone(&self.stop_now),
        }
    }
}

/// Why an attempt is ended that has not ended by itself.
enum Cause {
    /// Its lease is lost, or nobody renews it.
    Lost(Lost),
    /// It has run for as long as this node lets one.
    TooLong,
    /// What it prints has no more room here.
    NoRoom,
}

impl Cause {
    /// What the attempt comes to if it leaves a checkpoint; `None` if it need not.
    const fn leaving(&self) -> Option<Came> {
        match self {
            Self::Lost(Lost::Silent) => Some(Came::Back),
            Self::TooLong => Some(Came::ToNothing),
            Self::Lost(Lost::Stale | Lost::Cancelled) | Self::NoRoom => None,
        }
    }

    /// What the attempt comes to if it leaves none.
    fn came(&self) -> Came {
        let failed = |message: &str| {
            Came::To(Ending::Failed(FailureReason::Infrastructure {
                code: None,
                message: message.to_owned(),
            }))
        };
        match self {
            Self::Lost(Lost::Stale) => Came::ToNothing,
            Self::Lost(Lost::Cancelled) => Came::To(Ending::Cancelled),
            Self::Lost(Lost::Silent) => Came::Back,
            Self::TooLong => failed("it took longer than the node lets an attempt take"),
            Self::NoRoom => failed("the node has no more room for what tasks print"),
        }
    }
}

/// How an attempt ended.
enum Came {
    /// By itself.
    To(Ending),
    /// It was called back since its coordinators are silent.
    Back,
    /// It lost its lease, or the node shuts down.
    ToNothing,
}

impl Came {
    /// What an execution that ended by itself came to; `otherwise`, if that is nothing.
    fn of(executed: Executed, otherwise: Self) -> (Self, Option<Wrote>) {
        let came = executed.ending.map_or(otherwise, Self::To);
        (came, executed.wrote)
    }

    /// What is told here of the job from now on.
    fn stage(&self) -> Option<Stage> {
        match self {
            Self::To(ending) => Some(Stage::Ended {
                ending: ending.clone(),
                is_recorded: false,
            }),
            Self::Back => Some(Stage::Left { was_killed: false }),
            Self::ToNothing => None,
        }
    }
}

impl Attempt {
    /// Runs the attempt. The slot is free again when this returns.
    #[tracing::instrument(name = "attempt", skip_all, fields(job = %self.lease.job, token = %self.lease.token))]
    pub(super) async fn run(self, inner: Arc<Inner>) {
        let (came, wrote) = Box::pin(self.execute(&inner)).await;
        if let Some(stage) = came.stage() {
            let known = Known {
                wrote,
                stage,
                ..self.known.clone()
            };
            inner.recent.ended(self.lease.job, self.lease.token, known);
        }
        // The slot is free as soon as the machine is; reporting may take longer.
        inner.remove(self.lease.job, self.lease.token);
        let (ending, left) = match came {
            Came::To(ending) => (Some(ending), None),
            Came::Back => (None, self.left()),
            Came::ToNothing => {
                self.tell(&inner, wrote).await;
                if inner.closing.is_cancelled() || self.controls.leaving.is_cancelled() {
                    self.release(&inner).await;
                } else {
                    info!("attempt dropped: the lease is another's");
                }
                return;
            }
        };
        let lease = (&self.lease, self.grant);
        let what = What {
            of: (&self.known).into(),
            ending,
            left,
            wrote,
        };
        let owed = Owed::new(&self.coordinators, lease, what);
        owed.say(&inner, self.coordinators, false).await;
    }

    /// The newest checkpoint.
    fn left(&self) -> Option<Left> {
        let newest = *self.controls.newest.borrow();
        newest.map(|(cid, position)| Left {
            cid,
            position,
            attempt: self.lease.attempt,
        })
    }

    /// How the attempt ended, and what it wrote if it came to no outcome.
    async fn execute(&self, inner: &Inner) -> (Came, Option<Wrote>) {
        let mut heartbeats = Heartbeats::of(self, inner).begin(&inner.attempts);
        let work = execute::execute(inner, self);
        tokio::pin!(work);
        let cause = tokio::select! {
            biased;
            executed = &mut work => return Came::of(executed, Came::ToNothing),
            // They end by themselves only when the lease is lost.
            lost = &mut heartbeats => Cause::Lost(lost.unwrap_or(Lost::Silent)),
            () = self.outlasts(inner) => Cause::TooLong,
            () = self.outgrows(inner) => Cause::NoRoom,
        };
        if let Some(left) = cause.leaving() {
            warn!(
                "ended with a checkpoint, if it can be: it takes too long, or no coordinator has answered for too long"
            );
            self.controls.leaving.cancel();
            tokio::select! {
                biased;
                executed = &mut work => return Came::of(executed, left),
                () = self.controls.cannot_stop.cancelled() => {}
                () = tokio::time::sleep(LEAVE_WITHIN) => {}
            }
        }
        // The guest is stopped before its slot is given to another.
        self.controls.cancel.cancel();
        let wrote = work.await.wrote;
        (cause.came(), wrote)
    }

    /// Ends when the guest has run for as long as this node lets one. A job that names a time itself is ended by that: with
    /// a longer one it would not have been accepted.
    async fn outlasts(&self, inner: &Inner) {
        let longest = inner.options.caps.attempt;
        let Some(longest) = longest.filter(|_| self.spec.timeout_ms.is_none()) else {
            return std::future::pending().await;
        };
        let mut begun = self.controls.begun.subscribe();
        // Only an attempt that is gone sends nothing any more.
        let _ = begun.wait_for(Option::is_some).await;
        tokio::time::sleep(longest).await;
    }

    /// Ends when what is printed here has no more room, and this attempt prints more.
    async fn outgrows(&self, inner: &Inner) {
        let disk = Arc::clone(&inner.options.caps.disk);
        let share = Share::new(disk, Purpose::Output);
        loop {
            tokio::time::sleep(LOOK_EVERY).await;
            if !share.grow_to(self.logs.bytes().await) {
                return;
            }
        }
    }

    /// Says what the attempt wrote.
    async fn tell(&self, inner: &Inner, wrote: Option<Wrote>) {
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
