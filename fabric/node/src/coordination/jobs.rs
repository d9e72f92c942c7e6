//! The ledger, as the coordinator sees it.

use async_trait::async_trait;
use mc_coordinator::{Failure, JobStore};
use mc_ledger::{Batch, Error, Ledger};
use mc_types::{AttemptLog, CheckpointRecord, FencingToken, JobId, JobRecord, NodeId, Timestamp};
use std::time::Duration;

/// The ledger of this node.
#[derive(Debug)]
pub(crate) struct Jobs(pub(crate) Ledger);

fn failed(error: Error) -> Failure {
    Failure::new(error.code(), error)
}

#[async_trait]
impl JobStore for Jobs {
    fn is_shared(&self) -> bool {
        self.0.is_shared()
    }

    async fn commit(&self, jobs: &[JobRecord]) -> Result<(), Failure> {
        self.0.commit(Batch { jobs }).await.map_err(failed)
    }

    async fn get(&self, job: JobId) -> Result<Option<JobRecord>, Failure> {
        self.0.get(job).await.map_err(failed)
    }

    async fn open_jobs(&self) -> Result<Vec<JobRecord>, Failure> {
        self.0.open_jobs().await.map_err(failed)
    }

    async fn newest_token(&self) -> Result<FencingToken, Failure> {
        self.0.newest_token().await.map_err(failed)
    }

    async fn ended_before(&self, before: Timestamp, limit: u32) -> Result<Vec<JobRecord>, Failure> {
        self.0.ended_before(before, limit).await.map_err(failed)
    }

    async fn remove_ended(&self, jobs: &[JobId]) -> Result<(), Failure> {
        self.0.remove_ended(jobs).await.map_err(failed)
    }

    async fn owner_of(&self, job: JobId) -> Result<Option<NodeId>, Failure> {
        self.0.owner_of(job).await.map_err(failed)
    }

    async fn own_all(&self) -> Result<(), Failure> {
        self.0.own_all().await.map_err(failed)
    }

    async fn renew(&self, term: Duration) -> Result<bool, Failure> {
        self.0.renew(term).await.map_err(failed)
    }

    async fn replicas(&self) -> Result<Vec<NodeId>, Failure> {
        self.0.replicas().await.map_err(failed)
    }

    async fn take_over(&self) -> Result<Vec<JobRecord>, Failure> {
        self.0.take_over().await.map_err(failed)
    }

    async fn resign(&self) -> Result<(), Failure> {
        self.0.resign().await.map_err(failed)
    }

    async fn add_checkpoint(
        &self,
        job: JobId,
        checkpoint: &CheckpointRecord,
    ) -> Result<bool, Failure> {
        self.0.add_checkpoint(job, checkpoint).await.map_err(failed)
    }

    async fn checkpoints(&self, job: JobId) -> Result<Vec<CheckpointRecord>, Failure> {
        self.0.checkpoints(job).await.map_err(failed)
    }

    async fn jobs_with_checkpoints(&self) -> Result<Vec<JobId>, Failure> {
        self.0.jobs_with_checkpoints().await.map_err(failed)
    }

    async fn remove_checkpoint(&self, job: JobId, position: u64) -> Result<(), Failure> {
        self.0
            .remove_checkpoint(job, position)
            .await
            .map_err(failed)
    }

    async fn add_log(&self, job: JobId, log: &AttemptLog) -> Result<bool, Failure> {
        self.0.add_log(job, log).await.map_err(failed)
    }

    async fn logs(&self, job: JobId) -> Result<Vec<AttemptLog>, Failure> {
        self.0.logs(job).await.map_err(failed)
    }
}
