//! Where an entry is, below one directory.

use crate::{Error, staging};
use std::{cmp::Ordering, path::Path};

/// Longest place in bytes: as long as a path may be on Linux.
const MAX_BYTES: usize = 4096;

/// Checks `place`, below `prefix`, and puts both together.
pub(crate) fn checked(prefix: &str, place: &Path) -> Result<String, Error> {
    let refused = |reason| Error::Place {
        place: place.to_owned(),
        reason,
    };
    let text = place.to_str().ok_or_else(|| refused("not UTF-8"))?;
    if text.is_empty() || text.split('/').any(|part| matches!(part, "" | "." | "..")) {
        return Err(refused("not a plain relative path"));
    }
    if text.contains('\0') {
        return Err(refused("has a zero byte"));
    }
    // A guest that could write there would write our journal.
    if text.split('/').any(staging::is_reserved) {
        return Err(refused("names of that form are ours"));
    }
    let whole = joined(prefix, text);
    if whole.len() > MAX_BYTES {
        return Err(refused("too long"));
    }
    Ok(whole)
}

/// Whether `place` is as [`checked`] gives them.
pub(crate) fn is_checked(place: &str) -> bool {
    checked("", Path::new(place)).is_ok()
}

pub(crate) fn joined(parent: &str, name: &str) -> String {
    match parent.is_empty() {
        true => name.to_owned(),
        false => format!("{parent}/{name}"),
    }
}

/// The place of the directory that `place` is in, "" for the topmost one, and the name in it.
pub(crate) fn split(place: &str) -> (&str, &str) {
    place.rsplit_once('/').unwrap_or(("", place))
}

/// Every directory comes before what is in it.
pub(crate) fn order(a: &str, b: &str) -> Ordering {
    a.split('/').cmp(b.split('/'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_plain_relative_places_are_taken() {
        for good in [
            "a",
            "a/b",
            "..a",
            "a b/ü",
            ".hidden",
            ".mc-wasm-cache",
            ".mc-wasm-staging-ours",
        ] {
            assert_eq!(checked("", Path::new(good)).unwrap(), good);
            assert!(is_checked(good), "{good}");
        }
        assert_eq!(checked("sub", Path::new("a")).unwrap(), "sub/a");
        let bad = [
            "", "/", "/a", "a/", "a//b", ".", "..", "a/../b", "a/.", "a\0b",
        ];
        for bad in bad.into_iter().chain([
            ".mc-wasm-staging-abcdef/journal",
            "a/.mc-wasm-staging-aBc123",
        ]) {
            assert!(checked("", Path::new(bad)).is_err(), "{bad:?}");
        }
        assert!(checked("", Path::new(&"a/".repeat(3000))).is_err());
    }

    #[test]
    fn directories_come_before_what_is_in_them() {
        let mut places = ["a-b", "a/b", "a", "a/b/c", "a.x", "b"];
        places.sort_by(|a, b| order(a, b));
        assert_eq!(places, ["a", "a/b", "a/b/c", "a-b", "a.x", "b"]);
    }
}
