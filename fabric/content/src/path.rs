//! Paths through structured data, from block to block.

use crate::{BlockSource, Error, links, unixfs};
use ipld_core::ipld::Ipld;
use mc_types::{Cid, cid};

/// What a path leads to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reached {
    /// The block at the end.
    pub cid: Cid,
    /// Names of the path that lead to a value within that block.
    pub within: usize,
}

/// Follows the first of `names` from `from`: one name of a directory, or as many as stay within one block of structured
/// data. Returns the CID that it leads to, and how many names are left.
///
/// # Errors
///
/// [`Error::NoEntry`] when there is no such entry, [`Error::UnknownCodec`] when the codec is unknown.
pub async fn step<S: BlockSource>(
    source: &S,
    from: Cid,
    names: &[&str],
) -> Result<(Reached, usize), Error> {
    let Some((first, rest)) = names.split_first() else {
        let reached = Reached {
            cid: from,
            within: 0,
        };
        return Ok((reached, 0));
    };
    if matches!(from.codec(), cid::RAW | cid::DAG_PB) {
        let cid = unixfs::resolve(source, from, first).await?.cid;
        return Ok((Reached { cid, within: 0 }, rest.len()));
    }
    let bytes = source.get(&from).await?;
    let value = links::value(&from, &bytes)?;
    let mut at = &value;
    for (passed, name) in names.iter().enumerate() {
        at = entry(at, name).ok_or_else(|| Error::NoEntry {
            cid: from,
            name: (*name).to_owned(),
        })?;
        if let Ipld::Link(cid) = at {
            let reached = Reached {
                cid: *cid,
                within: 0,
            };
            return Ok((reached, names.len() - passed - 1));
        }
    }
    let reached = Reached {
        cid: from,
        within: names.len(),
    };
    Ok((reached, 0))
}

/// A member of a map, or an item of a list by its number.
fn entry<'v>(value: &'v Ipld, name: &str) -> Option<&'v Ipld> {
    match value {
        Ipld::Map(members) => members.get(name),
        Ipld::List(items) => items.get(name.parse::<usize>().ok()?),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Block, BlockSink, MemoryBlocks};

    #[tokio::test]
    async fn names_lead_through_maps_and_lists_to_links() {
        let blocks = MemoryBlocks::default();
        let file = unixfs::add_bytes(b"file", &blocks).await.unwrap().cid;
        let map = |name: &str, value| Ipld::Map([(name.to_owned(), value)].into());
        let list = Ipld::List(vec![Ipld::Null, Ipld::Link(file)]);
        let value = map("a", map("b", list));
        let bytes = serde_ipld_dagcbor::to_vec(&value).unwrap();
        let block = Block::encode(cid::DAG_CBOR, bytes).unwrap();
        let root = *block.cid();
        blocks.put_many(vec![block]).await.unwrap();
        let go = async |names: &[&str]| step(&blocks, root, names).await;
        let (reached, left) = go(&["a", "b", "1", "more"]).await.unwrap();
        assert_eq!((reached.cid, reached.within, left), (file, 0, 1));
        let (reached, left) = go(&["a", "b", "0"]).await.unwrap();
        assert_eq!((reached.cid, reached.within, left), (root, 3, 0));
        for nothing in [
            &["b"][..],
            &["a", "b", "2"],
            &["a", "b", "x"],
            &["a", "b", "0", "x"],
        ] {
            let error = go(nothing).await.unwrap_err();
            assert!(
                matches!(error, Error::NoEntry { .. }),
                "{nothing:?}: {error}"
            );
        }
    }
}
