//! The types of the interfaces, as their WIT has them.

use mc_wasi::{Errno, FileKind, NANOS_PER_SECOND, NewTime};
use wasmtime::component::{ComponentType, Lift, Lower, flags};

/// `wasi:io/error` `error`.
pub(super) struct IoError;
/// `wasi:io/poll` `pollable`.
pub(super) struct Pollable;
/// `wasi:io/streams` `input-stream`.
pub(super) struct InputStream;
/// `wasi:io/streams` `output-stream`.
pub(super) struct OutputStream;
/// `wasi:cli/terminal-input` `terminal-input`: there is none.
pub(super) struct TerminalInput;
/// `wasi:cli/terminal-output` `terminal-output`: there is none.
pub(super) struct TerminalOutput;
/// `wasi:filesystem/types` `descriptor`.
pub(super) struct Descriptor;
/// `wasi:filesystem/types` `directory-entry-stream`.
pub(super) struct DirectoryEntryStream;

/// `stream-error`
#[derive(ComponentType, Lift, Lower)]
#[component(variant)]
pub(super) enum StreamError<O> {
    #[component(name = "last-operation-failed")]
    LastOperationFailed(O),
    #[component(name = "closed")]
    Closed,
}

impl<O> StreamError<O> {
    /// `own` makes a handle of the number of an [`IoError`].
    pub(super) fn of(error: mc_wasi::StreamError, own: fn(u32) -> O) -> Self {
        match error {
            mc_wasi::StreamError::Closed => Self::Closed,
            mc_wasi::StreamError::Failed(handle) => Self::LastOperationFailed(own(handle)),
        }
    }
}

/// `datetime`
#[derive(ComponentType, Lift, Lower, Clone, Copy)]
#[component(record)]
pub(super) struct Datetime {
    pub(super) seconds: u64,
    pub(super) nanoseconds: u32,
}

impl Datetime {
    pub(super) fn from_nanos(nanos: u64) -> Self {
        Self {
            seconds: nanos / NANOS_PER_SECOND,
            nanoseconds: u32::try_from(nanos % NANOS_PER_SECOND).unwrap_or_default(),
        }
    }

    /// Nanoseconds since 1970, if they fit.
    fn nanos(self) -> Result<u64, Errno> {
        if u64::from(self.nanoseconds) >= NANOS_PER_SECOND {
            return Err(Errno::Invalid);
        }
        let nanos = self.seconds.checked_mul(NANOS_PER_SECOND);
        let nanos = nanos.and_then(|nanos| nanos.checked_add(self.nanoseconds.into()));
        nanos.ok_or(Errno::Overflow)
    }
}

/// `new-timestamp`
#[derive(ComponentType, Lift, Lower, Clone, Copy)]
#[component(variant)]
pub(super) enum NewTimestamp {
    #[component(name = "no-change")]
    NoChange,
    #[component(name = "now")]
    Now,
    #[component(name = "timestamp")]
    Timestamp(Datetime),
}

impl TryFrom<NewTimestamp> for NewTime {
    type Error = Errno;

    fn try_from(time: NewTimestamp) -> Result<Self, Errno> {
        Ok(match time {
            NewTimestamp::NoChange => Self::Same,
            NewTimestamp::Now => Self::Now,
            NewTimestamp::Timestamp(time) => Self::To(time.nanos()?),
        })
    }
}

/// `descriptor-type`
#[derive(ComponentType, Lift, Lower, Clone, Copy)]
#[component(enum)]
#[repr(u8)]
#[expect(dead_code, reason = "every case must be declared, few are used")]
pub(super) enum DescriptorType {
    #[component(name = "unknown")]
    Unknown,
    #[component(name = "block-device")]
    BlockDevice,
    #[component(name = "character-device")]
    CharacterDevice,
    #[component(name = "directory")]
    Directory,
    #[component(name = "fifo")]
    Fifo,
    #[component(name = "symbolic-link")]
    SymbolicLink,
    #[component(name = "regular-file")]
    RegularFile,
    #[component(name = "socket")]
    Socket,
}

impl From<FileKind> for DescriptorType {
    fn from(kind: FileKind) -> Self {
        match kind {
            FileKind::Directory => Self::Directory,
            FileKind::File => Self::RegularFile,
            FileKind::Symlink => Self::SymbolicLink,
            FileKind::Device => Self::CharacterDevice,
        }
    }
}

flags! {
    DescriptorFlags {
        #[component(name = "read")]
        const READ;
        #[component(name = "write")]
        const WRITE;
        #[component(name = "file-integrity-sync")]
        const FILE_INTEGRITY_SYNC;
        #[component(name = "data-integrity-sync")]
        const DATA_INTEGRITY_SYNC;
        #[component(name = "requested-write-sync")]
        const REQUESTED_WRITE_SYNC;
        #[component(name = "mutate-directory")]
        const MUTATE_DIRECTORY;
    }
}

flags! {
    PathFlags {
        #[component(name = "symlink-follow")]
        const SYMLINK_FOLLOW;
    }
}

flags! {
    OpenFlags {
        #[component(name = "create")]
        const CREATE;
        #[component(name = "directory")]
        const DIRECTORY;
        #[component(name = "exclusive")]
        const EXCLUSIVE;
        #[component(name = "truncate")]
        const TRUNCATE;
    }
}

