//! Other coordinators on the same ledger. None of them leads: each grants leases for the jobs that were handed in
//! there, and takes those of one that fell silent.

use super::{Coordinator, actor::Input, pin, respond};
use crate::error::Error;
use mc_protocol::{Request, Response};
use mc_scheduler::Command;
use mc_types::{Cid, ErrorCode, JobId, JobRecord, NodeId, Why};
use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, PoisonError, RwLock},
    time::{Duration, Instant},
};
use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;

/// How often in its own term a coordinator says that it is there: two may be lost.
const RENEWALS_PER_TERM: u32 = 3;
/// Jobs of others that are looked at in one round, and how long each is left alone: at first it is not even in
/// the ledger.
const LOOKED_AT_A_TIME: usize = 256;
const LOOK_AGAIN_AFTER: Duration = Duration::from_secs(60);
/// How long a sister may take to make a job's inputs its own before the job is accepted without.
const KEEP_WITHIN: Duration = Duration::from_secs(5);

/// How often the ledger is asked at most whether whoever says so is a coordinator: anybody may.
const LOOK_AT_MOST_EVERY: Duration = Duration::from_millis(200);

/// Jobs of others whose inputs are kept here, of which is known that they may have ended.
const MAX_KEPT: usize = 1_000_000;

/// The other coordinators that are there, as of a moment ago.
#[derive(Debug, Default)]
pub(super) struct Sisters {
    there: RwLock<Arc<[NodeId]>>,
    /// Jobs of theirs whose inputs are kept here.
    kept: Mutex<VecDeque<(Instant, JobId)>>,
    /// When the ledger was asked for a stranger.
    looked: Mutex<Option<Instant>>,
}

impl Sisters {
    pub(super) fn now(&self) -> Arc<[NodeId]> {
        let sisters = self.there.read().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(&sisters)
    }

    fn set(&self, sisters: Vec<NodeId>) {
        let mut known = self.there.write().unwrap_or_else(PoisonError::into_inner);
        if **known != *sisters {
            *known = sisters.into();
        }
    }

    /// Whether the ledger may be asked for a stranger now.
    fn may_look(&self) -> bool {
        let mut looked = self.looked.lock().unwrap_or_else(PoisonError::into_inner);
        let may = looked.is_none_or(|at| at.elapsed() >= LOOK_AT_MOST_EVERY);
        if may {
            *looked = Some(Instant::now());
        }
        may
    }

    fn note_kept(&self, job: JobId) {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        // What is forgotten here is unpinned after the next start.
        if kept.len() < MAX_KEPT {
            kept.push_back((Instant::now(), job));
        }
    }

    /// Some of those that were looked at longest ago.
    fn take_kept(&self) -> Vec<JobId> {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let due = kept
            .iter()
            .take_while(|(noted, _)| noted.elapsed() >= LOOK_AGAIN_AFTER);
        let count = due.count().min(LOOKED_AT_A_TIME);
        kept.drain(..count).map(|(_, job)| job).collect()
    }
}

impl Coordinator {
    /// Says to the others that this one is there, and takes the jobs of those that are not, until `stopping`.
    pub(super) async fn stay(self, term: Duration, stopping: CancellationToken) {
        let mut every = tokio::time::interval(term / RENEWALS_PER_TERM);
        every.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        while stopping.run_until_cancelled(every.tick()).await.is_some() {
            if let Err(error) = self.be_there(term).await {
                tracing::warn!(%error, "the ledger was not told that this node is there");
            }
        }
        // Others take over at once then; without this they do when the term is over.
        if let Err(error) = self.ledger.resign().await {
            tracing::debug!(%error, "not resigned");
        }
    }

    pub(super) async fn be_there(&self, term: Duration) -> Result<(), Error> {
        if !self.ledger.renew(term).await? {
            // The jobs that this one believed to own may be another's by now.
            self.recent.clear();
            let _ = self.inputs.send(Input::Reload).await;
        }
        self.sisters.set(self.ledger.sisters().await?);
        let taken = self.ledger.take_over().await?;
        if !taken.is_empty() {
            tracing::info!(
                jobs = taken.len(),
                "took the jobs of a coordinator that fell silent"
            );
            for job in &taken {
                self.hold_task(job).await?;
            }
            self.restore_checkpoints().await?;
            let _ = self.inputs.send(Input::Adopt { jobs: taken }).await;
        }
        self.unpin_ended().await
    }

