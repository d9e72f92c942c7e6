//! The ledger behind which the kinds of database are hidden.

use crate::{Error, sqlite::Sqlite};
use mc_types::{FencingToken, JobId, JobRecord, JobState};
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
