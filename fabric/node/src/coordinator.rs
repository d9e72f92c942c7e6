//! The coordinator: grants leases, and remembers every job, through one actor.
//!
//! The actor steps the pure scheduler, writes what changed into the ledger, and only then answers
//! and acts. Commands that arrive while a transaction is being written share the next one, so the
//! cost of making them durable does not grow with their number.

mod actor;
mod advertise;
mod checkpoints;
mod finish;
mod logs;
mod marks;
mod recent;
mod recruit;
mod retention;
mod sisters;
mod watchers;

use crate::{content::Content, error::Error, peers::Peers, private};
use actor::{Actor, Input};
pub(crate) use logs::Written;
use marks::Marks;
use mc_content::{Block, TaskKey};
use mc_ledger::Ledger;
use mc_net::Identity;
use mc_protocol::{Announcement, Response};
use mc_scheduler::{Answer, Command, Stats, WorkerOffer, WorkerView};
use mc_supervision::Supervisor;
use mc_types::{
    Clock, ErrorCode, FencingToken, JobId, JobRecord, JobSpec, JobState, MAX_COORDINATORS, NodeId,
    TARGET_NODE, Why, canonical, cid,
};
pub(crate) use retention::Retention;
use std::{collections::BTreeSet, sync::Arc, time::Duration};
use tokio::sync::{mpsc, oneshot, watch};
use tokio_util::sync::CancellationToken;
use watchers::Watchers;

/// Commands that may wait for the actor. A sender beyond that waits itself.
const QUEUE_COMMANDS: usize = 1024;

/// Between two looks at a job that somebody waits for.
const LOOK_EVERY: Duration = Duration::from_millis(250);

/// How far the time in the id of a new job may be from now. Lists of jobs are in the order of their ids.
const MAX_ID_AGE: Duration = Duration::from_secs(3600);

/// What a peer is told whose request came to nothing.
const NO_ANSWER: &str = "this node failed to answer, or is about to end";

/// A job, if it is of the task.
fn is_of(job: JobRecord, task: mc_types::Cid) -> Result<JobRecord, Error> {
    if job.task_cid == task {
        return Ok(job);
    }
    let message = format!(
        "job {} is another one, of the task {}",
        job.id, job.task_cid
    );
    Err(Error::InvalidJob(message))
}

/// The name of the pin that keeps what a job needs, and then its result.
fn pin(job: JobId) -> String {
    format!("{PIN_PREFIX}{job}")
}

const PIN_PREFIX: &str = crate::pins::JOB;

/// The name of the pin that keeps what has come of a job's result.
fn arriving(job: JobId) -> String {
    format!("{ARRIVING_PREFIX}{job}")
}

const ARRIVING_PREFIX: &str = crate::pins::ARRIVING;

/// A cheap handle to this node's coordinator.
#[derive(Debug, Clone)]
pub(crate) struct Coordinator {
    inputs: mpsc::Sender<Input>,
    ledger: Ledger,
    content: Content,
    peers: Peers,
    connected: watch::Receiver<Arc<BTreeSet<NodeId>>>,
    identity: Identity,
    network: String,
    watchers: Arc<Watchers>,
    /// Jobs that are being handed in.
    submitting: Arc<Marks<JobId>>,
    /// Results that are being fetched.
    finishes: Arc<Marks<(JobId, FencingToken)>>,
    /// Logs that are.
    logging: Arc<Marks<(JobId, FencingToken)>>,
    checkpointed: Arc<checkpoints::Checkpointed>,
    recent: Arc<recent::Recent>,
    recruiter: Arc<recruit::Recruiter>,
    sisters: Arc<sisters::Sisters>,
    clock: Arc<dyn Clock>,
    duty: Duty,
    /// What is done beside the actor.
    tasks: Supervisor,
    /// Leases of which it is not known yet whether their workers take them.
    offers: Supervisor,
}

