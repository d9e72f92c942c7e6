//! Jobs: written in groups, read one by one or in lists.

use crate::{
    Batch, Error, Ledger,
    database::{failed, is_gone},
    kind::DatabaseKind,
    row::{COLUMNS, Written, count, record},
};
use futures::TryStreamExt;
use futures::future::BoxFuture;
use mc_types::{FencingToken, JobId, JobRecord, JobState, Timestamp};
use sqlx::{AssertSqlSafe, Row};
use std::{collections::BTreeMap, ops::RangeInclusive};

/// Reads `$1`, the JSON of [`Written`] rows, in either dialect. The token stands apart, since a rule may replace it.
const FROM_SQLITE: [&str; 2] = [
    "SELECT value ->> 'id', value ->> 'task_cid', unhex(value ->> 'spec'), value ->> 'state', \
            value ->> 'holder', value ->> 'expires', value ->> 'last_node',",
    "value ->> 'attempts', value ->> 'not_before', unhex(value ->> 'ending'), \
     value ->> 'submitted', value ->> 'started', value ->> 'finished', $2 \
     FROM json_each($1) WHERE true",
];
const FROM_POSTGRES: [&str; 2] = [
    "SELECT id, task_cid, decode(spec, 'hex'), state, holder, expires, last_node,",
    "attempts, not_before, decode(ending, 'hex'), submitted, started, finished, $2 \
     FROM json_to_recordset($1::json) AS written ( \
        id text, task_cid text, spec text, state text, holder text, expires bigint, last_node text, \
        last_token bigint, attempts bigint, not_before bigint, ending text, submitted bigint, \
        started bigint, finished bigint)",
];

/// One statement is one transaction: written whole or not at all. If a row may not be replaced (by an older token, by the
/// same token for another worker, after its end, or by a node that does not own it), the statement gives it a token that no row may have, so that all
/// of it fails.
const ON_CONFLICT: &str = "\
    ON CONFLICT (id) DO UPDATE SET \
        spec = excluded.spec, state = excluded.state, holder = excluded.holder, \
        expires = excluded.expires, last_node = excluded.last_node, attempts = excluded.attempts, \
        not_before = excluded.not_before, ending = excluded.ending, started = excluded.started, \
        finished = excluded.finished, \
        last_token = CASE \
            WHEN (excluded.last_token > jobs.last_token \
                  OR (excluded.last_token = jobs.last_token \
                      AND excluded.last_node IS NOT DISTINCT FROM jobs.last_node)) \
             AND excluded.owner = jobs.owner \
             AND (jobs.ending IS NULL OR jobs.ending = excluded.ending) \
            THEN excluded.last_token ELSE -1 END";

impl Ledger {
    /// Writes a batch in one transaction; on disk when it returns.
    ///
    /// # Errors
    ///
    /// [`Error::Fenced`] when a record may not replace its row, [`Error::Superseded`] when another node has taken over from
    /// this one since it last [renewed](Self::renew) its presence: then nothing was written.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future leaves it open whether the transaction was committed.
    pub fn commit<'a>(&'a self, batch: Batch<'a>) -> BoxFuture<'a, Result<(), Error>> {
        Box::pin(async move {
            let Batch { jobs } = batch;
            let written = jobs.iter().map(Written::of);
            let written = written.collect::<Result<Vec<_>, _>>()?;
            let json = serde_json::to_string(&written).map_err(|e| Error::Database {
                reason: e.to_string(),
            })?;
            let done = match self.upsert(&json).await {
                // The server may have restarted since the last write. Whether or not this write came through, it may be
                // repeated: the rows come out the same.
                Err(error) if is_gone(&error) => self.upsert(&json).await,
                done => done,
            };
            match done {
                Ok(()) => Ok(()),
                Err(error) if is_refused(&error) => Err(self.refused(jobs).await?),
                Err(error) => Err(failed(error)),
            }
        })
    }

