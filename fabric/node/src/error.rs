//! What can keep a node from starting or from fulfilling a request.

use mc_coordinator::{ContentError, Error as CoordinatorError, Failure as PartFailure};
use mc_execution::ExecutionError;
use mc_protocol::Response;
use mc_supervision::Failure;
use mc_types::{ErrorCode, with_causes};
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
        /// The process that holds it, if known.
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
    #[error("cannot use {path}")]
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
    /// The network.
    #[error(transparent)]
    Net(#[from] mc_net::Error),
    /// What runs tasks.
    #[error(transparent)]
    Execution(#[from] ExecutionError),
    /// The HTTP API.
    #[error(transparent)]
    Gateway(#[from] mc_gateway::ServerError),
    /// What the coordinator could not do, or refused.
    #[error(transparent)]
    Coordinator(mc_coordinator::Error),
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

/// What the parts of the coordinator failed with is what this crate gave it.
impl From<mc_coordinator::Error> for Error {
    fn from(error: mc_coordinator::Error) -> Self {
        match error {
            CoordinatorError::Jobs(failure) => {
                let code = failure.code();
                match failure.into_inner().downcast::<mc_ledger::Error>() {
                    Ok(ledger) => Self::Ledger(*ledger),
                    Err(other) => Self::Coordinator(PartFailure::new(code, other).into()),
                }
            }
            CoordinatorError::Content(error) => {
                let code = error.code();
                match error.into_inner().downcast::<mc_content::Error>() {
                    Ok(content) => Self::Content(*content),
                    Err(other) => {
                        let other = ContentError::from(PartFailure::new(code, other));
                        Self::Coordinator(other.into())
                    }
                }
            }
            other => Self::Coordinator(other),
        }
    }
}

/// What another node is told of it.
impl From<Error> for Response {
    fn from(error: Error) -> Self {
        Self::error(error.code(), with_causes(&error))
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
            Self::Coordinator(error) => error.code(),
            Self::Net(error) => error.code(),
            Self::Execution(error) => error.code().unwrap_or(ErrorCode::Internal),
            Self::Gateway(error) => error.code(),
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
            Self::Coordinator(CoordinatorError::Overloaded) => {
                "wait until some jobs have ended: mc-wasm ps"
            }
            Self::Coordinator(CoordinatorError::CannotMove(_)) => {
                "see which nodes are connected: mc-wasm nodes"
            }
            Self::Coordinator(CoordinatorError::Moving { .. }) => {
                "see where it is: mc-wasm status ID"
            }
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
        let io = Error::Io { path, source };
        assert_eq!(
            io.to_string(),
            "cannot use /d",
            "its cause is told by itself"
        );
        let body = ErrorBody::from(io);
        assert_eq!(body.message, "cannot use /d: no space");
        let (path, source) = (PathBuf::from("/d"), full());
        let told = Response::from(Error::Io { path, source });
        let all = "cannot use /d: no space";
        assert_eq!(told, Response::error(ErrorCode::Path, all));
    }

    #[test]
    fn what_the_coordinators_parts_failed_with_keeps_its_code_and_its_hint() {
        let full = mc_content::Error::DiskFull;
        let failure = PartFailure::new(full.code(), full);
        let error = Error::from(CoordinatorError::Content(failure.into()));
        assert!(matches!(error, Error::Content(_)), "{error:?}");
        assert!(error.hint().is_some());
        let locked = PartFailure::new(ErrorCode::Ledger, mc_ledger::Error::Locked);
        let error = Error::from(CoordinatorError::Jobs(locked));
        assert!(matches!(error, Error::Ledger(_)), "{error:?}");
        let foreign = PartFailure::new(ErrorCode::Storage, std::io::Error::other("no luck"));
        let error = Error::from(CoordinatorError::Jobs(foreign));
        assert_eq!(error.code(), ErrorCode::Storage);
        assert_eq!(error.to_string(), "no luck");
        let error = Error::from(CoordinatorError::Overloaded);
        assert!(error.hint().is_some());
    }
}
