//! Puts what a guest changed into directories of the user's, without losing anything.
//!
//! A [`Transaction`] takes the changes, says for each what the guest had seen in its place (a
//! [`Fingerprint`]), and makes all of them or none. An entry that the user changed, made or removed
//! meanwhile stays as the user has it; the guest's version is then kept beside it, in
//! `mc-wasm-conflict-XXXXXX`, and named in the [`Report`].
//!
//! It is not a backup: what the guest removed and the user did not touch is gone.
//!
//! ```
//! use mc_directories::{Fingerprint, Transaction, recover};
//! use std::path::Path;
//! # let host = tempfile::tempdir()?;
//! # let host = host.path();
//! std::fs::write(host.join("old"), "as it was")?;
//!
//! recover(host)?; // What an earlier process may have left.
//! let seen = Fingerprint::of(&host.join("old"))?;
//! // Here the guest runs.
//! let mut transaction = Transaction::new();
//! let dir = transaction.directory(host)?;
//! transaction.put_file(dir, Path::new("old"), seen.as_ref(), None, |file| file.write_all(b"changed"))?;
//! let report = transaction.commit()?;
//! assert!(report.conflicts.is_empty());
//! assert_eq!(std::fs::read(host.join("old"))?, b"changed");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # How nothing is lost
//!
//! * New content is written to a staging directory `.mc-wasm-staging-XXXXXX` inside the host directory, made
//!   durable, and described by a journal, before anything of the user's is touched. One mark, in the
//!   first of the host directories, then decides for all of them.
//! * What is taken out is moved to the staging directory, what is put in never replaces anything:
//!   it goes to a free place, or changes places with what it replaces. What came out is compared with
//!   what the guest saw *after* the move, goes back if it differs, and is looked at once more before
//!   it is removed at the end.
//! * Each step finds out from the disk whether it has been done, so that [`recover`] can do all of
//!   them again after a kill at any point, and be killed itself.
//! * A symbolic link that leads out of the host directory, by itself or through others, is left out and named, unless it
//!   is one of the user's own that has another name now.
//! * A directory that is called like a staging directory and holds anything else is somebody else's, and stays. A journal
//!   that names what no transaction could is not applied: content of strangers may have both.
//! * Every path is resolved below the descriptor of the host directory and through no link.
//!
//! # Limits
//!
//! * An edit between the look before a move and the move that keeps size, owner, mode and time of
//!   modification is not noticed, because the move itself changes the inode's time of change.
//! * Below a mount inside of a host directory nothing can be moved in or out: conflicts.
//! * Extended attributes and access lists of a changed file are not carried over.
//! * Where a file system can neither exchange nor refuse to replace, an entry is briefly absent
//!   while it is replaced; where it has no second names either (FAT), a file made in that very moment
//!   under that very name may be replaced.

mod apply;
mod conflict;
mod error;
mod fingerprint;
mod journal;
mod links;
mod place;
mod plan;
mod put;
mod recover;
mod report;
mod root;
mod staging;
#[doc(hidden)]
pub mod steps;
mod sys;
mod touched;
mod transaction;

pub use error::Error;
pub use fingerprint::Fingerprint;
pub use journal::{MAX_CHANGES, MAX_JOURNAL_BYTES};
pub use links::leads_out;
pub use recover::recover;
pub use report::{Conflict, Reason, Report};
pub use staging::is_reserved;
pub use transaction::{DirectoryId, Transaction};