    /// Unpins the inputs of others' jobs that have ended: the oldest ones, some at a time.
    async fn unpin_ended(&self) -> Result<(), Error> {
        for job in self.sisters.take_kept() {
            if self.needs_no_pin(job).await? {
                self.content.store().unpin(&pin(job)).await?;
            } else if self.ledger.owner_of(job).await?.as_ref() != Some(self.peers.local()) {
                self.sisters.note_kept(job);
            }
        }
        Ok(())
    }

    /// Pins the task of a job that was another's. What is missing of it is asked for when it is needed.
    async fn hold_task(&self, job: &JobRecord) -> Result<(), Error> {
        self.content.store().pin(&pin(job.id), job.task_cid).await?;
        Ok(())
    }

    /// Has one of the others make the inputs of a new job its own, so that it can go on with the job without
    /// this one. If none does in time, the job is as safe as this node.
    pub(super) async fn have_kept(&self, job: JobId, task: Cid) {
        let sisters = self.sisters.now();
        for sister in sisters.iter() {
            let request = self.peers.request(sister, Request::Keep { job, task });
            match tokio::time::timeout(KEEP_WITHIN, request).await {
                Ok(Ok(Response::Recorded)) => return,
                Ok(answer) => tracing::debug!(%sister, ?answer, "inputs not kept"),
                Err(_) => tracing::debug!(%sister, "inputs not kept in time"),
            }
        }
        if !sisters.is_empty() {
            tracing::warn!(%job, "no other coordinator keeps the inputs");
        }
    }

    /// What a node is told that is no coordinator on the same ledger.
    async fn refusal(&self, node: &NodeId) -> Option<Response> {
        let reason = "not a coordinator on the same ledger";
        let is_stranger = !self.is_sister(node).await;
        // One that came just now is known in a moment.
        is_stranger.then(|| Response::refused(ErrorCode::Infrastructure, reason))
    }

    /// Whether `node` is a coordinator on the same ledger. One that came just now is only known there.
    async fn is_sister(&self, node: &NodeId) -> bool {
        if self.sisters.now().contains(node) {
            return true;
        }
        if !self.sisters.may_look() {
            return false;
        }
        match self.ledger.sisters().await {
            Ok(sisters) => {
                self.sisters.set(sisters);
                self.sisters.now().contains(node)
            }
            Err(_) => false,
        }
    }

    /// Makes the inputs of another coordinator's job this node's own.
    pub(crate) async fn keep(&self, from: NodeId, job: JobId, task: Cid) -> Response {
        if let Some(refusal) = self.refusal(&from).await {
            return refusal;
        }
        let kept = async {
            self.content.store().pin(&pin(job), task).await?;
            self.content.fetch(task, vec![from], None).await
        };
        self.sisters.note_kept(job);
        match kept.await {
            Ok(()) => Response::Recorded,
            Err(error) => Error::from(error).into(),
        }
    }

    /// Calls a job off on behalf of a user of another coordinator.
    pub(crate) async fn cancel_for(&self, from: NodeId, job: JobId) -> Response {
        if let Some(refusal) = self.refusal(&from).await {
            return refusal;
        }
        respond(self.ask(Command::Cancel { job }).await)
    }

    /// Calls off a job that another coordinator may own.
    pub(super) async fn cancel_at_owner(&self, job: JobId) -> Result<(), Error> {
        let is_open = self.job(job).await?.is_some_and(|job| job.ending.is_none());
        if !is_open {
            return Ok(());
        }
        match self.at_owner(job, Request::CancelJob { job }).await? {
            None | Some(Response::Cancelled | Response::Stale) => Ok(()),
            Some(answer) => done(answer),
        }
    }

    /// Asks the owner of a job; `None` if that is this coordinator, or nobody.
    async fn at_owner(&self, job: JobId, request: Request) -> Result<Option<Response>, Error> {
        let owner = self.ledger.owner_of(job).await?;
        let Some(owner) = owner.filter(|owner| owner != self.peers.local()) else {
            return Ok(None);
        };
        let answer = self.peers.request(&owner, request).await;
        answer
            .map(Some)
            .map_err(|error| Error::Unanswered(error.to_string()))
    }

