//! The ledger behind which the kinds of database are hidden.

use crate::{Error, sqlite::Sqlite};
use mc_types::{CheckpointRecord, FencingToken, JobId, JobRecord, JobState};
use std::{collections::BTreeMap, path::Path};

/// A cheap handle to a ledger.
#[derive(Debug, Clone)]
pub struct Ledger {
    database: Sqlite,
}

impl Ledger {
    /// Opens the ledger in the directory `dir`, creating or migrating it.
    ///
    /// # Errors
    ///
    /// [`Error::Corrupt`], [`Error::NewerSchema`], [`Error::Locked`] or [`Error::DiskFull`].
    pub async fn open(dir: &Path) -> Result<Self, Error> {
        Ok(Self {
            database: Sqlite::open(dir).await?,
        })
    }

    /// Writes records in one transaction; on disk when it returns. Of several records of one job the
    /// last one counts.
    ///
    /// # Errors
    ///
    /// [`Error::Fenced`] when a record may not replace its row: then nothing was written.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future leaves it open whether the transaction was committed.
    pub async fn apply(&self, records: &[JobRecord]) -> Result<(), Error> {
        self.database.apply(records).await
    }

    /// Writes a checkpoint of an open job; on disk when it returns. False if its token is not the newest
    /// of the job, or the job has ended: then nothing was written.
    ///
    /// # Errors
    ///
    /// [`Error::Database`].
    ///
    /// # Cancel safety
    ///
    /// Dropping the future leaves it open whether it was written.
    pub async fn add_checkpoint(
        &self,
        job: JobId,
        checkpoint: &CheckpointRecord,
    ) -> Result<bool, Error> {
        self.database.add_checkpoint(job, checkpoint).await
    }

    /// The checkpoints of a job, newest first.
    ///
    /// # Errors
    ///
    /// [`Error::CorruptRow`] or [`Error::Database`].
    pub async fn checkpoints(&self, job: JobId) -> Result<Vec<CheckpointRecord>, Error> {
        self.database.checkpoints(job).await
    }

    /// The jobs that have checkpoints, ended ones too.
    ///
    /// # Errors
    ///
    /// [`Error::CorruptRow`] or [`Error::Database`].
    pub async fn jobs_with_checkpoints(&self) -> Result<Vec<JobId>, Error> {
        self.database.jobs_with_checkpoints().await
    }

    /// Removes the checkpoint of a job at a position, if there is one.
    ///
    /// # Errors
    ///
    /// [`Error::Database`].
    pub async fn remove_checkpoint(&self, job: JobId, position: u64) -> Result<(), Error> {
        self.database.remove_checkpoint(job, position).await
    }

    /// The jobs that have not ended, oldest first.
    ///
    /// # Errors
    ///
    /// [`Error::CorruptRow`] or [`Error::Database`].
    pub async fn open_jobs(&self) -> Result<Vec<JobRecord>, Error> {
        self.database.open_jobs().await
    }

    /// The largest token that was ever granted.
    ///
    /// # Errors
    ///
    /// [`Error::Database`].
    pub async fn newest_token(&self) -> Result<FencingToken, Error> {
        self.database.newest_token().await
    }

    /// A job.
    ///
    /// # Errors
    ///
    /// [`Error::CorruptRow`] or [`Error::Database`].
    pub async fn get(&self, job: JobId) -> Result<Option<JobRecord>, Error> {
        self.database.get(job).await
    }

    /// At most `limit` jobs, newest first, only those in `state` if given.
    ///
    /// # Errors
    ///
    /// [`Error::CorruptRow`] or [`Error::Database`].
    pub async fn list(&self, state: Option<JobState>, limit: u32) -> Result<Vec<JobRecord>, Error> {
        self.database.list(state, limit).await
    }

    /// How many jobs are in each state.
    ///
    /// # Errors
    ///
    /// [`Error::Database`].
    pub async fn counts(&self) -> Result<BTreeMap<String, u64>, Error> {
        self.database.counts().await
    }

    /// Waits for what is under way and closes the database.
    pub async fn close(&self) {
        self.database.close().await;
    }
}
