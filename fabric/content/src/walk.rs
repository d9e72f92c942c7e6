//! Walking over DAGs in the store.

mod ordered;

pub use ordered::{Order, ordered_by};

use crate::{Error, MAX_DAG_BLOCKS, Store, links};
use mc_types::{Cid, cid};
use std::{collections::HashSet, ops::ControlFlow};

/// At most `limit` blocks of the DAG below `root` that the store lacks; empty when the DAG is complete.
///
/// # Errors
///
/// [`Error::Malformed`] or [`Error::Corrupt`] for a stored block that cannot be read, [`Error::TooLarge`] beyond
/// [`MAX_DAG_BLOCKS`].
pub async fn missing(store: &Store, root: Cid, limit: usize) -> Result<Vec<Cid>, Error> {
    let mut missing = Vec::new();
    walk(store, root, |cid, bytes| {
        if missing.len() >= limit {
            return ControlFlow::Break(());
        }
        if bytes.is_none() {
            missing.push(cid);
        }
        ControlFlow::Continue(())
    })
    .await?;
    Ok(missing)
}

/// Bytes of the blocks of the DAG below `root` that are in the store, each counted once.
///
/// # Errors
///
/// As [`missing`].
pub async fn stored_bytes(store: &Store, root: Cid) -> Result<u64, Error> {
    let mut sum = 0_u64;
    walk(store, root, |_, bytes| {
        sum = sum.saturating_add(bytes.unwrap_or_default());
        ControlFlow::Continue(())
    })
    .await?;
    Ok(sum)
}

/// Shows each block of the DAG below `root` once, with its length if it is in the store.
async fn walk(
    store: &Store,
    root: Cid,
    mut see: impl FnMut(Cid, Option<u64>) -> ControlFlow<()> + Send,
) -> Result<(), Error> {
    let mut seen = HashSet::from([root]);
    let mut pending = vec![root];
    while let Some(cid) = pending.pop() {
        let bytes = if cid.codec() == cid::RAW {
            store.size(&cid).await?
        } else if let Some(bytes) = store.get(&cid).await? {
            let links = links::of(&cid, &bytes)?;
            pending.extend(links.into_iter().filter(|link| seen.insert(*link)));
            u64::try_from(bytes.len()).ok()
        } else {
            None
        };
        if see(cid, bytes).is_break() {
            return Ok(());
        }
        if seen.len() > MAX_DAG_BLOCKS {
            let limit = format!("more than {MAX_DAG_BLOCKS} blocks");
            return Err(Error::TooLarge { cid: root, limit });
        }
    }
    Ok(())
}
