//! What can keep a coordinator from doing what it was asked.

use crate::{ContentError, Failure};
use mc_protocol::Response;
use mc_types::{ErrorCode, NodeId};
use std::time::Duration;

/// Why a coordinator cannot do what it was asked.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// Where jobs are kept.
    #[error(transparent)]
    Jobs(#[from] Failure),
    /// Where inputs and results are kept.
    #[error(transparent)]
    Content(#[from] ContentError),
    /// A write of jobs failed, and with it everything in the same transaction.
    #[error("the ledger could not be written: {reason}")]
    Unwritten {
        /// The code of the cause.
        code: ErrorCode,
        /// The cause.
        reason: String,
    },
    /// Where old jobs are written.
    #[error(transparent)]
    Archive(Failure),
    /// The key of a private job could not be sealed to a node.
    #[error(transparent)]
    Key(Failure),
    /// A job that cannot be accepted as described.
    #[error("{0}")]
    InvalidJob(String),
    /// The key of a private job is not sealed to this node.
    #[error("the job is private, and its key is not sealed to this node, {node}")]
    NoKey {
        /// This node.
        node: NodeId,
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
        after: Duration,
    },
    /// The job cannot be run by the node that it is to move to.
    #[error("{0}")]
    CannotMove(String),
    /// Somebody has the job moved already.
    #[error("the job is already moving to {to}")]
    Moving {
        /// The node that it is to move to.
        to: NodeId,
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
}

impl Error {
    /// The stable code that users see.
    #[must_use]
    pub const fn code(&self) -> ErrorCode {
        match self {
            Self::Jobs(failure) | Self::Archive(failure) | Self::Key(failure) => failure.code(),
            Self::Content(error) => error.code(),
            Self::Unwritten { code, .. } | Self::Told { code, .. } => *code,
            Self::InvalidJob(_) => ErrorCode::InvalidTask,
            Self::NoKey { .. } => ErrorCode::WrongKey,
            Self::Overloaded => ErrorCode::Overloaded,
            Self::NotRunning
            | Self::NoCheckpoint { .. }
            | Self::CannotMove(_)
            | Self::Moving { .. } => ErrorCode::CannotStop,
            Self::Unanswered(_) => ErrorCode::PeerUnreachable,
            Self::FalseResult(_) | Self::ShuttingDown => ErrorCode::Infrastructure,
        }
    }
}

/// What another node is told of it.
impl From<Error> for Response {
    fn from(error: Error) -> Self {
        Self::error(error.code(), error.to_string())
    }
}
