//! What a call of the guest can come to instead of a result.

use serde::{Deserialize, Serialize};

/// An error that the guest is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error, Serialize, Deserialize)]
#[expect(
    missing_docs,
    reason = "the names are those of WASI, the texts those of POSIX"
)]
pub enum Errno {
    #[error("permission denied")]
    Access,
    #[error("bad descriptor")]
    BadDescriptor,
    #[error("device or resource busy")]
    Busy,
    #[error("file exists")]
    Exist,
    #[error("file too large")]
    FileTooLarge,
    #[error("illegal byte sequence")]
    IllegalByteSequence,
    #[error("invalid argument")]
    Invalid,
    #[error("input/output error")]
    Io,
    #[error("is a directory")]
    IsDirectory,
    #[error("too many levels of symbolic links")]
    Loop,
    #[error("too many open handles")]
    TooManyHandles,
    #[error("file name too long")]
    NameTooLong,
    #[error("no such file or directory")]
    NoEntry,
    #[error("no space left")]
    InsufficientSpace,
    #[error("not a directory")]
    NotDirectory,
    #[error("directory not empty")]
    NotEmpty,
    #[error("not supported")]
    Unsupported,
    #[error("value too large")]
    Overflow,
    #[error("operation not permitted")]
    NotPermitted,
    #[error("broken pipe")]
    Pipe,
    #[error("read-only file system")]
    ReadOnly,
    #[error("invalid seek")]
    InvalidSeek,
    #[error("not a socket")]
    NotSocket,
}

/// Why the guest does not go on.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Stop {
    /// It called `exit`.
    #[error("exit {0}")]
    Exit(u8),
    /// It wrote more than it may to its standard streams.
    #[error("output limit reached")]
    OutputLimit,
    /// It has no fuel left for the work that it asked for.
    #[error("out of fuel")]
    OutOfFuel,
    /// It called what cannot be called in this way.
    #[error("{0}")]
    Trap(&'static str),
    /// A file or directory of the user cannot be read, or no longer, and the execution has no outcome.
    #[error("{0}")]
    Unreadable(String),
    /// An input is invalid on every machine, and the execution has no outcome.
    #[error("{0}")]
    Unusable(String),
    /// The machine failed, and the execution has no outcome.
    #[error("{0}")]
    Host(String),
}

/// An error of a call.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The guest is told.
    #[error(transparent)]
    Guest(#[from] Errno),
    /// The guest is stopped.
    #[error(transparent)]
    Stop(#[from] Stop),
}

/// The result of a call.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Why a state cannot be taken up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the guest's world: {0}")]
pub struct BadState(pub(crate) &'static str);
