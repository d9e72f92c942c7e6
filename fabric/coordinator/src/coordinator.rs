//! The coordinator: one actor that grants leases and remembers every job.
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
mod replicas;
mod retention;
mod watchers;

use crate::{
    ContentStore, Discovery, Duty, Error, JobStore, Keys, Parts, UNLIMITED,
    pins::{ARRIVING, JOB},
};
use actor::{Actor, Input};
use finish::kept_root;
pub use logs::Written;
use marks::Marks;
use mc_protocol::{Announcement, Exchange, Response};
use mc_scheduler::{Answer, Command, Stats, WorkerOffer, WorkerView};
use mc_supervision::Supervisor;
use mc_types::{
    Cid, Clock, ErrorCode, FencingToken, JobId, JobRecord, JobSpec, JobState, MAX_COORDINATORS,
    NodeId, TARGET_NODE, Why, canonical,
};
use std::{collections::BTreeSet, sync::Arc, time::Duration};
use tokio::sync::{mpsc, oneshot, watch};
use tokio_util::sync::CancellationToken;
use watchers::Watchers;

/// How many commands may wait for the actor; further senders wait themselves.
const QUEUE_COMMANDS: usize = 1024;

/// Between two looks at a job that somebody waits for.
const LOOK_EVERY: Duration = Duration::from_millis(250);

/// How far the time in the id of a new job may be from now. Lists of jobs are in the order of their ids.
const MAX_ID_AGE: Duration = Duration::from_secs(3600);

/// What a peer is told whose request came to nothing.
const NO_ANSWER: &str = "this node failed to answer, or is about to end";

/// A job, if it is of the task.
fn is_of(job: JobRecord, task: Cid) -> Result<JobRecord, Error> {
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
    format!("{JOB}{job}")
}

/// The name of the pin that keeps what has come of the result of a job's attempt.
fn arriving(job: JobId, token: FencingToken) -> String {
    format!("{ARRIVING}{job}/{token}")
}

/// A cheap handle to this node's coordinator.
#[derive(Debug, Clone)]
pub struct Coordinator {
    inputs: mpsc::Sender<Input>,
    jobs: Arc<dyn JobStore>,
    content: Arc<dyn ContentStore>,
    peers: Arc<dyn Exchange>,
    discovery: Arc<dyn Discovery>,
    keys: Arc<dyn Keys>,
    connected: watch::Receiver<Arc<BTreeSet<NodeId>>>,
    watchers: Arc<Watchers>,
    /// Jobs that are being handed in.
    submitting: Arc<Marks<JobId>>,
    /// Results that are being fetched.
    finishes: Arc<Marks<(JobId, FencingToken)>>,
    /// Jobs whose pins are being moved to a result.
    pinning: Arc<Marks<JobId>>,
    /// Logs that are being fetched.
    logging: Arc<Marks<(JobId, FencingToken)>>,
    checkpointed: Arc<checkpoints::Checkpointed>,
    recent: Arc<recent::Recent>,
    recruiter: Arc<recruit::Recruiter>,
    replicas: Arc<replicas::Replicas>,
    clock: Arc<dyn Clock>,
    duty: Duty,
    /// What is done beside the actor.
    tasks: Supervisor,
    /// Leases whose workers have not answered the offer yet.
    offers: Supervisor,
}

/// A submitted job, and why it waits if no known node could ever run it.
type Submitted = (JobRecord, Option<Why>);

