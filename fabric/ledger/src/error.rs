//! What can go wrong with the ledger.

use mc_types::{ErrorCode, JobId};
use std::path::PathBuf;

/// Why the ledger could not be read or written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A write that the row does not allow: under a token older than the row's, to a job that has ended, or by a node
    /// that lost the job to another.
    #[error(
        "job {job} was written by the holder of a newer lease, has ended, or belongs to another node"
    )]
    Fenced {
        /// The job.
        job: JobId,
    },
    /// Another node has taken over from this one, which has to renew its presence before it writes jobs.
    #[error("another node has taken over from this one, which is not back yet")]
    Superseded,
    /// A row that cannot be understood.
    #[error("the ledger's row of job {job} is corrupt: {reason}")]
    CorruptRow {
        /// The job's id, as written there.
        job: String,
        /// What is wrong.
        reason: String,
    },
    /// The database is damaged or is none.
    #[error("the ledger {location} is damaged or not a database")]
    Corrupt {
        /// Where it is kept.
        location: String,
    },
    /// The database was written by a newer version of this program.
    #[error("the ledger {location} was written by a newer version of this program")]
    NewerSchema {
        /// Where it is kept.
        location: String,
    },
    /// The directory of the ledger could not be made.
    #[error("cannot create {path}")]
    Directory {
        /// The directory.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// The disk is full.
    #[error("the disk of the ledger is full")]
    DiskFull,
    /// Another process holds the database.
    #[error("the ledger is locked by another process")]
    Locked,
    /// The database server cannot be reached, or does not let us in.
    #[error("the database of the ledger cannot be reached: {reason}")]
    Unreachable {
        /// Why.
        reason: String,
    },
    /// The database failed in any other way.
    #[error("the database of the ledger failed: {reason}")]
    Database {
        /// How.
        reason: String,
    },
}

impl Error {
    /// The stable code that users see.
    #[must_use]
    pub const fn code(&self) -> ErrorCode {
        match self {
            Self::DiskFull => ErrorCode::Storage,
            _ => ErrorCode::Ledger,
        }
    }
}
