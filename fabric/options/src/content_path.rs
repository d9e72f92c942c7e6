//! A place in a DAG: a CID, and a path below it.

use mc_types::Cid;
use std::{fmt, str::FromStr};

/// A CID and a path below it, as users write them: `CID`, `CID/a/b`, `/ipfs/CID/a/b` or `ipfs://CID/a/b`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ContentPath {
    /// The CID.
    pub cid: Cid,
    /// Names with `/` between them, or nothing.
    pub path: String,
}

impl FromStr for ContentPath {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let rest = text.strip_prefix("ipfs://").unwrap_or(text);
        let rest = rest.strip_prefix("/ipfs/").unwrap_or(rest);
        let (cid, path) = rest.split_once('/').unwrap_or((rest, ""));
        let cid = cid
            .parse()
            .map_err(|e| format!("{cid:?} is not a CID: {e}"))?;
        let path = path.trim_matches('/').to_owned();
        Ok(Self { cid, path })
    }
}

impl fmt::Display for ContentPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.cid)?;
        if self.path.is_empty() {
            Ok(())
        } else {
            write!(f, "/{}", self.path)
        }
    }
}

impl ContentPath {
    /// Its default name on disk.
    #[must_use]
    pub fn name(&self) -> String {
        let last = self.path.rsplit('/').next().filter(|name| !name.is_empty());
        last.map_or_else(|| self.cid.to_string(), str::to_owned)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_written_in_several_ways() {
        let cid = "bafkreihdwdcefgh4dqkjv67uzcmw7ojee6xedzdetojuzjevtenxquvyku";
        for (text, path, name) in [
            (cid.to_owned(), "", cid),
            (format!("/ipfs/{cid}"), "", cid),
            (format!("{cid}/a/b"), "a/b", "b"),
            (format!("ipfs://{cid}/a/"), "a", "a"),
        ] {
            let place: ContentPath = text.parse().unwrap();
            assert_eq!((place.path.as_str(), place.name().as_str()), (path, name));
        }
        assert!("nonsense/a".parse::<ContentPath>().is_err());
    }
}
