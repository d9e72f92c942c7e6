//! Checkpoints of jobs: their blocks are in this node's store before the ledger says that they exist.

use super::Coordinator;
use crate::{Error, pins::CHECKPOINT};
use mc_protocol::{Request, Response, budget};
use mc_scheduler::{Answer, Command};
use mc_types::{CheckpointRecord, Cid, FencingToken, JobId, JobRecord, JobState, NodeId};
use std::{
    collections::{HashMap, HashSet},
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

/// How many checkpoints of a job are kept: the newest, and one in case the newest cannot be fetched.
const KEPT: usize = 2;
/// How long a checkpoint that was asked for is waited for.
const WAIT: Duration = Duration::from_secs(30);
/// How long the target node of a move may take to announce what it lends.
const MEET_WITHIN: Duration = Duration::from_secs(2);
/// Between two looks.
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// The jobs that may have checkpoints; for all others, which are most, the ledger need not be read. Each has the inner
/// blocks of its last checkpoint, whose DAGs are complete in the store.
#[derive(Debug, Default)]
pub(super) struct Checkpointed(Mutex<HashMap<JobId, HashSet<Cid>>>);

impl Checkpointed {
    fn jobs(&self) -> MutexGuard<'_, HashMap<JobId, HashSet<Cid>>> {
        // Every update is a single insertion or removal, so a poisoned map is still consistent.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn has(&self, job: JobId) -> bool {
        self.jobs().contains_key(&job)
    }

    /// Takes the blocks; the job stays.
    fn take(&self, job: JobId) -> HashSet<Cid> {
        std::mem::take(self.jobs().entry(job).or_default())
    }

    fn put(&self, job: JobId, blocks: HashSet<Cid>) {
        self.jobs().insert(job, blocks);
    }

    fn remove(&self, job: JobId) {
        self.jobs().remove(&job);
    }
}

fn pin(job: JobId, position: u64) -> String {
    format!("{CHECKPOINT}{job}/{position}")
}

/// By what the checkpoints of a job follow each other. An attempt that could not use those of an earlier one begins anew,
/// and is not as far at first.
const fn progress(checkpoint: &CheckpointRecord) -> (FencingToken, u64) {
    (checkpoint.token, checkpoint.position)
}

impl Coordinator {
    /// A worker has taken a checkpoint. Repeating it changes nothing.
    pub async fn keep_checkpoint(
        &self,
        worker: NodeId,
        job: JobId,
        token: FencingToken,
        cid: Cid,
        position: u64,
    ) -> Response {
        if let Err(refusal) = self.check_finish(&worker, job, token).await
            && !(refusal == Response::Stale && self.waits_after(&worker, job, token).await)
        {
            return refusal;
        }
        let record = CheckpointRecord {
            cid,
            position,
            token,
            node: worker,
            taken: self.clock.now(),
        };
        match self.record_checkpoint(job, &record).await {
            Ok(true) => Response::Recorded,
            Ok(false) => Response::Stale,
            Err(error) => error.into(),
        }
    }

    /// Whether a job is waiting whose last lease was `worker`'s, with `token`: so it has no newer checkpoint.
    async fn waits_after(&self, worker: &NodeId, job: JobId, token: FencingToken) -> bool {
        let record = self.job(job).await.ok().flatten();
        record.is_some_and(|record| {
            record.state == JobState::Queued
                && record.last_token == token
                && record.last_node.as_ref() == Some(worker)
        })
    }

    async fn record_checkpoint(
        &self,
        job: JobId,
        record: &CheckpointRecord,
    ) -> Result<bool, Error> {
        let name = pin(job, record.position);
        // Pinned first: a DAG that is complete afterwards can no longer be collected.
        self.content.pin(&name, record.cid).await?;
        let limits = self.job(job).await?.map(|job| job.spec.task.limits);
        let mut budget = budget::of_checkpoint(&limits.unwrap_or_default());
        let mut complete = self.checkpointed.take(job);
        let providers = vec![record.node.clone()];
        let fetched = self
            .content
            .fetch_beyond(record.cid, providers, &mut complete, &mut budget)
            .await;
        self.checkpointed.put(job, complete);
        let recorded = match fetched {
            Ok(()) => self
                .jobs
                .add_checkpoint(job, record)
                .await
                .map_err(Error::from),
            Err(error) => Err(error.into()),
        };
        let known = self.jobs.checkpoints(job).await?;
        if !matches!(recorded, Ok(true)) {
            match known.iter().find(|known| known.position == record.position) {
                // It was written all the same, or an earlier attempt was just as far.
                Some(known) => self.content.pin(&name, known.cid).await?,
                None => self.content.unpin(&name).await?,
            }
            if known.is_empty() {
                self.checkpointed.remove(job);
            }
            return recorded;
        }
        // An earlier attempt was further: its checkpoint could not be fetched, or was invalid.
        let (lost, usable): (Vec<_>, Vec<_>) = known
            .iter()
            .partition(|known| known.position > record.position && known.token < record.token);
        for old in lost.into_iter().chain(usable.into_iter().skip(KEPT)) {
            self.forget_checkpoint(job, old.position).await?;
        }
        Ok(true)
    }