/// What a coordinator does besides remembering jobs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Duty {
    /// It grants leases, and lets them expire.
    Grants,
    /// Neither: it is gone soon, and what it had granted would be left behind.
    Records,
}

/// A job that was handed in, and what it waits for if that is nothing that there is.
type Submitted = (JobRecord, Option<Why>);

/// What a coordinator works with.
#[derive(Debug, Clone)]
pub(crate) struct Parts {
    /// Where jobs are kept.
    pub ledger: Ledger,
    /// Where inputs and results are kept.
    pub content: Content,
    /// How workers are reached.
    pub peers: Peers,
    /// Who may be asked to work.
    pub connected: watch::Receiver<Arc<BTreeSet<NodeId>>>,
    /// In whose name leases are signed.
    pub identity: Identity,
    /// The network.
    pub network: String,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// What it does.
    pub duty: Duty,
}

impl Coordinator {
    /// Takes up the jobs of the ledger, and starts the actor; it runs until `stopping` is cancelled.
    ///
    /// # Errors
    ///
    /// The ledger's or the store's.
    pub(crate) async fn start(
        parts: Parts,
        config: mc_scheduler::Config,
        tasks: &Supervisor,
        stopping: CancellationToken,
    ) -> Result<Self, Error> {
        let lease_ttl = config.lease_ttl;
        let (inputs, queue) = mpsc::channel(QUEUE_COMMANDS);
        let coordinator = Self {
            inputs,
            ledger: parts.ledger,
            content: parts.content,
            peers: parts.peers,
            connected: parts.connected,
            identity: parts.identity,
            network: parts.network,
            watchers: Arc::default(),
            submitting: Arc::default(),
            finishes: Arc::default(),
            logging: Arc::default(),
            checkpointed: Arc::default(),
            recent: Arc::default(),
            recruiter: Arc::default(),
            sisters: Arc::default(),
            clock: parts.clock,
            duty: parts.duty,
            tasks: tasks.clone(),
            offers: tasks.group(stopping.clone()),
        };
        coordinator.remove_orphaned_pins().await?;
        let is_shared = coordinator.ledger.is_shared();
        // One that grants nothing must not be counted on by the others.
        let joins = is_shared && coordinator.duty == Duty::Grants;
        if joins {
            // Said before the jobs are read, so that nobody takes them in between.
            coordinator.ledger.renew(lease_ttl).await?;
        } else if !is_shared {
            coordinator.ledger.own_all().await?;
        }
        coordinator.restore_checkpoints().await?;
        let actor = Actor::restore(coordinator.clone(), config, queue).await?;
        tasks.essential("coordinator", actor.run(stopping.clone()));
        let advertiser = coordinator.clone().advertise(stopping.clone());
        tasks.essential("adverts of jobs", advertiser);
        if joins {
            coordinator.be_there(lease_ttl).await?;
            let member = coordinator.clone().stay(lease_ttl, stopping);
            tasks.essential("membership in the ledger", member);
        }
        Ok(coordinator)
    }

    /// A crash between pinning a job and recording it leaves a pin that nobody would remove.
    async fn remove_orphaned_pins(&self) -> Result<(), Error> {
        for (name, _) in self.content.store().pins().await? {
            let is_orphan = if let Some(id) = name.strip_prefix(PIN_PREFIX) {
                match id.parse::<JobId>() {
                    Ok(job) => self.needs_no_pin(job).await?,
                    Err(_) => false,
                }
            } else {
                // Nothing arrives yet.
                name.starts_with(ARRIVING_PREFIX)
                    || self.is_orphaned_log(&name).await?
                    || self.is_orphaned_checkpoint(&name).await?
            };
            if is_orphan {
                self.content.store().unpin(&name).await?;
            }
        }
        Ok(())
    }

    /// Whether there is no such job, or it has ended and its result is another coordinator's to keep.
    async fn needs_no_pin(&self, job: JobId) -> Result<bool, Error> {
        let Some(record) = self.ledger.get(job).await? else {
            return Ok(true);
        };
        let is_over = record.ending.is_some() && self.ledger.is_shared();
        Ok(is_over && self.ledger.owner_of(job).await?.as_ref() != Some(self.peers.local()))
    }

