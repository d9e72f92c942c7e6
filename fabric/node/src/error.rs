//! What can keep a node from starting or from doing what it was asked.

use mc_execution::ExecutionError;
use mc_protocol::Response;
use mc_supervision::Failure;
use mc_types::ErrorCode;
use std::path::PathBuf;

/// Why a node cannot start, or cannot do what it was asked.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// Another process uses the data directory.
    #[error("the data directory {path} is in use{}", by_process(*.pid))]
    DataDirLocked {
        /// The directory.
        path: PathBuf,
        /// The process that holds it, if it said so.
        pid: Option<u32>,
    },
    /// The lock of the data directory could not be asked for.
    #[error("cannot lock the data directory {path}")]
    Lock {
        /// The directory.
        path: PathBuf,
        /// Why.
        source: mc_system::lock::LockError,
    },
    /// A file or directory could not be read or written.
    #[error("cannot use {path}: {source}")]
    Io {
        /// The path.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The block store.
    #[error(transparent)]
    Content(#[from] mc_content::Error),
    /// The ledger.
    #[error(transparent)]
    Ledger(#[from] mc_ledger::Error),
    /// A write to the ledger failed, and with it everything in the same transaction.
    #[error("the ledger could not be written: {reason}")]
    LedgerWrite {
        /// The code of the cause.
        code: ErrorCode,
        /// The cause.
        reason: String,
    },
    /// The network.
    #[error(transparent)]
    Net(#[from] mc_net::Error),
    /// What runs tasks.
    #[error(transparent)]
    Execution(#[from] ExecutionError),
    /// The HTTP API.
    #[error(transparent)]
    Gateway(#[from] mc_gateway::ServerError),
    /// A job that cannot be accepted as described.
    #[error("{0}")]
    InvalidJob(String),
    /// The key of a private job is not sealed to this node.
    #[error("the job is private, and its key is not sealed to this node, {node}")]
    NoKey {
        /// This node.
        node: mc_types::NodeId,
    },
    /// There are too many open jobs.
    #[error("this node has too many open jobs")]
    Overloaded,
    /// A worker reported what cannot be.
    #[error("{0}")]
    FalseResult(String),
    /// The job does not run at the moment.
    #[error("the job does not run")]
    NotRunning,
    /// No checkpoint came.
    #[error(
        "no checkpoint came within {} s: the job waits for its inputs, its node is busy with others, or it cannot be \
         stopped where it is",
        after.as_secs()
    )]
    NoCheckpoint {
        /// How long it was waited for.
        after: std::time::Duration,
    },
    /// The job cannot be run by the node that it is to move to.
    #[error("{0}")]
    CannotMove(String),
    /// Somebody has the job moved already.
    #[error("the job is already moving to {to}")]
    Moving {
        /// The node that it is to move to.
        to: mc_types::NodeId,
    },
    /// Another node refused, or could not do, what it was asked.
    #[error("{message}")]
    Told {
        /// The code that it gave.
        code: ErrorCode,
        /// What it said.
        message: String,
    },
    /// The worker does not answer as it should.
    #[error("the node that runs the job does not answer: {0}")]
    Unanswered(String),
    /// The node is going down.
    #[error("the node is shutting down")]
    ShuttingDown,
    /// A task failed without which the node cannot go on.
    #[error("the node has ended because its part {task} failed: {reason}")]
    Failed {
        /// The task.
        task: &'static str,
        /// How.
        reason: String,
    },
}

impl From<Failure> for Error {
    fn from(failure: Failure) -> Self {
        Self::Failed {
            task: failure.task,
            reason: failure.reason,
        }
    }
}

/// What another node is told of it.
impl From<Error> for Response {
    fn from(error: Error) -> Self {
        Self::error(error.code(), error.to_string())
    }
}

fn by_process(pid: Option<u32>) -> String {
    pid.map(|pid| format!(" by process {pid}"))
        .unwrap_or_default()
}

impl Error {
    /// The stable code that users see.
    #[must_use]
    pub fn code(&self) -> ErrorCode {
        match self {
            Self::DataDirLocked { .. } => ErrorCode::DataDirLocked,
            Self::Lock { .. } => ErrorCode::Storage,
            Self::Io { source, .. } if source.kind() == std::io::ErrorKind::StorageFull => {
                ErrorCode::Storage
            }
            Self::Io { .. } => ErrorCode::Path,
            Self::Content(error) => error.code(),
            Self::Ledger(error) => error.code(),
            Self::LedgerWrite { code, .. } | Self::Told { code, .. } => *code,
            Self::Net(error) => error.code(),
            Self::Execution(error) => error.code().unwrap_or(ErrorCode::Internal),
            Self::Gateway(error) => error.code(),
            Self::InvalidJob(_) => ErrorCode::InvalidTask,
            Self::NoKey { .. } => ErrorCode::WrongKey,
            Self::Overloaded => ErrorCode::Overloaded,
            Self::NotRunning
            | Self::NoCheckpoint { .. }
            | Self::CannotMove(_)
            | Self::Moving { .. } => ErrorCode::CannotStop,
            Self::Unanswered(_) => ErrorCode::PeerUnreachable,
            Self::FalseResult(_) | Self::ShuttingDown => ErrorCode::Infrastructure,
            Self::Failed { .. } => ErrorCode::Internal,
        }
    }

    /// What to do about it.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        let hint = match self {
            Self::DataDirLocked { .. } => {
                "stop that node, or give this one another directory with --data-dir"
            }
            Self::Net(mc_net::Error::Listen { .. }) => {
                "choose another address with --listen, or port 0 for a free one"
            }
            Self::Gateway(_) => "choose another address with --api, or port 0 for a free one",
            Self::Content(mc_content::Error::DiskFull) => "free some space, or run: mc-wasm gc",
            Self::Content(mc_content::Error::NotFound { .. }) => {
                "check the CID, and that a node which has it is connected: mc-wasm nodes"
            }
            Self::Overloaded => "wait until some jobs have ended: mc-wasm ps",
            Self::CannotMove(_) => "see which nodes are connected: mc-wasm nodes",
            Self::Moving { .. } => "see where it is: mc-wasm status ID",
            _ => return None,
        };
        Some(hint.to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use mc_api::ErrorBody;
    use mc_system::lock::LockError;

    #[test]
    fn users_learn_what_caused_an_error_and_each_cause_once() {
        let full = || std::io::Error::other("no space");
        let (path, source) = (PathBuf::from("/d"), LockError::Io(full()));
        let body = ErrorBody::from(Error::Lock { path, source });
        let all = "cannot lock the data directory /d: the lock file cannot be used: no space";
        assert_eq!(
            (body.code, body.message.as_str()),
            (ErrorCode::Storage, all)
        );
        let (path, source) = (PathBuf::from("/d"), full());
        let body = ErrorBody::from(Error::Io { path, source });
        assert_eq!(body.message, "cannot use /d: no space");
    }
}
