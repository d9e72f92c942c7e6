//! What became of the changes.

use serde::{Deserialize, Serialize};
use std::{fmt, path::PathBuf};

/// What a transaction did to the host.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// Changes that are in place. After a recovery, those that it put there itself.
    pub changed: u64,
    /// Changes that are not, because the host had been changed too.
    pub conflicts: Vec<Conflict>,
    /// Symbolic links that were not made, because they lead out of the host directory.
    pub left_out: Vec<PathBuf>,
    /// Host directories of the same transaction that could not be reached. What is to be changed in
    /// them is kept, and done when they are there again.
    pub pending: Vec<PathBuf>,
}

/// A change that was not made, because something of the user's would have been lost.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Conflict {
    /// Where the change was to be.
    pub place: PathBuf,
    /// Where the version lies that is not in place, if there is one.
    pub kept: Option<PathBuf>,
    /// What stood in the way.
    pub reason: Reason,
}

/// What stood in the way of a change.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Reason {
    /// The host changed or replaced the entry after the guest had seen it.
    Edited,
    /// The host made something where the guest had made something.
    Occupied,
    /// The host removed the entry that the guest changed or moved.
    Gone,
    /// The directory of the entry is no longer there, or no longer a directory.
    NoDirectory,
    /// The host put something into the directory that the guest removed or replaced.
    NotEmpty,
    /// The system refused, with this text.
    Refused(String),
}

impl fmt::Display for Reason {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Edited => "it was changed on the host too",
            Self::Occupied => "something else was made there on the host",
            Self::Gone => "it was removed on the host",
            Self::NoDirectory => "its directory is no longer there",
            Self::NotEmpty => "the directory is not empty on the host",
            Self::Refused(text) => text,
        })
    }
}
