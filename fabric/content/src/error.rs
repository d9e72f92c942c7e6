//! What can go wrong with content.

use mc_types::{Cid, ErrorCode, cid::VerifyError};
use std::path::{Path, PathBuf};

/// Why content could not be stored, found or read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// Bytes and CID do not belong together.
    #[error(transparent)]
    Verify(#[from] VerifyError),
    /// A block is too large for any peer to carry.
    #[error("a block of {bytes} bytes; at most {max} are accepted", max = crate::MAX_BLOCK_BYTES)]
    BlockTooLarge {
        /// Its length in bytes.
        bytes: usize,
    },
    /// A block that is needed is nowhere to be had.
    #[error("{cid} was not found{}", asked(*.peers))]
    NotFound {
        /// The block.
        cid: Cid,
        /// How many peers were asked, if any could be.
        peers: Option<usize>,
    },
    /// A directory has no such entry.
    #[error("{cid} has no entry {name:?}")]
    NoEntry {
        /// The directory, or what was taken for one.
        cid: Cid,
        /// The name.
        name: String,
    },
    /// A block of the store no longer has the bytes that it was stored with.
    #[error("the stored block {cid} is corrupt")]
    Corrupt {
        /// The block.
        cid: Cid,
    },
    /// A block that does not have the form that its codec promises.
    #[error("{cid} is malformed: {reason}")]
    Malformed {
        /// The block.
        cid: Cid,
        /// What is wrong with it.
        reason: String,
    },
    /// A block with an unknown codec, so that its links are unknown.
    #[error(
        "{cid} has the codec {codec:#x}, whose links cannot be read here; raw, dag-pb, dag-cbor, dag-json, cbor and json \
         can"
    )]
    UnknownCodec {
        /// The block.
        cid: Cid,
        /// Its multicodec.
        codec: u64,
    },
    /// A DAG with more blocks, depth or bytes than is accepted.
    #[error("{cid} is too large: {limit}")]
    TooLarge {
        /// The root.
        cid: Cid,
        /// Which limit was passed.
        limit: String,
    },
    /// Something in the file system that has no content-addressed form.
    #[error("{}: {reason}", shown(path))]
    Unsupported {
        /// Where.
        path: PathBuf,
        /// What and why.
        reason: &'static str,
    },
    /// A file or directory could not be read or written.
    #[error("{path}")]
    Path {
        /// Where.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// Encrypted content that the key does not open.
    #[error("{cid} does not open")]
    Sealed {
        /// The block.
        cid: Cid,
        /// What that means.
        source: DoesNotOpen,
    },
    /// A stream of blocks that breaks off or is malformed.
    #[error("the CAR stream is broken at byte {offset}: {reason}")]
    Car {
        /// How far it was readable.
        offset: u64,
        /// What is wrong.
        reason: String,
    },
    /// A pin's name that cannot be used.
    #[error(
        "{name:?} cannot be the name of a pin: 1 to 256 bytes without control characters are accepted"
    )]
    PinName {
        /// The name.
        name: String,
    },
    /// A block that a pin needs cannot be removed.
    #[error("{cid} belongs to the pin {pin:?}; remove that first")]
    Pinned {
        /// The block.
        cid: Cid,
        /// One pin that needs it.
        pin: String,
    },
    /// Blocks that are needed take all the room that they may.
    #[error("the block store may hold {max} bytes, and nothing in it can go")]
    Quota {
        /// The limit, in bytes.
        max: u64,
    },
    /// The disk is full.
    #[error("the disk is full")]
    DiskFull,
    /// Another process uses the store.
    #[error("the block store {path} is in use by another process")]
    Locked {
        /// The store.
        path: PathBuf,
    },
    /// The storage engine failed.
    #[error("the block store failed: {0}")]
    Storage(String),
    /// The other side of a block source failed.
    #[error("{0}")]
    Source(String),
    /// The store was closed.
    #[error("the block store is closed")]
    Closed,
}

/// Content that was sealed with another key or for another place, or was changed since.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("it was encrypted with another key, or has been changed")]
pub struct DoesNotOpen;

