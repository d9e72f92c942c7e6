//! The kinds of databases, and what differs between them.

/// What is set on each connection to SQLite. Only `FULL` makes a commit in WAL mode durable before it returns.
const SQLITE_SETUP: &[&str] = &[
    "PRAGMA journal_mode = WAL",
    "PRAGMA synchronous = FULL",
    "PRAGMA busy_timeout = 5000",
    "PRAGMA foreign_keys = ON",
];
/// The same for PostgreSQL. A statement that waits for a lock for longer meets another node's transaction that
/// hangs.
const POSTGRES_SETUP: &[&str] = &[
    "SET synchronous_commit = on",
    "SET statement_timeout = '30s'",
    "SET lock_timeout = '5s'",
];

/// A kind of database.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum DatabaseKind {
    Sqlite,
    Postgres,
}

impl DatabaseKind {
    /// What is set on each connection.
    pub(crate) const fn setup(self) -> &'static [&'static str] {
        match self {
            Self::Sqlite => SQLITE_SETUP,
            Self::Postgres => POSTGRES_SETUP,
        }
    }

    /// A table `member` before a statement: the row of the coordinator that is parameter `owner`, if it is listed. Whoever
    /// takes over deletes that row in the transaction that takes the jobs. PostgreSQL therefore locks it: either the
    /// statement comes first, and who takes over then sees what it wrote, or there is no row. SQLite has one writer at a
    /// time.
    pub(crate) fn member(self, owner: &str) -> String {
        let lock = match self {
            Self::Sqlite => "",
            Self::Postgres => " FOR KEY SHARE",
        };
        format!("WITH member AS (SELECT node FROM coordinators WHERE node = {owner}{lock})")
    }

    /// The time of the database in milliseconds since the Unix epoch.
    pub(crate) const fn now(self) -> &'static str {
        match self {
            Self::Sqlite => "CAST(unixepoch('subsec') * 1000 AS INTEGER)",
            Self::Postgres => "(extract(epoch FROM clock_timestamp()) * 1000)::bigint",
        }
    }
}
