//! Where jobs are kept.

use crate::Failure;
use async_trait::async_trait;
use mc_types::{AttemptLog, CheckpointRecord, FencingToken, JobId, JobRecord, NodeId, Timestamp};
use std::time::Duration;

/// The jobs of a node, or of several: each job has one owner, which alone writes it.
///
/// What a method has written is durable when it returns, and it is written whole or not at all. A store never lets a
/// record be replaced under an older token, after its job has ended, or by a node that does not own it. A node that
/// another one has succeeded writes no records and takes no jobs until it [renews](Self::renew) its presence: nobody would
/// find them if it never came back.
///
/// # Errors
///
/// Each method fails if the store cannot be reached or read. What was to be written may be there all the same.
///
/// # Cancel safety
///
/// Dropping the future of a method that writes leaves it open whether that was written. The others only look.
#[async_trait]
pub trait JobStore: std::fmt::Debug + Send + Sync {
    /// Whether other nodes may use it at the same time.
    fn is_shared(&self) -> bool;

    /// Writes records of this node's jobs in one transaction. Each job occurs once.
    ///
    /// # Errors
    ///
    /// If one of the records may not be written, none is.
    async fn commit(&self, records: &[JobRecord]) -> Result<(), Failure>;

    /// A job of any node.
    async fn get(&self, job: JobId) -> Result<Option<JobRecord>, Failure>;

    /// The jobs of this node that have not ended, oldest first.
    async fn open_jobs(&self) -> Result<Vec<JobRecord>, Failure>;

    /// The largest token that any node has ever written.
    async fn newest_token(&self) -> Result<FencingToken, Failure>;

    /// At most `limit` jobs of this node that ended before `before`, in the order in which they did.
    async fn ended_before(&self, before: Timestamp, limit: u32) -> Result<Vec<JobRecord>, Failure>;

    /// Removes jobs that have ended, with their checkpoints and logs. Open ones stay.
    async fn remove_ended(&self, jobs: &[JobId]) -> Result<(), Failure>;

    /// The node that owns a job; `None` if there is no such job.
    async fn owner_of(&self, job: JobId) -> Result<Option<NodeId>, Failure>;

    /// Makes this node the owner of all jobs, under whichever id it owned them before. Only for a store that is not
    /// shared.
    async fn own_all(&self) -> Result<(), Failure>;

    /// Says that this node is there, and will be for `term`. False if the node is new, or had fallen silent and another one
    /// took its jobs: then it has to read again which jobs it owns.
    async fn renew(&self, term: Duration) -> Result<bool, Failure>;

    /// The other nodes that grant leases from this store and are there.
    async fn replicas(&self) -> Result<Vec<NodeId>, Failure>;

    /// Makes the open jobs of nodes that fell silent this node's own, and gives them, oldest first. If several nodes try at
    /// the same time, one gets them.
    async fn take_over(&self) -> Result<Vec<JobRecord>, Failure>;

    /// Says that this node is going, so that another one may take its jobs at once.
    async fn resign(&self) -> Result<(), Failure>;

    /// Writes a checkpoint of an open job of this node. False if nothing was written: the token is not the newest of the
    /// job, or the job has ended.
    async fn add_checkpoint(
        &self,
        job: JobId,
        checkpoint: &CheckpointRecord,
    ) -> Result<bool, Failure>;

    /// The checkpoints of a job, newest first.
    async fn checkpoints(&self, job: JobId) -> Result<Vec<CheckpointRecord>, Failure>;

    /// The jobs of this node that have checkpoints, ended ones too.
    async fn jobs_with_checkpoints(&self) -> Result<Vec<JobId>, Failure>;

    /// Removes the checkpoint of a job at a position, if there is one.
    async fn remove_checkpoint(&self, job: JobId, position: u64) -> Result<(), Failure>;

    /// Writes what an attempt of one of this node's jobs wrote. False if nothing was written: the token was never granted
    /// for the job, the job has too many logs already, or this one is there.
    async fn add_log(&self, job: JobId, log: &AttemptLog) -> Result<bool, Failure>;

    /// What was written by those attempts of a job that came to no outcome, newest first.
    async fn logs(&self, job: JobId) -> Result<Vec<AttemptLog>, Failure>;
}
