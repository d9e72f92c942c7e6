//! Connections to a database of either kind, and what differs between the kinds.

use crate::{
    Error,
    kind::DatabaseKind,
    location::{Location, SQLITE_FILE, sqlite_url},
    migrations,
};
use sqlx::{AnyConnection, AnyPool, Connection, any::AnyPoolOptions, migrate::MigrateError};
use std::{sync::Once, time::Duration};

/// Connections that read. Writes go through one connection: they are grouped before they come here, and SQLite
/// takes one at a time in any case.
const READ_CONNECTIONS: u32 = 4;
/// How long a connection may take to be made before the statement that needs it fails.
const CONNECT_WITHIN: Duration = Duration::from_secs(5);

/// Connections to one database.
#[derive(Debug, Clone)]
pub(crate) struct Database {
    pub(crate) kind: DatabaseKind,
    pub(crate) writer: AnyPool,
    pub(crate) readers: AnyPool,
}

impl Database {
    /// Connects, and brings the schema up to date.
    pub(crate) async fn open(location: &Location) -> Result<Self, Error> {
        install_drivers();
        let (kind, urls) = match location {
            Location::Directory(dir) => {
                std::fs::create_dir_all(dir).map_err(|source| Error::Directory {
                    path: dir.to_owned(),
                    source,
                })?;
                let path = dir.join(SQLITE_FILE);
                let urls = [sqlite_url(&path, false), sqlite_url(&path, true)];
                (DatabaseKind::Sqlite, urls)
            }
            Location::Postgres(url) => (DatabaseKind::Postgres, [url.clone(), url.clone()]),
        };
        let [writing, reading] = urls;
        let opening = |e| opening(e, location);
        try_out(kind, &writing).await.map_err(opening)?;
        let writer = pool(kind, 1, false, &writing).await.map_err(opening)?;
        // Nodes that start at the same time take turns: sqlx locks the database while it migrates.
        let migrated = migrations::of(kind).run(&writer).await;
        migrated.map_err(|e| migrating(e, location))?;
        let readers = pool(kind, READ_CONNECTIONS, true, &reading).await;
        Ok(Self {
            kind,
            writer,
            readers: readers.map_err(opening)?,
        })
    }

    /// Connects to a shared database, and changes nothing there.
    pub(crate) async fn try_out(location: &Location) -> Result<(), Error> {
        let Location::Postgres(url) = location else {
            return Ok(());
        };
        install_drivers();
        let tried = try_out(DatabaseKind::Postgres, url).await;
        tried.map_err(|e| opening(e, location))
    }

    pub(crate) async fn close(&self) {
        self.readers.close().await;
        self.writer.close().await;
    }
}

fn install_drivers() {
    static DRIVERS: Once = Once::new();
    DRIVERS.call_once(sqlx::any::install_default_drivers);
}

/// A pool tries again until its time is over, and then no longer knows why it failed; a single connection knows.
async fn try_out(kind: DatabaseKind, url: &str) -> Result<(), sqlx::Error> {
    let mut connection = AnyConnection::connect(url).await?;
    for statement in kind.setup() {
        sqlx::query(*statement).execute(&mut connection).await?;
    }
    connection.close().await
}

async fn pool(
    kind: DatabaseKind,
    connections: u32,
    read_only: bool,
    url: &str,
) -> Result<AnyPool, sqlx::Error> {
    // SQLite refuses to change its journal on a connection that only reads.
    let setup = kind.setup();
    let setup = setup
        .iter()
        .skip(usize::from(read_only && kind == DatabaseKind::Sqlite));
    let setup: Vec<&'static str> = setup.copied().collect();
    AnyPoolOptions::new()
        .max_connections(connections)
        .acquire_timeout(CONNECT_WITHIN)
        // To check whether the connection is still there would cost as much as a statement. So writes do not check, and
        // a write that fails is tried again.
        .test_before_acquire(read_only && kind == DatabaseKind::Postgres)
        .after_connect(move |connection, _| {
            let setup = setup.clone();
            Box::pin(async move {
                for statement in setup {
                    sqlx::query(statement).execute(&mut *connection).await?;
                }
                Ok(())
            })
        })
        .connect(url)
        .await
}

/// SQLite's primary result codes, <https://www.sqlite.org/rescode.html>.
const SQLITE_BUSY: i32 = 5;
const SQLITE_LOCKED: i32 = 6;
const SQLITE_CORRUPT: i32 = 11;
const SQLITE_FULL: i32 = 13;
const SQLITE_NOTADB: i32 = 26;
/// PostgreSQL's, <https://www.postgresql.org/docs/15/errcodes-appendix.html>.
const POSTGRES_DISK_FULL: &str = "53100";
const POSTGRES_LOCK_NOT_AVAILABLE: &str = "55P03";

/// The code of an error that the database gave.
fn code(error: &sqlx::Error) -> Option<String> {
    Some(error.as_database_error()?.code()?.into_owned())
}

/// The primary result code, if it is one of SQLite's, which have at most four digits.
fn sqlite_code(code: &str) -> Option<i32> {
    let code = code.parse::<i32>().ok()?;
    (code < 10_000).then_some(code & 0xff)
}

/// Whether the connection is gone: broken, or ended by the server (classes 08, connection exceptions, and 57P,
/// operator intervention).
pub(crate) fn is_gone(error: &sqlx::Error) -> bool {
    let code = code(error).unwrap_or_default();
    matches!(error, sqlx::Error::Io(_)) || code.starts_with("08") || code.starts_with("57P")
}

fn unreachable(error: &sqlx::Error) -> Error {
    Error::Unreachable {
        reason: error.to_string(),
    }
}

pub(crate) fn failed(error: sqlx::Error) -> Error {
    let code = code(&error).unwrap_or_default();
    match (sqlite_code(&code), code.as_str()) {
        (Some(SQLITE_FULL), _) | (_, POSTGRES_DISK_FULL) => Error::DiskFull,
        (Some(SQLITE_BUSY | SQLITE_LOCKED), _) | (_, POSTGRES_LOCK_NOT_AVAILABLE) => Error::Locked,
        _ => match error {
            sqlx::Error::PoolTimedOut | sqlx::Error::Tls(_) => unreachable(&error),
            error if is_gone(&error) => unreachable(&error),
            error => Error::Database {
                reason: error.to_string(),
            },
        },
    }
}

/// PostgreSQL's classes of errors that concern who connects: invalid authorisation, invalid catalog name
/// (there is no such database), connection exceptions.
const REFUSALS: [&str; 3] = ["28", "3D", "08"];

fn opening(error: sqlx::Error, location: &Location) -> Error {
    let code = code(&error).unwrap_or_default();
    let refused = REFUSALS.iter().any(|class| code.starts_with(class));
    match sqlite_code(&code) {
        Some(SQLITE_CORRUPT | SQLITE_NOTADB) => Error::Corrupt {
            location: location.to_string(),
        },
        _ if refused || matches!(error, sqlx::Error::Configuration(_)) => unreachable(&error),
        _ => failed(error),
    }
}

fn migrating(error: MigrateError, location: &Location) -> Error {
    match error {
        MigrateError::VersionMissing(_) => Error::NewerSchema {
            location: location.to_string(),
        },
        MigrateError::Execute(error) => opening(error, location),
        error => Error::Database {
            reason: error.to_string(),
        },
    }
}
