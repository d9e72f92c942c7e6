//! What was written by attempts that came to no outcome.

use crate::{
    Error, Ledger,
    database::failed,
    row::{Belonging, integer},
};
use futures::future::BoxFuture;
use mc_types::{AttemptLog, FencingToken, JobId, Timestamp};
use sqlx::any::AnyRow;

/// How many attempts of a job have their logs kept.
const MAX_PER_JOB: i64 = 128;

/// Writes what an attempt of a job of this node wrote, once.
const INSERT: &str = "\
    INSERT INTO attempt_logs (job, token, attempt, node, stdout, stderr, kept) \
    SELECT $1, $2, $3, $4, $5, $6, $7 \
    WHERE EXISTS (SELECT 1 FROM jobs WHERE id = $1 AND last_token >= $2 AND owner = $8) \
      AND (SELECT count(*) FROM attempt_logs WHERE job = $1) < $9 \
    ON CONFLICT (job, token) DO NOTHING";

impl Ledger {
    /// Writes what an attempt of one of this node's jobs wrote; it is on disk when this returns. False if nothing was
    /// written: the token was never granted for the job, the job has too many logs already, or this one is there
    /// already.
    ///
    /// # Errors
    ///
    /// [`Error::Database`].
    ///
    /// # Cancel safety
    ///
    /// Dropping the future leaves it open whether it was written.
    pub fn add_log<'a>(
        &'a self,
        job: JobId,
        log: &'a AttemptLog,
    ) -> BoxFuture<'a, Result<bool, Error>> {
        Box::pin(async move {
            let done = sqlx::query(INSERT)
                .bind(job.to_string())
                .bind(integer(log.token.0))
                .bind(i64::from(log.attempt))
                .bind(log.node.to_string())
                .bind(log.stdout.to_string())
                .bind(log.stderr.to_string())
                .bind(integer(log.kept.as_millis()))
                .bind(self.owner.to_string())
                .bind(MAX_PER_JOB)
                .execute(&self.database.writer)
                .await
                .map_err(failed)?;
            Ok(done.rows_affected() > 0)
        })
    }

    /// What was written by those attempts of a job that came to no outcome, newest first.
    ///
    /// # Errors
    ///
    /// [`Error::CorruptRow`] or [`Error::Database`].
    pub fn logs<'a>(&'a self, job: JobId) -> BoxFuture<'a, Result<Vec<AttemptLog>, Error>> {
        Box::pin(async move {
            let sql = "SELECT token, attempt, node, stdout, stderr, kept FROM attempt_logs \
                   WHERE job = $1 ORDER BY token DESC";
            let rows = sqlx::query(sql)
                .bind(job.to_string())
                .fetch_all(&self.database.readers)
                .await
                .map_err(failed)?;
            rows.iter().map(|row| record(job, row)).collect()
        })
    }
}

fn record(job: JobId, row: &AnyRow) -> Result<AttemptLog, Error> {
    let of = Belonging {
        row,
        job,
        what: "log",
    };
    Ok(AttemptLog {
        token: FencingToken(of.number("token")?),
        attempt: u32::try_from(of.number("attempt")?).map_err(|_| of.corrupt("attempt"))?,
        node: of.parsed("node")?,
        stdout: of.parsed("stdout")?,
        stderr: of.parsed("stderr")?,
        kept: Timestamp::from_millis(of.number("kept")?),
    })
}
