//! Other coordinators on the same ledger. None of them leads: each grants leases for the jobs that were submitted to
//! it, and takes over the jobs of one that fell silent.

use super::{Coordinator, actor::Input, finish::kept_root, pin, respond};
use crate::{Error, UNLIMITED};
use mc_protocol::{Request, Response};
use mc_scheduler::Command;
use mc_types::{Cid, ErrorCode, JobId, JobRecord, NodeId, Why};
use std::{
    collections::{HashSet, VecDeque},
    sync::{
        Arc, Mutex, PoisonError, RwLock,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};
use tokio::{sync::oneshot, time::Instant};
use tokio_util::sync::CancellationToken;

/// How often in its own term a coordinator renews its presence: two renewals may be lost.
const RENEWALS_PER_TERM: u32 = 3;
/// How many jobs of others are checked in one round, and how long each is left alone first: at first it is not even in
/// the ledger.
const LOOKED_AT_A_TIME: usize = 256;
const LOOK_AGAIN_AFTER: Duration = Duration::from_secs(60);
/// How long a replica may take to make a job's inputs its own before the job is accepted without.
const KEEP_WITHIN: Duration = Duration::from_secs(5);

/// How often at most the ledger is asked whether a node is a coordinator, since any node may claim so.
const LOOK_AT_MOST_EVERY: Duration = Duration::from_millis(200);

/// Jobs of others whose inputs are kept here and which may have ended.
const MAX_KEPT: usize = 1_000_000;

/// The other coordinators that are there, as of a moment ago.
#[derive(Debug, Default)]
pub(super) struct Replicas {
    there: RwLock<Arc<[NodeId]>>,
    /// Jobs of theirs whose inputs are kept here.
    kept: Mutex<VecDeque<(Instant, JobId)>>,
    /// When the ledger was asked for a stranger.
    looked: Mutex<Option<Instant>>,
    /// Whether a round was not finished: this coordinator may own other jobs than it knows.
    is_unsure: AtomicBool,
}

impl Replicas {
    pub(super) fn now(&self) -> Arc<[NodeId]> {
        let replicas = self.there.read().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(&replicas)
    }

    fn set(&self, replicas: Vec<NodeId>) {
        let mut known = self.there.write().unwrap_or_else(PoisonError::into_inner);
        if **known != *replicas {
            *known = replicas.into();
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
    /// Renews this coordinator's presence in the ledger, and takes over the jobs of absent ones, until `stopping`.
    pub(super) async fn stay(self, term: Duration, stopping: CancellationToken) {
        let mut every = tokio::time::interval(term / RENEWALS_PER_TERM);
        every.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        while stopping.run_until_cancelled(every.tick()).await.is_some() {
            if let Err(error) = self.be_there(term).await {
                tracing::warn!(%error, "the ledger was not told that this node is there");
            }
        }
        // Then others take over at once, and not only when the term is over.
        if let Err(error) = self.jobs.resign().await {
            tracing::debug!(%error, "not resigned");
        }
    }

    /// One round of that. What it could not finish, the next one does.
    pub(super) async fn be_there(&self, term: Duration) -> Result<(), Error> {
        // Until this is complete, jobs may have come or gone without this coordinator's knowledge.
        let was_unsure = self.replicas.is_unsure.swap(true, Ordering::Relaxed);
        let was_there = self.jobs.renew(term).await?;
        if was_unsure || !was_there {
            // Another coordinator may own this one's jobs by now.
            self.recent.clear();
            let _ = self.inputs.send(Input::Reload).await;
        }
        self.replicas.set(self.jobs.replicas().await?);
        let taken = self.jobs.take_over().await?;
        if was_unsure {
            self.hold_all().await?;
        }
        if !taken.is_empty() {
            let jobs = taken.len();
            tracing::info!(jobs, "took the jobs of a coordinator that fell silent");
        }
        if was_unsure || !taken.is_empty() {
            for job in &taken {
                self.hold_task(job).await?;
            }
            self.restore_checkpoints().await?;
            let _ = self.inputs.send(Input::Adopt { jobs: taken }).await;
        }
        self.replicas.is_unsure.store(false, Ordering::Relaxed);
        self.unpin_ended().await
    }

    /// Pins the tasks of this coordinator's jobs that have no pin yet: those that it took without having heard so.
    async fn hold_all(&self) -> Result<(), Error> {
        let pins = self.content.pins().await?;
        let pins: HashSet<String> = pins.into_iter().map(|(name, _)| name).collect();
        for job in self.jobs.open_jobs().await? {
            if !pins.contains(&pin(job.id)) {
                self.hold_task(&job).await?;
            }
        }
        Ok(())
    }

    /// Unpins the inputs of others' ended jobs: the oldest ones, some at a time.
    async fn unpin_ended(&self) -> Result<(), Error> {
        for job in self.replicas.take_kept() {
            let Some(_mark) = self.submitting.begin(job) else {
                // It is handed in here now: the pin is this coordinator's own.
                continue;
            };
            let _turn = self.turn_to_pin(job).await;
            if self.needs_no_pin(job).await? {
                self.content.unpin(&pin(job)).await?;
            } else if self.jobs.owner_of(job).await?.as_ref() != Some(self.peers.local()) {
                self.replicas.note_kept(job);
            }
        }
        Ok(())
    }

    /// Pins the task of a job taken over from another coordinator. Missing blocks are fetched when they are needed.
    async fn hold_task(&self, job: &JobRecord) -> Result<(), Error> {
        let _turn = self.turn_to_pin(job.id).await;
        self.pin_what_counts(job.id).await
    }

    /// Asks one of the others to copy the inputs of a new job, so that it can continue the job without this one. If
    /// none does in time, the job is only as safe as this node.
    pub(super) async fn have_kept(&self, job: JobId, task: Cid) {
        let replicas = self.replicas.now();
        for replica in replicas.iter() {
            let request = self.peers.request(replica, Request::Keep { job, task });
            match tokio::time::timeout(KEEP_WITHIN, request).await {
                Ok(Ok(Response::Recorded)) => return,
                Ok(answer) => tracing::debug!(%replica, ?answer, "inputs not kept"),
                Err(_) => tracing::debug!(%replica, "inputs not kept in time"),
            }
        }
        if !replicas.is_empty() {
            tracing::warn!(%job, "no other coordinator keeps the inputs");
        }
    }

    /// What a node is told that is no coordinator on the same ledger.
    async fn refusal(&self, node: &NodeId) -> Option<Response> {
        let reason = "not a coordinator on the same ledger";
        let is_stranger = !self.is_replica(node).await;
        // One that came just now is known in a moment.
        is_stranger.then(|| Response::refused(ErrorCode::Infrastructure, reason))
    }

    /// Whether `node` is a coordinator on the same ledger. Only the ledger knows one that has just come.
    async fn is_replica(&self, node: &NodeId) -> bool {
        if self.replicas.now().contains(node) {
            return true;
        }
        if !self.replicas.may_look() {
            return false;
        }
        match self.jobs.replicas().await {
            Ok(replicas) => {
                self.replicas.set(replicas);
                self.replicas.now().contains(node)
            }
            Err(_) => false,
        }
    }

    /// Makes the inputs of another coordinator's job this node's own.
    pub async fn keep(&self, from: NodeId, job: JobId, task: Cid) -> Response {
        if let Some(refusal) = self.refusal(&from).await {
            return refusal;
        }
        let kept = async {
            let turn = self.turn_to_pin(job).await;
            // The job may be this one's by now, and have a result.
            let own = self.recent.get(job);
            let root = own.map_or(task, |record| kept_root(&record));
            self.content.pin(&pin(job), root).await?;
            drop(turn);
            let mut unlimited = UNLIMITED;
            self.content.fetch(task, vec![from], &mut unlimited).await
        };
        self.replicas.note_kept(job);
        match kept.await {
            Ok(()) => Response::Recorded,
            Err(error) => Error::from(error).into(),
        }
    }

    /// Calls a job off on behalf of a user of another coordinator.
    pub async fn cancel_for(&self, from: NodeId, job: JobId) -> Response {
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

    /// Asks the owner of a job; `None` if this coordinator owns the job, or none does.
    async fn at_owner(&self, job: JobId, request: Request) -> Result<Option<Response>, Error> {
        let owner = self.jobs.owner_of(job).await?;
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
    pub async fn migrate(&self, job: &JobRecord, to: NodeId) -> Result<(), Error> {
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
    pub async fn stop_for(&self, from: NodeId, job: JobId) -> Response {
        if let Some(refusal) = self.refusal(&from).await {
            return refusal;
        }
        told(match self.known(job).await {
            Ok(job) => self.stop_own(&job).await,
            Err(error) => Err(error),
        })
    }

    /// Moves a job on behalf of a user of another coordinator.
    pub async fn migrate_for(&self, from: NodeId, job: JobId, to: NodeId) -> Response {
        if let Some(refusal) = self.refusal(&from).await {
            return refusal;
        }
        told(self.migrate_own(job, to).await)
    }

    /// Why a job that another coordinator may own is not running.
    ///
    /// # Errors
    ///
    /// [`Error::NotRunning`] when it has ended, or an error when its owner does not answer.
    pub async fn why(&self, job: JobId) -> Result<Why, Error> {
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

    /// The same for some jobs of this coordinator, as far as they are open.
    pub async fn why_own(&self, jobs: Vec<JobId>) -> Result<Vec<Why>, Error> {
        let (reply, why) = oneshot::channel();
        let asked = self.inputs.send(Input::Why { jobs, reply }).await;
        asked.map_err(|_| Error::ShuttingDown)?;
        why.await.map_err(|_| Error::ShuttingDown)
    }

    /// Says on behalf of a user of another coordinator why a job waits.
    pub async fn why_for(&self, from: NodeId, job: JobId) -> Response {
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

/// The answer to another coordinator's request.
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
