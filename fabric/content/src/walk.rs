//! Walking over DAGs in the store.

mod ordered;

pub use ordered::{Order, ordered, ordered_by};

use crate::{Error, Store, links};
use mc_types::{Cid, cid};
use std::collections::HashSet;

/// Most blocks of one DAG: 16 TiB in blocks of 1 MiB. Bounds the memory of a walk to some 2 GiB, and
/// that of any DAG seen in practice to a few megabytes.
pub const MAX_DAG_BLOCKS: usize = 1 << 24;

/// At most `limit` blocks of the DAG below `root` that the store lacks; none when it is complete.
///
/// # Errors
///
/// [`Error::Malformed`] or [`Error::Corrupt`] for a block that is there but cannot be read,
/// [`Error::TooLarge`] beyond [`MAX_DAG_BLOCKS`].
pub async fn missing(store: &Store, root: Cid, limit: usize) -> Result<Vec<Cid>, Error> {
    let mut missing = Vec::new();
    let mut seen = HashSet::from([root]);
    let mut pending = vec![root];
    while let Some(cid) = pending.pop() {
        if missing.len() >= limit {
            break;
        }
        if cid.codec() == cid::RAW {
            if !store.has(&cid).await? {
                missing.push(cid);
            }
            continue;
        }
        let Some(bytes) = store.get(&cid).await? else {
            missing.push(cid);
            continue;
        };
        for link in links::of(&cid, &bytes)? {
            if seen.insert(link) {
                pending.push(link);
            }
        }
        if seen.len() > MAX_DAG_BLOCKS {
            let limit = format!("more than {MAX_DAG_BLOCKS} blocks");
            return Err(Error::TooLarge { cid: root, limit });
        }
    }
    Ok(missing)
}
