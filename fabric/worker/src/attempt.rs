//! One attempt from the accepted offer to the recorded finish.

use crate::{
    accepted::Accepted,
    disk::{Purpose, Taken},
    execute::{self, Executed},
    heartbeats::{Heartbeats, Lost},
    known::{Known, Stage},
    outbox::{Item, Report},
    shared::Shared,
    streams::StoredStreams,
};
use mc_protocol::{Request, Response};
use mc_types::{AttemptResult, ErrorCode, FailureReason};
use std::{sync::Arc, time::Duration};
use tracing::{debug, info, warn};

/// After an attempt is given up, its coordinator is told what it wrote: at most this often, with this pause in between.
const TELLS: u32 = 3;
const TELL_AGAIN_AFTER: Duration = Duration::from_millis(200);
/// How often the worker checks how much an attempt has printed.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// How long a guest may take to leave a checkpoint when its coordinators have been silent for too long, or it has run
/// for too long.
const LEAVE_WITHIN: Duration = Duration::from_secs(60);

/// The message of a failure for want of room for output.
const NO_ROOM: &str = "the node has no more room for what tasks print";

/// Why the worker ends an attempt that has not ended by itself.
enum Cause {
    /// Its lease is lost, or no coordinator renews it.
    Lost(Lost),
    /// It has run for as long as this node allows.
    TooLong,
    /// It prints more than this node has room for, even without other attempts.
    NoRoom,
    /// Other attempts leave no room for what it prints.
    CrowdedOut,
}

impl Cause {
    /// How the attempt concludes if it leaves a checkpoint first; `None` if it is stopped without one.
    const fn with_checkpoint(&self) -> Option<Conclusion> {
        match self {
            Self::Lost(Lost::Silent) => Some(Conclusion::CalledBack),
            Self::TooLong => Some(Conclusion::Nothing),
            Self::Lost(Lost::Stale | Lost::Cancelled) | Self::NoRoom | Self::CrowdedOut => None,
        }
    }

    /// How the attempt concludes if it leaves no checkpoint.
    fn conclusion(&self) -> Conclusion {
        let failed = |code, message: &str| {
            Conclusion::Ending(AttemptResult::Failed(FailureReason::Infrastructure {
                code,
                message: message.to_owned(),
            }))
        };
        match self {
            Self::Lost(Lost::Stale) => Conclusion::Nothing,
            Self::Lost(Lost::Cancelled) => Conclusion::Ending(AttemptResult::Cancelled),
            Self::Lost(Lost::Silent) => Conclusion::CalledBack,
            Self::TooLong => failed(None, "it took longer than the node lets an attempt take"),
            Self::NoRoom => failed(None, NO_ROOM),
            Self::CrowdedOut => failed(Some(ErrorCode::Overloaded), NO_ROOM),
        }
    }
}

/// How an attempt ended.
enum Conclusion {
    /// By itself.
    Ending(AttemptResult),
    /// The worker ended it because its coordinators are silent.
    CalledBack,
    /// It lost its lease, or the node shuts down.
    Nothing,
}

impl Conclusion {
    /// How an execution concluded that ended by itself; `otherwise` if it has no ending.
    fn of(executed: Executed, otherwise: Self) -> (Self, Option<StoredStreams>) {
        let conclusion = executed.ending.map_or(otherwise, Self::Ending);
        (conclusion, executed.wrote)
    }

    /// What this node tells about the job from now on.
    fn stage(&self) -> Option<Stage> {
        match self {
            Self::Ending(ending) => Some(Stage::Ended {
                ending: ending.clone(),
                is_recorded: false,
            }),
            Self::CalledBack => Some(Stage::Left { was_killed: false }),
            Self::Nothing => None,
        }
    }
}