    async fn ask(&self, command: Command) -> Result<Answer, Error> {
        let (reply, answer) = oneshot::channel();
        let input = Input::Step { command, reply };
        self.inputs
            .send(input)
            .await
            .map_err(|_| Error::ShuttingDown)?;
        answer.await.map_err(|_| Error::ShuttingDown)?
    }

    /// This process is another than the one that had this node's leases until now, since nobody else can have the data
    /// directory: what that ran goes on at once, but for attempts of which the worker still says the end. To be called
    /// before the worker tells what it lends, so that no lease is a new one.
    ///
    /// # Errors
    ///
    /// The ledger's. The leases expire then.
    pub(crate) async fn began_anew(
        &self,
        but: BTreeSet<(JobId, FencingToken)>,
    ) -> Result<(), Error> {
        if self.duty == Duty::Records {
            return Ok(());
        }
        let ended = Command::WorkerEnded {
            worker: self.peers.local().clone(),
            newest: FencingToken(u64::MAX),
            but,
        };
        self.ask(ended).await.map(drop)
    }

    /// Waits until the leases that were offered last are taken or refused, so that none that nobody has is left behind.
    pub(crate) async fn settle(&self, within: Duration) {
        let _ = tokio::time::timeout(within, self.offers.join()).await;
    }

    /// Records a job durably, with everything that it needs in this node's store. If there is a job of this id
    /// already, and of this task, then it is that one. Says why it waits if no node that is known could ever run it.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidJob`], [`Error::Overloaded`], or why the content or the ledger failed.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future leaves it open whether the job is recorded.
    pub(crate) async fn submit(
        &self,
        id: Option<JobId>,
        spec: JobSpec,
    ) -> Result<Submitted, Error> {
        spec.validate()
            .map_err(|e| Error::InvalidJob(e.to_string()))?;
        check_target(&spec)?;
        let (task_cid, bytes) =
            canonical::encode(&spec.task).map_err(|e| Error::InvalidJob(e.to_string()))?;
        let now = self.clock.now();
        let id = id
            .filter(|id| id.time().since(now).max(now.since(id.time())) < MAX_ID_AGE)
            .unwrap_or_else(|| JobId::new(now, rand::random()));
        let _mark = loop {
            match self.submitting.begin(id) {
                Some(mark) => break mark,
                // Whoever asked first was not answered, or not yet.
                None => tokio::time::sleep(LOOK_EVERY).await,
            }
        };
        if let Some(known) = self.job(id).await? {
            return Ok((is_of(known, task_cid)?, None));
        }
        let spec = self.with_key(spec)?;
        // The task links to component and inputs, so its pin keeps them too. Pinned first: what is
        // found complete afterwards cannot be collected any more.
        let task = Block::encode(cid::DAG_CBOR, bytes)?;
        let name = pin(id);
        self.content.put_pinned(vec![task], &name, task_cid).await?;
        let recorded = self.record(id, task_cid, spec).await;
        if recorded.is_err() {
            // The first error is the one that matters; an orphaned pin is removed at the next start.
            let _ = self.content.store().unpin(&name).await;
        }
        recorded
    }

    /// The job, with the key of a private one sealed to all those who may have to grant leases for it.
    fn with_key(&self, mut spec: JobSpec) -> Result<JobSpec, Error> {
        let local = self.peers.local();
        let key = private::of_job(&self.identity, local, &spec)?;
        if let Some((key, sealed)) = key.zip(spec.key.as_mut()) {
            let sisters = self.sisters.now();
            let sisters = sisters.iter().take(MAX_COORDINATORS - 1);
            sealed.coordinators =
                private::for_coordinators(&key, std::iter::once(local).chain(sisters))?;
        }
        Ok(spec)
    }

