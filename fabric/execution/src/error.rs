//! Why an attempt has no outcome.

use crate::{checkpoint::CheckpointError, threads::NotDone};
use mc_types::{ErrorCode, KindName, canonical};
use std::time::Duration;

/// Why an attempt has no outcome. The variant decides whether the task is tried again.
#[derive(Debug, thiserror::Error)]
pub enum ExecutionError {
    /// Nothing here runs tasks of this kind.
    #[error("nothing here runs tasks of the kind {kind}")]
    NoExecutor {
        /// The kind.
        kind: KindName,
    },
    /// The program cannot be run.
    #[error(transparent)]
    Program(#[from] mc_engine::Error),
    /// Content that the task needs, or what it leaves.
    #[error(transparent)]
    Content(#[from] mc_content::Error),
    /// It cannot resume from the checkpoint that it was given.
    #[error(transparent)]
    Checkpoint(#[from] CheckpointError),
    /// The checkpoint is none of this program.
    #[error("the checkpoint does not fit: {reason}")]
    Unfit {
        /// What does not fit.
        reason: String,
    },
    /// It took longer than it was given.
    #[error("not finished after {after:?}")]
    Timeout {
        /// What it was given.
        after: Duration,
    },
    /// It was called off.
    #[error("called off")]
    Cancelled,
    /// It exceeds its limits from the start, on every machine.
    #[error("the component exceeds its limits from the start: {reason}")]
    TooMuch {
        /// What it has too much of.
        reason: String,
    },
    /// The reader of its output has gone.
    #[error("the reader of the output has gone")]
    OutputClosed,
    /// A file or directory of the user cannot be read, or no longer.
    #[error("{0}")]
    Unreadable(String),
    /// An input is invalid, on every machine.
    #[error("{0}")]
    Unusable(String),
    /// The machine failed.
    #[error("{0}")]
    Machine(String),
    /// There was no thread for it, or the work on its thread panicked.
    #[error(transparent)]
    Threads(#[from] NotDone),
    /// The outcome cannot be stated.
    #[error(transparent)]
    Outcome(#[from] canonical::Error),
}

impl ExecutionError {
    /// The stable code for users, if there is one more precise than that the task failed.
    #[must_use]
    pub const fn code(&self) -> Option<ErrorCode> {
        match self {
            Self::Program(error) => Some(error.code()),
            Self::Content(error) => Some(error.code()),
            Self::Checkpoint(_) | Self::Unfit { .. } => Some(ErrorCode::InvalidCheckpoint),
            Self::TooMuch { .. } => Some(ErrorCode::InvalidComponent),
            Self::Unreadable(_) => Some(ErrorCode::Path),
            Self::Unusable(_) => Some(ErrorCode::CorruptContent),
            Self::NoExecutor { .. }
            | Self::Timeout { .. }
            | Self::Cancelled
            | Self::OutputClosed
            | Self::Machine(_)
            | Self::Threads(_)
            | Self::Outcome(_) => None,
        }
    }

    /// Whether it would happen on every machine, so that trying again is useless.
    #[must_use]
    pub const fn is_tasks_fault(&self) -> bool {
        match self {
            Self::Program(error) => error.is_components_fault(),
            Self::Content(error) => error.is_contents_fault(),
            Self::TooMuch { .. } | Self::Unusable(_) | Self::Outcome(_) => true,
            Self::NoExecutor { .. }
            | Self::Checkpoint(_)
            | Self::Unfit { .. }
            | Self::Timeout { .. }
            | Self::Cancelled
            | Self::OutputClosed
            | Self::Unreadable(_)
            | Self::Machine(_)
            | Self::Threads(_) => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_the_same_everywhere_is_the_tasks_fault() {
        let not_wasm = mc_engine::classify(b"text").unwrap_err();
        let (program, code) = (ExecutionError::from(not_wasm), Some(ErrorCode::NotWasm));
        assert_eq!((program.is_tasks_fault(), program.code()), (true, code));
        let disk = ExecutionError::from(mc_content::Error::DiskFull);
        assert_eq!(
            (disk.is_tasks_fault(), disk.code()),
            (false, Some(ErrorCode::Storage))
        );
        let unfit = ExecutionError::Unfit {
            reason: "a memory too many".to_owned(),
        };
        assert!(!unfit.is_tasks_fault(), "an older one may fit");
        let machine = ExecutionError::Machine("no luck".to_owned());
        assert_eq!((machine.is_tasks_fault(), machine.code()), (false, None));
    }
}
