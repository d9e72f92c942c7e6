//! The ledger in an SQLite file.

mod checkpoints;
mod row;

use crate::Error;
use futures::{StreamExt, TryStreamExt};
use mc_types::{FencingToken, JobId, JobRecord, JobState, canonical};
use row::{integer, record};
use sqlx::{
    Row, SqlitePool,
    migrate::{MigrateError, Migrator},
    sqlite::{
        SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteRow, SqliteSynchronous,
    },
};
use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    time::Duration,
};

static MIGRATIONS: Migrator = sqlx::migrate!("migrations/sqlite");

/// Connections that read. Writes are serialised by SQLite in any case.
const READ_CONNECTIONS: u32 = 4;
/// How long a statement waits for another process's lock before it fails.
const BUSY: Duration = Duration::from_secs(5);

const COLUMNS: &str = "id, task_cid, spec, state, holder, expires, last_node, last_token, \
                       attempts, not_before, ending, submitted, started, finished";

/// Writes a row unless that would overrule a newer lease or bring an ended job back.
const UPSERT: &str = "\
    INSERT INTO jobs (id, task_cid, spec, state, holder, expires, last_node, last_token, \
                      attempts, not_before, ending, submitted, started, finished) \
    VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14) \
    ON CONFLICT (id) DO UPDATE SET \
        spec = excluded.spec, state = excluded.state, holder = excluded.holder, expires = excluded.expires, \
        last_node = excluded.last_node, last_token = excluded.last_token, \
        attempts = excluded.attempts, not_before = excluded.not_before, \
        ending = excluded.ending, started = excluded.started, finished = excluded.finished \
    WHERE excluded.last_token >= jobs.last_token \
      AND (jobs.ending IS NULL OR jobs.ending IS excluded.ending)";

#[derive(Debug, Clone)]
pub(crate) struct Sqlite {
    writer: SqlitePool,
    readers: SqlitePool,
}

impl Sqlite {
    pub(crate) async fn open(dir: &Path) -> Result<Self, Error> {
        std::fs::create_dir_all(dir).map_err(|source| Error::Directory {
            path: dir.to_owned(),
            source,
        })?;
        let path = dir.join("ledger.sqlite");
        let options = SqliteConnectOptions::new()
            .filename(&path)
            .create_if_missing(true)
            .journal_mode(SqliteJournalMode::Wal)
            // In WAL mode only this makes a commit durable before it returns.
            .synchronous(SqliteSynchronous::Full)
            .busy_timeout(BUSY);
        let one = SqlitePoolOptions::new().max_connections(1);
        let writer = one
            .connect_with(options.clone())
            .await
            .map_err(|e| opening(e, &path))?;
        MIGRATIONS
            .run(&writer)
            .await
            .map_err(|e| migrating(e, &path))?;
        let several = SqlitePoolOptions::new().max_connections(READ_CONNECTIONS);
        let readers = several
            .connect_with(options.read_only(true))
            .await
            .map_err(|e| opening(e, &path))?;
        Ok(Self { writer, readers })
    }

    pub(crate) async fn apply(&self, records: &[JobRecord]) -> Result<(), Error> {
        let mut transaction = self.writer.begin().await.map_err(database)?;
        for record in records {
            let written = upsert(&mut transaction, record).await?;
            if written == 0 {
                // Dropping the transaction rolls it back.
                return Err(Error::Fenced { job: record.id });
            }
        }
        transaction.commit().await.map_err(database)
    }

    pub(crate) async fn open_jobs(&self) -> Result<Vec<JobRecord>, Error> {
        let sql = format!(
            "SELECT {COLUMNS} FROM jobs \
             WHERE state IN ('queued', 'assigned', 'running') ORDER BY id"
        );
        self.select(sql, |query| query).await
    }

    pub(crate) async fn newest_token(&self) -> Result<FencingToken, Error> {
        let sql = "SELECT coalesce(max(last_token), 0) FROM jobs";
        let row = sqlx::query(sql)
            .fetch_one(&self.readers)
            .await
            .map_err(database)?;
        let token: i64 = row.try_get(0).map_err(database)?;
        Ok(FencingToken(u64::try_from(token).unwrap_or(0)))
    }

    pub(crate) async fn get(&self, job: JobId) -> Result<Option<JobRecord>, Error> {
        let sql = format!("SELECT {COLUMNS} FROM jobs WHERE id = ?1");
        let found = self
            .select(sql, |query| query.bind(job.to_string()))
            .await?;
        Ok(found.into_iter().next())
    }