    /// Whether `name` is the pin of a checkpoint that the ledger does not have.
    pub(super) async fn is_orphaned_checkpoint(&self, name: &str) -> Result<bool, Error> {
        let name = name
            .strip_prefix(CHECKPOINT)
            .and_then(|name| name.split_once('/'));
        let Some((job, position)) = name else {
            return Ok(false);
        };
        let (Ok(job), Ok(position)) = (job.parse::<JobId>(), position.parse::<u64>()) else {
            return Ok(false);
        };
        let known = self.jobs.checkpoints(job).await?;
        Ok(known
            .iter()
            .all(|checkpoint| checkpoint.position != position))
    }

    async fn forget_checkpoint(&self, job: JobId, position: u64) -> Result<(), Error> {
        self.jobs.remove_checkpoint(job, position).await?;
        self.content.unpin(&pin(job, position)).await?;
        Ok(())
    }

    /// Loads the checkpoints of open jobs. A crash between the end of a job and the removal of its checkpoints leaves
    /// some, which this removes.
    pub(super) async fn restore_checkpoints(&self) -> Result<(), Error> {
        for job in self.jobs.jobs_with_checkpoints().await? {
            let record = self.jobs.get(job).await?;
            if record.is_some_and(|record| record.ending.is_none()) {
                self.checkpointed.put(job, HashSet::new());
            } else {
                self.forget_checkpoints(job).await;
            }
        }
        Ok(())
    }

    /// A job has ended: no attempt will resume from its checkpoints.
    pub(super) async fn forget_checkpoints(&self, job: JobId) {
        self.checkpointed.remove(job);
        let forget = async {
            for checkpoint in self.jobs.checkpoints(job).await? {
                self.forget_checkpoint(job, checkpoint.position).await?;
            }
            Ok::<_, Error>(())
        };
        if let Err(error) = forget.await {
            tracing::warn!(%job, error = %mc_types::with_causes(&error), "checkpoints were not removed");
        }
    }

    /// The checkpoints of a job, newest first.
    ///
    /// # Errors
    ///
    /// The ledger's.
    pub async fn checkpoints(&self, job: JobId) -> Result<Vec<CheckpointRecord>, Error> {
        Ok(self.jobs.checkpoints(job).await?)
    }

    /// Has a checkpoint taken of a running job now.
    ///
    /// # Errors
    ///
    /// [`Error::NotRunning`], also if it ends meanwhile, or [`Error::NoCheckpoint`] when none came in time.
    pub async fn checkpoint_now(&self, job: &JobRecord) -> Result<CheckpointRecord, Error> {
        let before = self.newest(job.id).await?;
        let before = before.as_ref().map(progress);
        self.stop_at_owner(job).await?;
        let deadline = tokio::time::Instant::now() + WAIT;
        while tokio::time::Instant::now() < deadline {
            if let Some(newest) = self.newest(job.id).await?
                && Some(progress(&newest)) > before
            {
                return Ok(newest);
            }
            let now = self.job(job.id).await?;
            if now.is_none_or(|now| now.ending.is_some()) {
                return Err(Error::NotRunning);
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
        Err(Error::NoCheckpoint { after: WAIT })
    }

    async fn newest(&self, job: JobId) -> Result<Option<CheckpointRecord>, Error> {
        Ok(self.checkpoints(job).await?.into_iter().next())
    }

    /// Moves a job of this coordinator to another node, together with its progress.
    pub(super) async fn migrate_own(&self, job: JobId, to: NodeId) -> Result<(), Error> {
        self.meet(&to).await;
        let (node, token) = match self.ask(Command::Migrate { job, node: to }).await? {
            Answer::NotOpen => return Err(Error::NotRunning),
            Answer::Unfit { reason } => return Err(Error::CannotMove(reason)),
            Answer::Moving { to } => return Err(Error::Moving { to }),
            Answer::Leave { node, token } => (node, token),
            // It is there, or waits in the queue.
            _ => return Ok(()),
        };
        let left = self.stop(job, (node, token), true).await;
        if left.is_err() {
            // It stays where it is. While shutting down, it does not move.
            let _ = self.ask(Command::Stay { job }).await;
        }
        left
    }

    /// Waits a moment until a node that has just come, or is not connected, announces what it lends.
    async fn meet(&self, node: &NodeId) {
        let deadline = tokio::time::Instant::now() + MEET_WITHIN;
        while tokio::time::Instant::now() < deadline {
            let workers = self.workers().await;
            if workers.iter().any(|worker| worker.id == *node) {
                return;
            }
            // The first request begins to connect to it. A node that does not answer is no target for a move.
            let _ = self.peers.request(node, Request::Solicit).await;
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }

    /// Has a checkpoint taken of a job of this coordinator.
    pub(super) async fn stop_own(&self, job: &JobRecord) -> Result<(), Error> {
        let holder = job.holder.clone().ok_or(Error::NotRunning)?;
        self.stop(job.id, (holder.node, holder.token), false).await
    }

    async fn stop(
        &self,
        job: JobId,
        (node, token): (NodeId, FencingToken),
        leave: bool,
    ) -> Result<(), Error> {
        let request = Request::Stop { job, token, leave };
        match self.peers.request(&node, request).await {
            Ok(Response::Ok) => Ok(()),
            Ok(
                Response::Refused {
                    code,
                    reason: message,
                }
                | Response::Error { code, message },
            ) => Err(Error::Told { code, message }),
            Ok(other) => Err(Error::Unanswered(format!("{other:?}"))),
            Err(error) => Err(Error::Unanswered(error.to_string())),
        }
    }
}