impl Coordinator {
    /// Loads the jobs of the ledger, and starts the actor, which runs until `stopping` is cancelled.
    ///
    /// # Errors
    ///
    /// The ledger's or the store's.
    pub async fn start(
        parts: Parts,
        config: mc_scheduler::Config,
        tasks: &Supervisor,
        stopping: CancellationToken,
    ) -> Result<Self, Error> {
        let lease_ttl = config.lease_ttl;
        let (inputs, queue) = mpsc::channel(QUEUE_COMMANDS);
        let coordinator = Self {
            inputs,
            jobs: parts.jobs,
            content: parts.content,
            peers: parts.peers,
            discovery: parts.discovery,
            keys: parts.keys,
            connected: parts.connected,
            watchers: Arc::default(),
            submitting: Arc::default(),
            finishes: Arc::default(),
            pinning: Arc::default(),
            logging: Arc::default(),
            checkpointed: Arc::default(),
            recent: Arc::default(),
            recruiter: Arc::default(),
            replicas: Arc::default(),
            clock: parts.clock,
            duty: parts.duty,
            tasks: tasks.clone(),
            offers: tasks.group(stopping.clone()),
        };
        coordinator.remove_orphaned_pins().await?;
        let is_shared = coordinator.jobs.is_shared();
        // One that grants nothing must not be counted on by the others.
        let joins = is_shared && coordinator.duty == Duty::Grants;
        if joins {
            // Announced before the jobs are read, so that no other coordinator takes them in between.
            coordinator.jobs.renew(lease_ttl).await?;
        } else if !is_shared {
            coordinator.jobs.own_all().await?;
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

    /// A crash between pinning a job and recording it leaves a pin that nobody would remove, or one of a result that does
    /// not count.
    async fn remove_orphaned_pins(&self) -> Result<(), Error> {
        for (name, root) in self.content.pins().await? {
            let is_orphan = if let Some(id) = name.strip_prefix(JOB) {
                match id.parse::<JobId>() {
                    Ok(job) => !self.put_right(job, root).await?,
                    Err(_) => false,
                }
            } else {
                // Nothing arrives yet.
                name.starts_with(ARRIVING)
                    || self.is_orphaned_log(&name).await?
                    || self.is_orphaned_checkpoint(&name).await?
            };
            if is_orphan {
                self.content.unpin(&name).await?;
            }
        }
        Ok(())
    }

    /// Has the pin of a job, which keeps `root`, keep what counts now. False if the job needs no pin.
    async fn put_right(&self, job: JobId, root: Cid) -> Result<bool, Error> {
        if self.needs_no_pin(job).await? {
            return Ok(false);
        }
        let record = self.jobs.get(job).await?;
        let ended = record.filter(|record| record.ending.is_some());
        if let Some(kept) = ended.as_ref().map(kept_root).filter(|kept| *kept != root) {
            self.content.pin(&pin(job), kept).await?;
        }
        Ok(true)
    }

    /// Whether there is no such job, or it has ended and another coordinator keeps its result.
    async fn needs_no_pin(&self, job: JobId) -> Result<bool, Error> {
        let Some(record) = self.jobs.get(job).await? else {
            return Ok(true);
        };
        let is_over = record.ending.is_some() && self.jobs.is_shared();
        Ok(is_over && self.jobs.owner_of(job).await?.as_ref() != Some(self.peers.local()))
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

    /// The previous process of this node has ended, since only one process can hold the data directory. So its attempts
    /// are retried at once, except those whose end the worker still reports. Call this before the worker announces what
    /// it lends, so that none of the leases is new.
    ///
    /// # Errors
    ///
    /// The ledger's. The leases expire then.
    pub async fn began_anew(&self, but: BTreeSet<(JobId, FencingToken)>) -> Result<(), Error> {
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

    /// Waits until workers have taken or refused the last offers, so that no lease without a holder is left behind.
    pub async fn settle(&self, within: Duration) {
        let _ = tokio::time::timeout(within, self.offers.join()).await;
    }

    /// Records a job durably, with everything that it needs in this node's store. If this id already belongs to a job
    /// of this task, returns that job. Explains why the job waits if no known node could ever run it.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidJob`], [`Error::Overloaded`], or why the content or the ledger failed.
    ///
    /// # Cancel safety
    ///
    /// After the future is dropped, the submission goes on to its end.
    pub async fn submit(&self, id: Option<JobId>, spec: JobSpec) -> Result<Submitted, Error> {
        // A client that gives up may submit the same job again at once. If this one stopped halfway, its command could
        // still be on the way to the ledger when the second one fails and removes the pin.
        let coordinator = self.clone();
        let whole = async move { coordinator.submit_whole(id, spec).await };
        let submitted = self.tasks.ask("submission", whole);
        submitted.await.unwrap_or(Err(Error::ShuttingDown))
    }

    async fn submit_whole(&self, id: Option<JobId>, spec: JobSpec) -> Result<Submitted, Error> {
        spec.validate()
            .map_err(|e| Error::InvalidJob(e.to_string()))?;
        self.check_target(&spec)?;
        let (task_cid, bytes) =
            canonical::encode(&spec.task).map_err(|e| Error::InvalidJob(e.to_string()))?;
        let now = self.clock.now();
        let id = id
            .filter(|id| id.time().since(now).max(now.since(id.time())) < MAX_ID_AGE)
            .unwrap_or_else(|| JobId::new(now, rand::random()));
        let _mark = loop {
            match self.submitting.begin(id) {
                Some(mark) => break mark,
                // The first caller got no answer, or none yet.
                None => tokio::time::sleep(LOOK_EVERY).await,
            }
        };
        if let Some(known) = self.job(id).await? {
            return Ok((is_of(known, task_cid)?, None));
        }
        let spec = self.with_key(spec)?;
        // The task links to component and inputs, so its pin keeps them too. Pinned first: a DAG that is complete
        // afterwards can no longer be collected.
        let turn = self.turn_to_pin(id).await;
        if let Some(known) = self.recent.get(id) {
            // It was another coordinator's, and is this one's by now.
            return Ok((is_of(known, task_cid)?, None));
        }
        self.content.put_pinned(&pin(id), task_cid, bytes).await?;
        drop(turn);
        let recorded = self.record(id, task_cid, spec).await;
        if recorded.is_err() {
            // What failed may have been written all the same, or by another coordinator. The first error is the one that
            // matters; an orphaned pin is removed at the next start.
            let _turn = self.turn_to_pin(id).await;
            let _ = self.pin_what_counts(id).await;
        }
        recorded
    }

    /// The job. The key of a private one is sealed to all coordinators that may have to grant leases for it.
    fn with_key(&self, mut spec: JobSpec) -> Result<JobSpec, Error> {
        let replicas = self.replicas.now();
        let others = replicas.iter().take(MAX_COORDINATORS - 1);
        let nodes: Vec<&NodeId> = std::iter::once(self.peers.local()).chain(others).collect();
        let sealed = self.keys.for_coordinators(&spec, &nodes)?;
        if let Some((coordinators, key)) = sealed.zip(spec.key.as_mut()) {
            key.coordinators = coordinators;
        }
        Ok(spec)
    }

    async fn record(&self, id: JobId, task_cid: Cid, spec: JobSpec) -> Result<Submitted, Error> {
        for root in spec.task.roots() {
            let mut unlimited = UNLIMITED;
            self.content.fetch(root, Vec::new(), &mut unlimited).await?;
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
    pub async fn job(&self, id: JobId) -> Result<Option<JobRecord>, Error> {
        if let Some(recent) = self.recent.get(id) {
            return Ok(Some(recent));
        }
        Ok(self.jobs.get(id).await?)
    }

    /// A job once its state differs from `seen`, it has ended, or `wait` has passed.
    ///
    /// # Errors
    ///
    /// The ledger's.
    pub async fn wait(
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
    /// The ledger's, or when the coordinator that owns the job does not answer.
    pub async fn cancel(&self, id: JobId) -> Result<Option<JobRecord>, Error> {
        let answer = self.ask(Command::Cancel { job: id }).await?;
        if answer == Answer::NotOpen && self.jobs.is_shared() {
            self.cancel_at_owner(id).await?;
        }
        self.job(id).await
    }

    /// The workers that lend slots to this node.
    pub async fn workers(&self) -> Vec<WorkerView> {
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
    pub async fn stats(&self) -> Result<Stats, Error> {
        let (reply, stats) = oneshot::channel();
        let asked = self.inputs.send(Input::Stats { reply }).await;
        asked.map_err(|_| Error::ShuttingDown)?;
        stats.await.map_err(|_| Error::ShuttingDown)
    }

    /// A worker says what it lends.
    pub async fn announce(&self, worker: NodeId, announcement: Announcement) -> Response {
        if self.duty == Duty::Records {
            // An unknown worker gets no lease.
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
    pub async fn gone(&self, worker: NodeId) {
        // While shutting down it does not matter who is there.
        let _ = self.ask(Command::WorkerGone { worker }).await;
    }

    /// A worker renews its lease.
    pub async fn heartbeat(
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
                replicas: self.replicas.now().to_vec(),
            },
            answer => respond(answer),
        }
    }

    /// A worker gives a lease back.
    pub async fn release(
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

    /// Refuses a job whose node id is impossible: it would wait for ever.
    fn check_target(&self, spec: &JobSpec) -> Result<(), Error> {
        let wrong = |reason: String| Error::InvalidJob(format!("label {TARGET_NODE}: {reason}"));
        match spec.target().map_err(|e| wrong(e.to_string()))? {
            Some(node) if !self.keys.is_node(&node) => {
                Err(wrong(format!("{node} is not the id of a node")))
            }
            _ => Ok(()),
        }
    }

    /// What to tell the worker of a job that is not open here: the ledger remembers all of them.
    async fn ended(&self, job: JobId, token: FencingToken) -> Response {
        match self.jobs.get(job).await {
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

/// The answer to a worker when the handler of its request panicked.
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