/// `descriptor-stat`
#[derive(ComponentType, Lift, Lower)]
#[component(record)]
pub(super) struct DescriptorStat {
    #[component(name = "type")]
    kind: DescriptorType,
    #[component(name = "link-count")]
    link_count: u64,
    size: u64,
    #[component(name = "data-access-timestamp")]
    accessed: Option<Datetime>,
    #[component(name = "data-modification-timestamp")]
    modified: Option<Datetime>,
    #[component(name = "status-change-timestamp")]
    changed: Option<Datetime>,
}

impl From<mc_wasi::Stat> for DescriptorStat {
    fn from(stat: mc_wasi::Stat) -> Self {
        Self {
            kind: stat.kind.into(),
            link_count: stat.links,
            size: stat.size,
            accessed: Some(Datetime::from_nanos(stat.accessed)),
            modified: Some(Datetime::from_nanos(stat.modified)),
            changed: Some(Datetime::from_nanos(stat.changed)),
        }
    }
}

/// `directory-entry`
#[derive(ComponentType, Lift, Lower)]
#[component(record)]
pub(super) struct DirectoryEntry {
    #[component(name = "type")]
    pub(super) kind: DescriptorType,
    pub(super) name: String,
}

/// `metadata-hash-value`
#[derive(ComponentType, Lift, Lower)]
#[component(record)]
pub(super) struct MetadataHashValue {
    pub(super) lower: u64,
    pub(super) upper: u64,
}

/// `advice`
#[derive(ComponentType, Lift, Lower, Clone, Copy)]
#[component(enum)]
#[repr(u8)]
#[expect(dead_code, reason = "advice is taken and not followed")]
pub(super) enum Advice {
    #[component(name = "normal")]
    Normal,
    #[component(name = "sequential")]
    Sequential,
    #[component(name = "random")]
    Random,
    #[component(name = "will-need")]
    WillNeed,
    #[component(name = "dont-need")]
    DontNeed,
    #[component(name = "no-reuse")]
    NoReuse,
}

/// `error-code`
#[derive(ComponentType, Lift, Lower, Clone, Copy)]
#[component(enum)]
#[repr(u8)]
#[expect(dead_code, reason = "every case must be declared, some are never used")]
pub(super) enum ErrorCode {
    #[component(name = "access")]
    Access,
    #[component(name = "would-block")]
    WouldBlock,
    #[component(name = "already")]
    Already,
    #[component(name = "bad-descriptor")]
    BadDescriptor,
    #[component(name = "busy")]
    Busy,
    #[component(name = "deadlock")]
    Deadlock,
    #[component(name = "quota")]
    Quota,
    #[component(name = "exist")]
    Exist,
    #[component(name = "file-too-large")]
    FileTooLarge,
    #[component(name = "illegal-byte-sequence")]
    IllegalByteSequence,
    #[component(name = "in-progress")]
    InProgress,
    #[component(name = "interrupted")]
    Interrupted,
    #[component(name = "invalid")]
    Invalid,
    #[component(name = "io")]
    Io,
    #[component(name = "is-directory")]
    IsDirectory,
    #[component(name = "loop")]
    Loop,
    #[component(name = "too-many-links")]
    TooManyLinks,
    #[component(name = "message-size")]
    MessageSize,
    #[component(name = "name-too-long")]
    NameTooLong,
    #[component(name = "no-device")]
    NoDevice,
    #[component(name = "no-entry")]
    NoEntry,
    #[component(name = "no-lock")]
    NoLock,
    #[component(name = "insufficient-memory")]
    InsufficientMemory,
    #[component(name = "insufficient-space")]
    InsufficientSpace,
    #[component(name = "not-directory")]
    NotDirectory,
    #[component(name = "not-empty")]
    NotEmpty,
    #[component(name = "not-recoverable")]
    NotRecoverable,
    #[component(name = "unsupported")]
    Unsupported,
    #[component(name = "no-tty")]
    NoTty,
    #[component(name = "no-such-device")]
    NoSuchDevice,
    #[component(name = "overflow")]
    Overflow,
    #[component(name = "not-permitted")]
    NotPermitted,
    #[component(name = "pipe")]
    Pipe,
    #[component(name = "read-only")]
    ReadOnly,
    #[component(name = "invalid-seek")]
    InvalidSeek,
    #[component(name = "text-file-busy")]
    TextFileBusy,
    #[component(name = "cross-device")]
    CrossDevice,
}

impl From<Errno> for ErrorCode {
    fn from(errno: Errno) -> Self {
        match errno {
            Errno::Access => Self::Access,
            Errno::BadDescriptor => Self::BadDescriptor,
            Errno::Busy => Self::Busy,
            Errno::Exist => Self::Exist,
            Errno::FileTooLarge => Self::FileTooLarge,
            Errno::IllegalByteSequence => Self::IllegalByteSequence,
            Errno::Invalid => Self::Invalid,
            Errno::Io => Self::Io,
            Errno::IsDirectory => Self::IsDirectory,
            Errno::Loop => Self::Loop,
            // The interface has no code of its own for this.
            Errno::TooManyHandles => Self::InsufficientMemory,
            Errno::NameTooLong => Self::NameTooLong,
            Errno::NoEntry => Self::NoEntry,
            Errno::InsufficientSpace => Self::InsufficientSpace,
            Errno::NotDirectory => Self::NotDirectory,
            Errno::NotEmpty => Self::NotEmpty,
            // Nor for this, which no call comes to.
            Errno::Unsupported | Errno::NotSocket => Self::Unsupported,
            Errno::Overflow => Self::Overflow,
            Errno::NotPermitted => Self::NotPermitted,
            Errno::Pipe => Self::Pipe,
            Errno::ReadOnly => Self::ReadOnly,
            Errno::InvalidSeek => Self::InvalidSeek,
        }
    }
}