/// A path, shown so that bytes that are no text can be told apart.
fn shown(path: &Path) -> String {
    path.to_str()
        .map_or_else(|| format!("{path:?}"), str::to_owned)
}

fn asked(peers: Option<usize>) -> String {
    peers
        .map(|peers| format!(" ({peers} peers were asked)"))
        .unwrap_or_default()
}

impl Error {
    /// Whether the content is at fault: then reading it elsewhere or again gives the same error.
    #[must_use]
    pub const fn is_contents_fault(&self) -> bool {
        matches!(
            self,
            Self::Malformed { .. }
                | Self::TooLarge { .. }
                | Self::UnknownCodec { .. }
                | Self::Unsupported { .. }
                | Self::Verify(_)
        )
    }

    /// The stable code that users see.
    #[must_use]
    pub const fn code(&self) -> ErrorCode {
        match self {
            Self::Verify(_) | Self::Corrupt { .. } | Self::Malformed { .. } | Self::Car { .. } => {
                ErrorCode::CorruptContent
            }
            Self::NotFound { .. } | Self::NoEntry { .. } => ErrorCode::ContentNotFound,
            Self::BlockTooLarge { .. } | Self::TooLarge { .. } | Self::UnknownCodec { .. } => {
                ErrorCode::CorruptContent
            }
            Self::Unsupported { .. } | Self::Path { .. } => ErrorCode::Path,
            Self::PinName { .. } | Self::Pinned { .. } => ErrorCode::Usage,
            Self::DiskFull | Self::Quota { .. } | Self::Storage(_) => ErrorCode::Storage,
            Self::Locked { .. } => ErrorCode::DataDirLocked,
            Self::Sealed { .. } => ErrorCode::WrongKey,
            Self::Source(_) | Self::Closed => ErrorCode::Infrastructure,
        }
    }
}

/// Whether an error of the operating system says that the disk is full.
pub(crate) fn is_disk_full(error: &std::io::Error) -> bool {
    use std::io::ErrorKind::{FileTooLarge, QuotaExceeded, StorageFull};
    matches!(error.kind(), StorageFull | QuotaExceeded | FileTooLarge)
}

#[cfg(test)]
mod tests {
    use super::*;
    use mc_types::{cid, with_causes};

    #[test]
    fn what_caused_an_error_is_told_once() {
        let path = Error::Path {
            path: "/d/f".into(),
            source: std::io::Error::other("no luck"),
        };
        assert_eq!(path.to_string(), "/d/f");
        assert_eq!(with_causes(&path), "/d/f: no luck");
        let cid = cid::of(cid::RAW, b"");
        let sealed = Error::Sealed {
            cid,
            source: DoesNotOpen,
        };
        let cause = "it was encrypted with another key, or has been changed";
        let all = format!("{cid} does not open: {cause}");
        assert_eq!(with_causes(&sealed), all);
    }

    #[test]
    fn bytes_of_a_path_that_are_no_text_can_be_told() {
        use std::{ffi::OsStr, os::unix::ffi::OsStrExt};
        let error = Error::Unsupported {
            path: Path::new(OsStr::from_bytes(b"/d/\xff")).to_owned(),
            reason: "no file",
        };
        let said = error.to_string();
        assert!(
            said.contains("xFF") && said.ends_with(": no file"),
            "{said}"
        );
    }

    #[test]
    fn only_content_that_is_wrong_everywhere_is_at_fault() {
        let cid = cid::of(cid::RAW, b"");
        let malformed = Error::Malformed {
            cid,
            reason: String::new(),
        };
        assert!(malformed.is_contents_fault());
        let missing = Error::NotFound {
            cid,
            peers: Some(2),
        };
        assert!(!missing.is_contents_fault());
        assert!(missing.to_string().ends_with("(2 peers were asked)"));
        assert!(!Error::DiskFull.is_contents_fault());
        assert!(
            !Error::Corrupt { cid }.is_contents_fault(),
            "others may have it"
        );
    }
}