impl Accepted {
    /// Runs the attempt. The slot is free again when this returns.
    #[tracing::instrument(name = "attempt", skip_all, fields(job = %self.lease.job, token = %self.lease.token))]
    pub(crate) async fn run(self, shared: Arc<Shared>) {
        let (conclusion, wrote) = Box::pin(self.execute(&shared)).await;
        if let Some(stage) = conclusion.stage() {
            let known = Known {
                wrote,
                stage,
                ..self.known.clone()
            };
            shared.recent.ended(self.lease.job, self.lease.token, known);
        }
        // The slot is free as soon as the machine is. The report may take longer.
        shared.remove(self.lease.job, self.lease.token);
        let (ending, left) = match conclusion {
            Conclusion::Ending(ending) => (Some(ending), None),
            Conclusion::CalledBack => (None, self.left()),
            Conclusion::Nothing => {
                self.tell(&shared, wrote).await;
                if shared.closing.is_cancelled() || self.controls.leaving.is_cancelled() {
                    self.release(&shared).await;
                } else {
                    info!("attempt dropped: the lease is another's");
                }
                return;
            }
        };
        let lease = (&self.lease, self.grant);
        let report = Report {
            of: (&self.known).into(),
            ending,
            left,
            wrote,
        };
        let item = Item::new(&self.coordinators, lease, report);
        item.deliver(&shared, self.coordinators, false).await;
    }

    /// How the attempt ended, and its output if it has no outcome.
    async fn execute(&self, shared: &Shared) -> (Conclusion, Option<StoredStreams>) {
        let mut heartbeats = Heartbeats::of(self, shared).begin(&shared.attempts);
        let taken = Arc::new(Taken::new(Arc::clone(&shared.disk)));
        let work = execute::execute(shared, self, &taken);
        tokio::pin!(work);
        let cause = tokio::select! {
            biased;
            executed = &mut work => return Conclusion::of(executed, Conclusion::Nothing),
            // Heartbeats end by themselves only when the lease is lost.
            lost = &mut heartbeats => Cause::Lost(lost.unwrap_or(Lost::Silent)),
            () = self.outlasts(shared) => Cause::TooLong,
            cause = self.outgrows(&taken) => cause,
        };
        if let Some(left) = cause.with_checkpoint() {
            warn!(
                "ended with a checkpoint, if it can be: it takes too long, or no coordinator has answered for too long"
            );
            self.controls.leaving.cancel();
            tokio::select! {
                biased;
                executed = &mut work => return Conclusion::of(executed, left),
                () = self.controls.cannot_stop.cancelled() => {}
                () = tokio::time::sleep(LEAVE_WITHIN) => {}
            }
        }
        // The guest is stopped before its slot is given to another.
        self.controls.cancel.cancel();
        let wrote = work.await.wrote;
        (cause.conclusion(), wrote)
    }

    /// Returns when the guest has run for as long as this node allows. A job with a timeout of its own never gets there: a
    /// timeout beyond the cap is refused.
    async fn outlasts(&self, shared: &Shared) {
        let longest = shared.options.caps.attempt;
        let Some(longest) = longest.filter(|_| self.spec.timeout_ms.is_none()) else {
            return std::future::pending().await;
        };
        let mut begun = self.controls.begun.subscribe();
        // The sender lives as long as the attempt.
        let _ = begun.wait_for(Option::is_some).await;
        tokio::time::sleep(longest).await;
    }

    /// Returns when there is no more room for what this attempt prints.
    async fn outgrows(&self, taken: &Taken) -> Cause {
        loop {
            tokio::time::sleep(LOOK_EVERY).await;
            if taken.grow_to(Purpose::Output, self.logs.bytes().await) {
                continue;
            }
            return match taken.was_crowded_out() {
                true => Cause::CrowdedOut,
                false => Cause::NoRoom,
            };
        }
    }

    /// Tells a coordinator what the attempt wrote.
    async fn tell(&self, shared: &Shared, wrote: Option<StoredStreams>) {
        let Some(wrote) = wrote else {
            return;
        };
        for _ in 0..TELLS {
            let lease = (self.lease.job, self.lease.token, self.lease.attempt);
            let request = wrote.request(lease, self.grant.clone());
            match self.coordinators.ask(&*shared.parts.peers, request).await {
                Ok(Response::Pending | Response::Elsewhere) => {}
                Ok(_) => return,
                Err(error) => debug!(%error, "what was written was not heard"),
            }
            tokio::time::sleep(TELL_AGAIN_AFTER).await;
        }
    }

    async fn release(&self, shared: &Shared) {
        let (job, token) = (self.lease.job, self.lease.token);
        let reason = "the attempt goes on elsewhere".to_owned();
        let request = Request::Release { job, token, reason };
        if let Err(error) = self.coordinators.ask(&*shared.parts.peers, request).await {
            // No harm is done: the lease expires by itself.
            debug!(%error, "release not answered");
        }
    }
}
