//! Names of directory entries.

use crate::Error;
use mc_types::Cid;

/// A name that an entry of the directory `cid` may have: on disk it leads to nothing but that entry.
pub(super) fn checked(cid: &Cid, name: &str) -> Result<String, Error> {
    let is_plain = !name.is_empty() && name != "." && name != ".." && !name.contains(['/', '\0']);
    if !is_plain {
        return Err(Error::Malformed {
            cid: *cid,
            reason: format!("{name:?} cannot be the name of an entry"),
        });
    }
    Ok(name.to_owned())
}
