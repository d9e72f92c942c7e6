//! The checkpoints of jobs.

use crate::{
    Error, Ledger,
    database::failed,
    row::{Belonging, integer},
};
use futures::future::BoxFuture;
use mc_types::{CheckpointRecord, FencingToken, JobId, Timestamp};
use sqlx::any::AnyRow;

/// Writes a checkpoint if its token is the newest of the job.
const INSERT: &str = "\
    INSERT INTO checkpoints (job, position, cid, token, node, taken) \
    SELECT $1, $2, $3, $4, $5, $6 \
    WHERE EXISTS (SELECT 1 FROM jobs \
                  WHERE id = $1 AND last_token = $4 AND ending IS NULL AND owner = $7) \
    ON CONFLICT (job, position) DO UPDATE SET \
        cid = excluded.cid, token = excluded.token, node = excluded.node, taken = excluded.taken";

impl Ledger {
    /// Writes a checkpoint of an open job of this node; it is on disk when this returns. False if nothing was written:
    /// the token is not the newest of the job, or the job has ended.
    ///
    /// # Errors
    ///
    /// [`Error::Database`].
    ///
    /// # Cancel safety
    ///
    /// Dropping the future leaves it open whether it was written.
    pub fn add_checkpoint<'a>(
        &'a self,
        job: JobId,
        checkpoint: &'a CheckpointRecord,
    ) -> BoxFuture<'a, Result<bool, Error>> {
        Box::pin(async move {
            let done = sqlx::query(INSERT)
                .bind(job.to_string())
                .bind(integer(checkpoint.position))
                .bind(checkpoint.cid.to_string())
                .bind(integer(checkpoint.token.0))
                .bind(checkpoint.node.to_string())
                .bind(integer(checkpoint.taken.as_millis()))
                .bind(self.owner.to_string())
                .execute(&self.database.writer)
                .await
                .map_err(failed)?;
            Ok(done.rows_affected() > 0)
        })
    }

    /// The checkpoints of a job, newest first.
    ///
    /// # Errors
    ///
    /// [`Error::CorruptRow`] or [`Error::Database`].
    pub fn checkpoints<'a>(
        &'a self,
        job: JobId,
    ) -> BoxFuture<'a, Result<Vec<CheckpointRecord>, Error>> {
        Box::pin(async move {
            let sql = "SELECT position, cid, token, node, taken FROM checkpoints \
                   WHERE job = $1 ORDER BY position DESC";
            let rows = sqlx::query(sql)
                .bind(job.to_string())
                .fetch_all(&self.database.readers)
                .await
                .map_err(failed)?;
            rows.iter().map(|row| record(job, row)).collect()
        })
    }

    /// The jobs of this node that have checkpoints, ended ones too.
    ///
    /// # Errors
    ///
    /// [`Error::CorruptRow`] or [`Error::Database`].
    pub fn jobs_with_checkpoints<'a>(&'a self) -> BoxFuture<'a, Result<Vec<JobId>, Error>> {
        Box::pin(async move {
            let sql = "SELECT DISTINCT job FROM checkpoints JOIN jobs ON jobs.id = checkpoints.job \
                   WHERE owner = $1";
            let rows: Vec<String> = sqlx::query_scalar(sql)
                .bind(self.owner.to_string())
                .fetch_all(&self.database.readers)
                .await
                .map_err(failed)?;
            let id = |job: String| {
                job.parse().map_err(|_| Error::CorruptRow {
                    job,
                    reason: "the job of a checkpoint".to_owned(),
                })
            };
            rows.into_iter().map(id).collect()
        })
    }

    /// Removes the checkpoint of a job at a position, if there is one.
    ///
    /// # Errors
    ///
    /// [`Error::Database`].
    pub fn remove_checkpoint<'a>(
        &'a self,
        job: JobId,
        position: u64,
    ) -> BoxFuture<'a, Result<(), Error>> {
        Box::pin(async move {
            sqlx::query("DELETE FROM checkpoints WHERE job = $1 AND position = $2")
                .bind(job.to_string())
                .bind(integer(position))
                .execute(&self.database.writer)
                .await
                .map_err(failed)?;
            Ok(())
        })
    }
}

fn record(job: JobId, row: &AnyRow) -> Result<CheckpointRecord, Error> {
    let of = Belonging {
        row,
        job,
        what: "checkpoint",
    };
    Ok(CheckpointRecord {
        cid: of.parsed("cid")?,
        position: of.number("position")?,
        token: FencingToken(of.number("token")?),
        node: of.parsed("node")?,
        taken: Timestamp::from_millis(of.number("taken")?),
    })
}