    /// Has a checkpoint taken of a job that another coordinator may own.
    pub(super) async fn stop_at_owner(&self, job: &JobRecord) -> Result<(), Error> {
        let request = Request::StopJob { job: job.id };
        match self.at_owner(job.id, request).await? {
            None => self.stop_own(job).await,
            Some(answer) => done(answer),
        }
    }

    /// Moves a job that another coordinator may own to another node.
    ///
    /// # Errors
    ///
    /// [`Error::NotRunning`] when it has ended.
    pub(crate) async fn migrate(&self, job: &JobRecord, to: NodeId) -> Result<(), Error> {
        let request = Request::MigrateJob {
            job: job.id,
            to: to.clone(),
        };
        match self.at_owner(job.id, request).await? {
            None => self.migrate_own(job.id, to).await,
            Some(answer) => done(answer),
        }
    }

    /// A job that there is.
    async fn known(&self, job: JobId) -> Result<JobRecord, Error> {
        self.job(job).await?.ok_or(Error::NotRunning)
    }

    /// Has a checkpoint taken on behalf of a user of another coordinator.
    pub(crate) async fn stop_for(&self, from: NodeId, job: JobId) -> Response {
        if let Some(refusal) = self.refusal(&from).await {
            return refusal;
        }
        told(match self.known(job).await {
            Ok(job) => self.stop_own(&job).await,
            Err(error) => Err(error),
        })
    }

    /// Moves a job on behalf of a user of another coordinator.
    pub(crate) async fn migrate_for(&self, from: NodeId, job: JobId, to: NodeId) -> Response {
        if let Some(refusal) = self.refusal(&from).await {
            return refusal;
        }
        told(self.migrate_own(job, to).await)
    }

    /// Why a job that another coordinator may own is not running.
    ///
    /// # Errors
    ///
    /// [`Error::NotRunning`] when it has ended, or that its owner does not answer.
    pub(crate) async fn why(&self, job: JobId) -> Result<Why, Error> {
        match self.at_owner(job, Request::WhyJob { job }).await? {
            None => self
                .why_own(vec![job])
                .await?
                .pop()
                .ok_or(Error::NotRunning),
            Some(Response::Why(why)) if why.job == job => Ok(*why),
            Some(answer) => done(answer).and(Err(Error::NotRunning)),
        }
    }

    /// The same of some jobs of this coordinator, as far as they are open.
    pub(crate) async fn why_own(&self, jobs: Vec<JobId>) -> Result<Vec<Why>, Error> {
        let (reply, why) = oneshot::channel();
        let asked = self.inputs.send(Input::Why { jobs, reply }).await;
        asked.map_err(|_| Error::ShuttingDown)?;
        why.await.map_err(|_| Error::ShuttingDown)
    }

    /// Says on behalf of a user of another coordinator why a job waits.
    pub(crate) async fn why_for(&self, from: NodeId, job: JobId) -> Response {
        if let Some(refusal) = self.refusal(&from).await {
            return refusal;
        }
        match self.why_own(vec![job]).await {
            Ok(mut why) => why
                .pop()
                .map_or(Response::Stale, |why| Response::Why(Box::new(why))),
            Err(error) => told(Err(error)),
        }
    }
}

/// What another coordinator is told of what was done for it.
fn told(result: Result<(), Error>) -> Response {
    match result {
        Ok(()) => Response::Ok,
        Err(Error::NotRunning) => Response::Stale,
        Err(error) if error.code() == ErrorCode::CannotStop => {
            Response::refused(error.code(), error.to_string())
        }
        Err(error) => error.into(),
    }
}

/// What another coordinator did, as it told.
fn done(answer: Response) -> Result<(), Error> {
    match answer {
        Response::Ok => Ok(()),
        Response::Stale => Err(Error::NotRunning),
        Response::Refused {
            code,
            reason: message,
        }
        | Response::Error { code, message } => Err(Error::Told { code, message }),
        other => Err(Error::Unanswered(format!("{other:?}"))),
    }
}
