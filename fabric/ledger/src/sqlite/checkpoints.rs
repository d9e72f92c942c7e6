//! The checkpoints of jobs.

use super::{Sqlite, database, row::integer};
use crate::Error;
use mc_types::{CheckpointRecord, FencingToken, JobId, Timestamp};
use sqlx::{Row, sqlite::SqliteRow};

/// Writes a checkpoint if its token is the newest of the job.
const INSERT: &str = "\
    INSERT INTO checkpoints (job, position, cid, token, node, taken) \
    SELECT ?1, ?2, ?3, ?4, ?5, ?6 \
    WHERE EXISTS (SELECT 1 FROM jobs WHERE id = ?1 AND last_token = ?4 AND ending IS NULL) \
    ON CONFLICT (job, position) DO UPDATE SET \
        cid = excluded.cid, token = excluded.token, node = excluded.node, taken = excluded.taken";

impl Sqlite {
    pub(crate) async fn add_checkpoint(
        &self,
        job: JobId,
        checkpoint: &CheckpointRecord,
    ) -> Result<bool, Error> {
        let done = sqlx::query(INSERT)
            .bind(job.to_string())
            .bind(integer(checkpoint.position))
            .bind(checkpoint.cid.to_string())
            .bind(integer(checkpoint.token.0))
            .bind(checkpoint.node.to_string())
            .bind(integer(checkpoint.taken.as_millis()))
            .execute(&self.writer)
            .await
            .map_err(database)?;
        Ok(done.rows_affected() > 0)
    }

    pub(crate) async fn checkpoints(&self, job: JobId) -> Result<Vec<CheckpointRecord>, Error> {
        let sql = "SELECT position, cid, token, node, taken FROM checkpoints \
                   WHERE job = ?1 ORDER BY position DESC";
        let rows = sqlx::query(sql)
            .bind(job.to_string())
            .fetch_all(&self.readers)
            .await
            .map_err(database)?;
        rows.iter().map(|row| record(job, row)).collect()
    }

    pub(crate) async fn jobs_with_checkpoints(&self) -> Result<Vec<JobId>, Error> {
        let rows = sqlx::query_scalar("SELECT DISTINCT job FROM checkpoints")
            .fetch_all(&self.readers)
            .await
            .map_err(database)?;
        let id = |job: String| {
            job.parse().map_err(|_| Error::CorruptRow {
                job,
                reason: "the job of a checkpoint".to_owned(),
            })
        };
        rows.into_iter().map(id).collect()
    }

    pub(crate) async fn remove_checkpoint(&self, job: JobId, position: u64) -> Result<(), Error> {
        sqlx::query("DELETE FROM checkpoints WHERE job = ?1 AND position = ?2")
            .bind(job.to_string())
            .bind(integer(position))
            .execute(&self.writer)
            .await
            .map_err(database)?;
        Ok(())
    }
}

fn record(job: JobId, row: &SqliteRow) -> Result<CheckpointRecord, Error> {
    let corrupt = |column: &'static str| Error::CorruptRow {
        job: job.to_string(),
        reason: format!("the {column} of a checkpoint"),
    };
    let text = |column: &'static str| row.try_get::<String, _>(column).map_err(database);
    let number = |column: &'static str| {
        let value: i64 = row.try_get(column).map_err(database)?;
        u64::try_from(value).map_err(|_| corrupt(column))
    };
    Ok(CheckpointRecord {
        cid: text("cid")?.parse().map_err(|_| corrupt("cid"))?,
        position: number("position")?,
        token: FencingToken(number("token")?),
        node: text("node")?.parse().map_err(|_| corrupt("node"))?,
        taken: Timestamp::from_millis(number("taken")?),
    })
}
