//! Where a ledger is kept.

use std::path::{Path, PathBuf};

/// The file of a ledger in a directory.
pub(crate) const SQLITE_FILE: &str = "ledger.sqlite";

/// Where a ledger is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Location {
    /// In an SQLite file of this directory, for one node.
    Directory(PathBuf),
    /// In a PostgreSQL database, for any number of nodes: `postgres://user:password@host:port/database`.
    Postgres(String),
}

impl Location {
    /// The location that a URL names, or else that of the directory `dir`.
    #[must_use]
    pub fn of(url: Option<&str>, dir: &Path) -> Self {
        url.map_or_else(
            || Self::Directory(dir.to_owned()),
            |url| Self::Postgres(url.to_owned()),
        )
    }
}

/// For humans; a password does not show.
impl std::fmt::Display for Location {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Directory(dir) => dir.join(SQLITE_FILE).display().fmt(f),
            Self::Postgres(url) => {
                let (scheme, rest) = url.split_once("://").unwrap_or(("postgres", url));
                let place = rest.rsplit_once('@').map_or(rest, |(_, place)| place);
                let place = place.split('?').next().unwrap_or(place);
                write!(f, "{scheme}://{place}")
            }
        }
    }
}

/// The URL of the SQLite file `path`.
pub(crate) fn sqlite_url(path: &Path, read_only: bool) -> String {
    use std::{fmt::Write, os::unix::ffi::OsStrExt};
    let mut url = "sqlite://".to_owned();
    for byte in path.as_os_str().as_bytes() {
        if byte.is_ascii_alphanumeric() || b"/._-".contains(byte) {
            url.push(char::from(*byte));
        } else {
            // Writing to a string does not fail.
            let _ = write!(url, "%{byte:02X}");
        }
    }
    url.push_str(if read_only { "?mode=ro" } else { "?mode=rwc" });
    url
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn passwords_do_not_show() {
        let location = Location::of(
            Some("postgres://me:se%40cret@db.example/jobs?password=too"),
            Path::new("/x"),
        );
        assert_eq!(location.to_string(), "postgres://db.example/jobs");
    }
}
