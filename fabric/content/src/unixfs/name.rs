//! Names of directory entries.

use crate::{Error, seal::Key};
use mc_types::Cid;

/// The name of an entry of the directory `cid`, as it stands there.
pub(super) fn opened(cid: &Cid, name: &str, key: Option<&Key>) -> Result<String, Error> {
    match key {
        None => checked(cid, name),
        Some(key) => {
            let opened = key.open_name(name);
            checked(
                cid,
                &opened.map_err(|source| Error::Sealed { cid: *cid, source })?,
            )
        }
    }
}

/// A name that an entry of the directory `cid` may have: on disk it leads to nothing but that entry.
fn checked(cid: &Cid, name: &str) -> Result<String, Error> {
    let is_plain = !name.is_empty() && name != "." && name != ".." && !name.contains(['/', '\0']);
    if !is_plain {
        return Err(Error::Malformed {
            cid: *cid,
            reason: format!("{name:?} cannot be the name of an entry"),
        });
    }
    Ok(name.to_owned())
}