    /// The statement that writes rows. Once this node has joined the coordinators, it fails unless the node is listed.
    fn upsert_statement(&self) -> String {
        let kind = self.database.kind;
        let ([before, after], token) = match kind {
            DatabaseKind::Sqlite => (FROM_SQLITE, "value ->> 'last_token'"),
            DatabaseKind::Postgres => (FROM_POSTGRES, "last_token"),
        };
        let insert = format!("INSERT INTO jobs ({COLUMNS}, owner) {before}");
        let rest = format!("{after} {ON_CONFLICT}");
        if self.has_joined() {
            let member = kind.member("$2");
            // No row may have that token, as in `ON_CONFLICT`.
            let token = format!("CASE WHEN EXISTS (SELECT 1 FROM member) THEN {token} ELSE -1 END");
            format!("{member} {insert} {token}, {rest}")
        } else {
            format!("{insert} {token}, {rest}")
        }
    }

    async fn upsert(&self, json: &str) -> Result<(), sqlx::Error> {
        let query = sqlx::query(AssertSqlSafe(self.upsert_statement()))
            .bind(json.to_owned())
            .bind(self.owner.to_string());
        query.execute(&self.database.writer).await.map(drop)
    }

    /// Which of the records was refused, or why all were.
    async fn refused(&self, records: &[JobRecord]) -> Result<Error, Error> {
        for record in records {
            let owner = self.owner_of(record.id).await?;
            let Some(row) = self.get(record.id).await? else {
                continue;
            };
            if owner.is_none_or(|owner| owner != self.owner)
                || row.last_token > record.last_token
                || (row.last_token == record.last_token && row.last_node != record.last_node)
                || (row.ending.is_some() && row.ending != record.ending)
            {
                return Ok(Error::Fenced { job: record.id });
            }
        }
        if self.has_joined() && !self.is_listed().await? {
            return Ok(Error::Superseded);
        }
        let reason = "a record breaks the rules of the schema".to_owned();
        Ok(Error::Database { reason })
    }