    async fn record(
        &self,
        id: JobId,
        task_cid: mc_types::Cid,
        spec: JobSpec,
    ) -> Result<Submitted, Error> {
        for root in spec.task.roots() {
            self.content.fetch(root, Vec::new(), None).await?;
        }
        let command = Command::Submit {
            id,
            task_cid,
            spec: Arc::new(spec),
        };
        self.have_kept(id, task_cid).await;
        let is_placeable = match self.ask(command).await? {
            Answer::Submitted => true,
            Answer::Unplaceable => false,
            Answer::Unfit { reason } => return Err(Error::InvalidJob(reason)),
            _ => return Err(Error::Overloaded),
        };
        let job = self.job(id).await?.ok_or(Error::ShuttingDown)?;
        let why = match is_placeable {
            true => None,
            // The job is recorded, whether that can be told or not.
            false => self
                .why_own(vec![id])
                .await
                .ok()
                .and_then(|mut why| why.pop()),
        };
        Ok((is_of(job, task_cid)?, why))
    }

    /// A job as the ledger has it.
    ///
    /// # Errors
    ///
    /// The ledger's.
    pub(crate) async fn job(&self, id: JobId) -> Result<Option<JobRecord>, Error> {
        if let Some(recent) = self.recent.get(id) {
            return Ok(Some(recent));
        }
        Ok(self.ledger.get(id).await?)
    }

    /// A job once its state differs from `seen`, it has ended, or `wait` has passed.
    ///
    /// # Errors
    ///
    /// The ledger's.
    pub(crate) async fn wait(
        &self,
        id: JobId,
        seen: Option<JobState>,
        wait: Duration,
    ) -> Result<Option<JobRecord>, Error> {
        let deadline = tokio::time::Instant::now() + wait;
        let bell = self.watchers.bell(id);
        loop {
            let rung = bell.notified();
            tokio::pin!(rung);
            rung.as_mut().enable();
            let job = self.job(id).await?;
            let changed = |job: &JobRecord| job.state.is_terminal() || Some(job.state) != seen;
            if job.as_ref().is_none_or(changed) {
                return Ok(job);
            }
            if tokio::time::Instant::now() >= deadline {
                return Ok(job);
            }
            // Nobody rings for the jobs of another coordinator.
            let look = deadline.min(tokio::time::Instant::now() + LOOK_EVERY);
            let _ = tokio::time::timeout_at(look, rung).await;
        }
    }

    /// Calls a job off. One that has ended stays as it is.
    ///
    /// # Errors
    ///
    /// The ledger's, or that the coordinator that owns the job does not answer.
    pub(crate) async fn cancel(&self, id: JobId) -> Result<Option<JobRecord>, Error> {
        let answer = self.ask(Command::Cancel { job: id }).await?;
        if answer == Answer::NotOpen && self.ledger.is_shared() {
            self.cancel_at_owner(id).await?;
        }
        self.job(id).await
    }

    /// The key of a private job; `None` of another one.
    ///
    /// # Errors
    ///
    /// [`Error::NoKey`].
    pub(crate) fn key_of(&self, job: &JobRecord) -> Result<Option<TaskKey>, Error> {
        private::of_job(&self.identity, self.peers.local(), &job.spec)
    }

    /// The workers that lend slots to this node.
    pub(crate) async fn workers(&self) -> Vec<WorkerView> {
        let (reply, workers) = oneshot::channel();
        if self.inputs.send(Input::Workers { reply }).await.is_err() {
            return Vec::new();
        }
        workers.await.unwrap_or_default()
    }

    /// What the scheduler did so far.
    ///
    /// # Errors
    ///
    /// [`Error::ShuttingDown`].
    pub(crate) async fn stats(&self) -> Result<Stats, Error> {
        let (reply, stats) = oneshot::channel();
        let asked = self.inputs.send(Input::Stats { reply }).await;
        asked.map_err(|_| Error::ShuttingDown)?;
        stats.await.map_err(|_| Error::ShuttingDown)
    }