    pub(crate) async fn list(
        &self,
        state: Option<JobState>,
        limit: u32,
    ) -> Result<Vec<JobRecord>, Error> {
        match state {
            None => {
                let sql = format!("SELECT {COLUMNS} FROM jobs ORDER BY id DESC LIMIT ?1");
                self.select(sql, |query| query.bind(limit)).await
            }
            Some(state) => {
                let sql = format!(
                    "SELECT {COLUMNS} FROM jobs WHERE state = ?2 ORDER BY id DESC LIMIT ?1"
                );
                self.select(sql, |query| query.bind(limit).bind(state.as_str()))
                    .await
            }
        }
    }

    pub(crate) async fn counts(&self) -> Result<BTreeMap<String, u64>, Error> {
        let rows = sqlx::query("SELECT state, count(*) FROM jobs GROUP BY state")
            .fetch_all(&self.readers)
            .await
            .map_err(database)?;
        let count = |row: &SqliteRow| {
            let (state, count): (String, i64) = (row.try_get(0)?, row.try_get(1)?);
            Ok((state, u64::try_from(count).unwrap_or(0)))
        };
        rows.iter()
            .map(count)
            .collect::<Result<_, sqlx::Error>>()
            .map_err(database)
    }

    pub(crate) async fn close(&self) {
        self.readers.close().await;
        self.writer.close().await;
    }

    async fn select(
        &self,
        sql: String,
        bind: impl for<'q> FnOnce(Query<'q>) -> Query<'q>,
    ) -> Result<Vec<JobRecord>, Error> {
        // The text is put together from constants alone.
        let query = bind(sqlx::query(sqlx::AssertSqlSafe(sql)));
        let rows = query.fetch(&self.readers).map_err(database);
        rows.map(|row| record(&row?)).try_collect().await
    }
}

type Query<'q> = sqlx::query::Query<'q, sqlx::Sqlite, sqlx::sqlite::SqliteArguments>;

async fn upsert(
    transaction: &mut sqlx::Transaction<'_, sqlx::Sqlite>,
    record: &JobRecord,
) -> Result<u64, Error> {
    let encode = |e: canonical::Error| Error::Database(Box::new(e));
    let (_, spec) = canonical::encode(&*record.spec).map_err(encode)?;
    let ending = record
        .ending
        .as_ref()
        .map(canonical::encode)
        .transpose()
        .map_err(encode)?;
    let holder = record.holder.as_ref();
    let done = sqlx::query(UPSERT)
        .bind(record.id.to_string())
        .bind(record.task_cid.to_string())
        .bind(spec)
        .bind(record.state.as_str())
        .bind(holder.map(|holder| holder.node.to_string()))
        .bind(holder.map(|holder| integer(holder.expires.as_millis())))
        .bind(record.last_node.as_ref().map(ToString::to_string))
        .bind(integer(record.last_token.0))
        .bind(i64::from(record.attempts))
        .bind(integer(record.not_before.as_millis()))
        .bind(ending.map(|(_, bytes)| bytes))
        .bind(integer(record.submitted.as_millis()))
        .bind(record.started.map(|at| integer(at.as_millis())))
        .bind(record.finished.map(|at| integer(at.as_millis())))
        .execute(&mut **transaction)
        .await
        .map_err(database)?;
    Ok(done.rows_affected())
}

/// SQLite's primary result codes, <https://www.sqlite.org/rescode.html>.
const SQLITE_BUSY: i32 = 5;
const SQLITE_LOCKED: i32 = 6;
const SQLITE_CORRUPT: i32 = 11;
const SQLITE_FULL: i32 = 13;
const SQLITE_NOTADB: i32 = 26;

/// The primary result code of an error that SQLite gave.
fn result_code(error: &sqlx::Error) -> Option<i32> {
    let code = error.as_database_error()?.code()?.parse::<i32>().ok()?;
    Some(code & 0xff)
}

fn database(error: sqlx::Error) -> Error {
    match result_code(&error) {
        Some(SQLITE_FULL) => Error::DiskFull,
        Some(SQLITE_BUSY | SQLITE_LOCKED) => Error::Locked,
        _ => Error::Database(Box::new(error)),
    }
}

fn opening(error: sqlx::Error, path: &Path) -> Error {
    match result_code(&error) {
        Some(SQLITE_CORRUPT | SQLITE_NOTADB) => Error::Corrupt {
            path: path.to_owned(),
        },
        _ => database(error),
    }
}

fn migrating(error: MigrateError, path: &Path) -> Error {
    let path: PathBuf = path.to_owned();
    match error {
        MigrateError::VersionMissing(_) => Error::NewerSchema { path },
        MigrateError::Execute(error) => opening(error, &path),
        error => Error::Database(Box::new(error)),
    }
}
