//! What can go wrong with a transaction.

use std::{
    io,
    path::{Path, PathBuf},
};

/// Characters of a place that are shown. Guests make longer ones.
const MAX_SHOWN: usize = 256;

/// Why changes could not be taken, or not all be applied.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The host directory cannot be used.
    #[error("the directory {} cannot be used", path.display())]
    Directory {
        /// Where it should be.
        path: PathBuf,
        /// What the system says.
        #[source]
        source: io::Error,
    },
    /// A host directory that has another one inside of it was named after that one.
    #[error("{} is to be named before {}, which is inside of it", outer.display(), inner.display())]
    Nested {
        /// The one that is to come first.
        outer: PathBuf,
        /// The one that came first.
        inner: PathBuf,
    },
    /// An id of a directory of another transaction.
    #[error("the directory is not one of this transaction")]
    UnknownDirectory,
    /// A place that no change may have.
    #[error("{} is no place for a change: {reason}", beginning(place))]
    Place {
        /// The place, below its directory.
        place: PathBuf,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// Two changes of the same kind at one place.
    #[error("{} is changed twice", place.display())]
    Twice {
        /// The place.
        place: PathBuf,
    },
    /// More changes, or more text in the journal, than is accepted.
    #[error("more changes than one transaction may have: {limit}")]
    TooMany {
        /// Which bound was passed.
        limit: &'static str,
    },
    /// The changes could not be prepared. The host directories are as they were.
    #[error("changes of {} could not be prepared", directory.display())]
    Prepare {
        /// The host directory.
        directory: PathBuf,
        /// What the system says.
        #[source]
        source: io::Error,
    },
    /// The changes stand, but not all of them are in place yet; [`crate::recover`] goes on.
    #[error("changes of {} are not all in place yet; they are kept in {}", directory.display(), staging.display())]
    Unfinished {
        /// The host directory.
        directory: PathBuf,
        /// Where the rest lies.
        staging: PathBuf,
        /// What the system says.
        #[source]
        source: io::Error,
    },
}

/// A place, or as much of it as anybody reads.
fn beginning(place: &Path) -> String {
    let text = format!("{place:?}");
    match text.char_indices().nth(MAX_SHOWN) {
        Some((end, _)) => format!("{}…", text.get(..end).unwrap_or_default()),
        None => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_a_place_that_is_too_long_the_beginning_is_shown() {
        let shown = |text: &str| beginning(Path::new(text));
        assert_eq!(shown("a/b"), "\"a/b\"");
        let long = shown(&"d/".repeat(5000));
        assert_eq!(long.chars().count(), MAX_SHOWN + 1);
        assert!(long.starts_with("\"d/d/") && long.ends_with('…'), "{long}");
    }
}