    /// How workers are reached.
    #[must_use]
    pub(crate) const fn peers(&self) -> &Peers {
        &self.peers
    }

    /// The ledger, for reading.
    #[must_use]
    pub(crate) const fn ledger(&self) -> &Ledger {
        &self.ledger
    }

    /// A worker says what it lends.
    pub(crate) async fn announce(&self, worker: NodeId, announcement: Announcement) -> Response {
        if self.duty == Duty::Records {
            // A worker that is not known is granted nothing.
            return Response::Ok;
        }
        let offer = WorkerOffer {
            slots_total: announcement.slots_total,
            slots_free: announcement.slots_free.min(announcement.slots_total),
            cpus: announcement.cpus,
            lent: announcement.lent,
            labels: announcement.labels,
        };
        let running = announcement.yours;
        let announced = Command::Announce {
            worker,
            offer,
            running,
        };
        match self.ask(announced).await {
            Ok(_) if self.recruiter.has_work() => Response::Wanted,
            answer => respond(answer),
        }
    }

    /// The connection to a node is gone.
    pub(crate) async fn gone(&self, worker: NodeId) {
        // While shutting down it does not matter who is there.
        let _ = self.ask(Command::WorkerGone { worker }).await;
    }

    /// A worker renews its lease.
    pub(crate) async fn heartbeat(
        &self,
        worker: NodeId,
        job: JobId,
        token: FencingToken,
        running: Option<Duration>,
    ) -> Response {
        match self
            .ask(Command::Heartbeat {
                worker,
                job,
                token,
                running,
            })
            .await
        {
            Ok(Answer::NotOpen) => self.ended(job, token).await,
            Ok(Answer::Renewed { ttl }) => Response::Renewed {
                ttl_ms: u64::try_from(ttl.as_millis()).unwrap_or(u64::MAX),
                sisters: self.sisters.now().to_vec(),
            },
            answer => respond(answer),
        }
    }

    /// A worker gives a lease back.
    pub(crate) async fn release(
        &self,
        worker: NodeId,
        job: JobId,
        token: FencingToken,
        reason: String,
    ) -> Response {
        let release = Command::Release {
            worker,
            job,
            token,
            reason,
        };
        match self.ask(release).await {
            Ok(Answer::NotOpen) => self.ended(job, token).await,
            answer => respond(answer),
        }
    }

    /// What to tell the worker of a job that is not open here: the ledger remembers all of them.
    async fn ended(&self, job: JobId, token: FencingToken) -> Response {
        match self.ledger.get(job).await {
            Ok(Some(record)) if record.last_token == token => match record.state {
                JobState::Cancelled => Response::Cancelled,
                state if state.is_terminal() => Response::Recorded,
                // Another coordinator's, or just about to be this one's.
                _ => Response::Elsewhere,
            },
            Ok(_) => Response::Stale,
            Err(error) => Error::from(error).into(),
        }
    }
}

/// Refuses a job for a node that cannot be: it would wait for ever.
fn check_target(spec: &JobSpec) -> Result<(), Error> {
    let wrong = |reason: String| Error::InvalidJob(format!("label {TARGET_NODE}: {reason}"));
    match spec.target().map_err(|e| wrong(e.to_string()))? {
        Some(node) if !mc_net::is_node(&node) => {
            Err(wrong(format!("{node} is not the id of a node")))
        }
        _ => Ok(()),
    }
}

/// What a worker is told when what it asked for was begun, and ended in a panic.
fn no_answer() -> Response {
    Response::error(ErrorCode::Infrastructure, NO_ANSWER)
}

fn respond(answer: Result<Answer, Error>) -> Response {
    match answer {
        Ok(Answer::Stale | Answer::NotOpen) => Response::Stale,
        Ok(Answer::Cancelled) => Response::Cancelled,
        Ok(Answer::Recorded) => Response::Recorded,
        Ok(_) => Response::Ok,
        Err(error) => error.into(),
    }
}