    /// The jobs of this node that have not ended, oldest first.
    ///
    /// # Errors
    ///
    /// [`Error::CorruptRow`] or [`Error::Database`].
    pub fn open_jobs<'a>(&'a self) -> BoxFuture<'a, Result<Vec<JobRecord>, Error>> {
        Box::pin(async move {
            let condition = "WHERE owner = $1 AND ending IS NULL ORDER BY id";
            self.select(condition, |query| query.bind(self.owner.to_string()))
                .await
        })
    }

    /// The largest token that was ever granted.
    ///
    /// # Errors
    ///
    /// [`Error::Database`].
    pub fn newest_token<'a>(&'a self) -> BoxFuture<'a, Result<FencingToken, Error>> {
        Box::pin(async move {
            let row = sqlx::query("SELECT coalesce(max(last_token), 0) FROM jobs")
                .fetch_one(&self.database.readers)
                .await
                .map_err(failed)?;
            Ok(FencingToken(count(&row, 0)?))
        })
    }

    /// A job, of whatever node.
    ///
    /// # Errors
    ///
    /// [`Error::CorruptRow`] or [`Error::Database`].
    pub fn get<'a>(&'a self, job: JobId) -> BoxFuture<'a, Result<Option<JobRecord>, Error>> {
        Box::pin(async move {
            let found = self
                .select("WHERE id = $1", |query| query.bind(job.to_string()))
                .await?;
            Ok(found.into_iter().next())
        })
    }

    /// At most `limit` jobs of all nodes, newest first, only those in `state` if given.
    ///
    /// # Errors
    ///
    /// [`Error::CorruptRow`] or [`Error::Database`].
    pub fn list<'a>(
        &'a self,
        state: Option<JobState>,
        limit: u32,
    ) -> BoxFuture<'a, Result<Vec<JobRecord>, Error>> {
        Box::pin(async move {
            let limit = i64::from(limit);
            let Some(state) = state else {
                let condition = "ORDER BY id DESC LIMIT $1";
                return self.select(condition, |query| query.bind(limit)).await;
            };
            let condition = "WHERE state = $2 ORDER BY id DESC LIMIT $1";
            self.select(condition, |query| query.bind(limit).bind(state.as_str()))
                .await
        })
    }

    /// At most `limit` jobs with ids after `after`, in their order.
    ///
    /// # Errors
    ///
    /// [`Error::CorruptRow`] or [`Error::Database`].
    pub fn page<'a>(
        &'a self,
        after: Option<JobId>,
        limit: u32,
    ) -> BoxFuture<'a, Result<Vec<JobRecord>, Error>> {
        Box::pin(async move {
            let after = after.map(|job| job.to_string()).unwrap_or_default();
            let condition = "WHERE id > $1 ORDER BY id LIMIT $2";
            self.select(condition, |query| query.bind(after).bind(i64::from(limit)))
                .await
        })
    }

    /// At most `limit` jobs with ids from the first of `ids` to its last, in their order.
    ///
    /// # Errors
    ///
    /// [`Error::CorruptRow`] or [`Error::Database`].
    pub fn between<'a>(
        &'a self,
        ids: &RangeInclusive<JobId>,
        limit: u32,
    ) -> BoxFuture<'a, Result<Vec<JobRecord>, Error>> {
        let (first, last) = (ids.start().to_string(), ids.end().to_string());
        Box::pin(async move {
            let condition = "WHERE id >= $1 AND id <= $2 ORDER BY id LIMIT $3";
            self.select(condition, |query| {
                query.bind(first).bind(last).bind(i64::from(limit))
            })
            .await
        })
    }

    /// At most `limit` jobs of this node that ended before `before`, in the order in which they did.
    ///
    /// # Errors
    ///
    /// [`Error::CorruptRow`] or [`Error::Database`].
    pub fn ended_before<'a>(
        &'a self,
        before: Timestamp,
        limit: u32,
    ) -> BoxFuture<'a, Result<Vec<JobRecord>, Error>> {
        Box::pin(async move {
            let condition = "WHERE finished < $1 AND owner = $2 ORDER BY finished LIMIT $3";
            let before = crate::row::integer(before.as_millis());
            self.select(condition, |query| {
                let query = query.bind(before).bind(self.owner.to_string());
                query.bind(i64::from(limit))
            })
            .await
        })
    }

    /// Removes jobs that have ended, with their checkpoints and logs. Open ones stay.
    ///
    /// # Errors
    ///
    /// [`Error::Database`].
    pub fn remove_ended<'a>(&'a self, jobs: &'a [JobId]) -> BoxFuture<'a, Result<(), Error>> {
        Box::pin(async move {
            let mut transaction = self.database.writer.begin().await.map_err(failed)?;
            for job in jobs {
                let checkpoints = "DELETE FROM checkpoints WHERE job = $1 AND EXISTS \
                               (SELECT 1 FROM jobs WHERE id = $1 AND ending IS NOT NULL)";
                let logs = "DELETE FROM attempt_logs WHERE job = $1 AND EXISTS \
                            (SELECT 1 FROM jobs WHERE id = $1 AND ending IS NOT NULL)";
                for sql in [
                    checkpoints,
                    logs,
                    "DELETE FROM jobs WHERE id = $1 AND ending IS NOT NULL",
                ] {
                    sqlx::query(sql)
                        .bind(job.to_string())
                        .execute(&mut *transaction)
                        .await
                        .map_err(failed)?;
                }
            }
            transaction.commit().await.map_err(failed)
        })
    }

    /// How many jobs are in each state.
    ///
    /// # Errors
    ///
    /// [`Error::Database`].
    pub fn counts<'a>(&'a self) -> BoxFuture<'a, Result<BTreeMap<String, u64>, Error>> {
        Box::pin(async move {
            let rows = sqlx::query("SELECT state, count(*) FROM jobs GROUP BY state")
                .fetch_all(&self.database.readers)
                .await
                .map_err(failed)?;
            let state = |row: &sqlx::any::AnyRow| {
                let state: String = row.try_get(0).map_err(failed)?;
                Ok((state, count(row, 1)?))
            };
            rows.iter().map(state).collect()
        })
    }

    async fn select(
        &self,
        condition: &str,
        bind: impl FnOnce(Query) -> Query,
    ) -> Result<Vec<JobRecord>, Error> {
        // The text is put together from constants alone.
        let sql = format!("SELECT {COLUMNS} FROM jobs {condition}");
        let query = bind(sqlx::query(AssertSqlSafe(sql)));
        let mut rows = query.fetch(&self.database.readers);
        let mut records = Vec::new();
        while let Some(row) = rows.try_next().await.map_err(failed)? {
            records.push(record(&row)?);
        }
        Ok(records)
    }
}

type Query = sqlx::query::Query<'static, sqlx::Any, sqlx::any::AnyArguments>;

/// Whether a row broke a rule of the schema: that is how a row which may not be replaced shows.
fn is_refused(error: &sqlx::Error) -> bool {
    let error = error.as_database_error();
    error.is_some_and(sqlx::error::DatabaseError::is_check_violation)
}
