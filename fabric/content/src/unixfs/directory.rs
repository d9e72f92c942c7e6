//! Entries of directories, however they are stored, and paths through them.

use super::{
    entity::{Entity, key_below},
    hamt::{self, Child, Shard},
    node::{Fetched, fetch, fetch_shard},
};
use crate::{
    BlockSource, Error,
    dagpb::{DIRECTORY, HAMT_SHARD, Link, Node},
    links::beyond_inline,
};
use futures::{StreamExt, stream};
use mc_types::{Cid, cid};
use std::collections::VecDeque;

/// Most entries of one directory: their names are in memory together.
const MAX_ENTRIES: usize = 4 << 20;
/// Longest path, in names.
const MAX_PATH_NAMES: usize = 256;

/// The entries of a directory: as they stand in it, or by name if it is sharded.
///
/// # Errors
///
/// As [`super::stat`]; [`Error::Malformed`] also when it is not a directory, [`Error::TooLarge`] for
/// one of more than four million entries.
pub async fn entries<S: BlockSource>(
    source: &S,
    directory: impl Into<Entity>,
) -> Result<Vec<(String, Entity)>, Error> {
    let directory = directory.into();
    let (cid, key) = (directory.cid, directory.key.clone());
    let entries = match fetch(source, &directory.into()).await? {
        Fetched::Directory { entries, .. } => entries,
        Fetched::Shard { shard, .. } => of_shards(source, cid, shard).await?,
        _ => {
            let reason = "not a directory".to_owned();
            return Err(Error::Malformed { cid, reason });
        }
    };
    let entry = |(name, cid): (String, Cid)| {
        let key = key_below(key.as_ref(), &name);
        (name, Entity { cid, key })
    };
    Ok(entries.into_iter().map(entry).collect())
}

/// The entries of a sharded directory, by name.
pub(super) async fn of_shards<S: BlockSource>(
    source: &S,
    root: Cid,
    shard: Shard,
) -> Result<Vec<(String, Cid)>, Error> {
    let mut entries = Vec::new();
    let mut pending = VecDeque::from([shard]);
    let mut shards = 0;
    while let Some(shard) = pending.pop_front() {
        let mut below = Vec::new();
        for child in &shard.children {
            match child {
                Child::Entry(name, cid) => entries.push((name.clone(), *cid)),
                Child::Shard(number, cid) => below.push((*number, *cid)),
            }
        }
        shards += below.len();
        if entries.len() + shards > MAX_ENTRIES {
            let limit = format!("a directory of more than {MAX_ENTRIES} entries");
            return Err(Error::TooLarge { cid: root, limit });
        }
        let shard = &shard;
        let next = |(number, cid)| fetch_shard(source, cid, (shard, number));
        let mut next = stream::iter(below).map(next).buffered(source.ahead());
        while let Some(shard) = next.next().await {
            pending.push_back(shard?);
        }
    }
    entries.sort_unstable();
    Ok(entries)
}

/// The entry of a directory with this name. Of a sharded directory, only the shards on the way to the entry are
/// fetched.
async fn entry<S: BlockSource>(source: &S, directory: Entity, name: &str) -> Result<Entity, Error> {
    let cid = directory.cid;
    let missing = || Error::NoEntry {
        cid,
        name: name.to_owned(),
    };
    match fetch(source, &directory.into()).await? {
        Fetched::Directory { entries, key, .. } => {
            let found = entries.into_iter().find(|(entry, _)| entry == name);
            let (_, cid) = found.ok_or_else(missing)?;
            Ok((cid, key_below(key.as_ref(), name)).into())
        }
        Fetched::Shard { mut shard, .. } => loop {
            match shard.look(name) {
                Some(Child::Entry(_, cid)) => return Ok(shard.entry(name, *cid)),
                Some(Child::Shard(number, cid)) => {
                    shard = fetch_shard(source, *cid, (&shard, *number)).await?;
                }
                None => return Err(missing()),
            }
        },
        Fetched::File(_) | Fetched::Symlink(_) => Err(missing()),
    }
}

/// Follows `path`, names with `/` between them, from `root`. Empty names are skipped; `.` and `..` have no meaning, and
/// symbolic links are not followed.
///
/// # Errors
///
/// [`Error::NoEntry`] when there is no such entry; [`Error::NotFound`] or [`Error::Malformed`] for a directory on the
/// way that cannot be read.
pub async fn resolve<S: BlockSource>(
    source: &S,
    root: impl Into<Entity>,
    path: &str,
) -> Result<Entity, Error> {
    let mut at = root.into();
    for (depth, name) in path.split('/').filter(|name| !name.is_empty()).enumerate() {
        if depth >= MAX_PATH_NAMES {
            let limit = format!("a path of more than {MAX_PATH_NAMES} names");
            return Err(Error::TooLarge { cid: at.cid, limit });
        }
        at = entry(source, at, name).await?;
    }
    Ok(at)
}

/// The links of a block that lead to more of the same file or directory, and not to an entry.
///
/// # Errors
///
/// [`Error::Malformed`] for a block that does not have the form of its codec.
pub fn entity_links(cid: &Cid, bytes: &[u8]) -> Result<Vec<Cid>, Error> {
    beyond_inline(parts(cid, bytes)?, parts)
}

fn parts(cid: &Cid, bytes: &[u8]) -> Result<Vec<Cid>, Error> {
    if cid.codec() != cid::DAG_PB {
        // Structured data is an entity by itself.
        return Ok(Vec::new());
    }
    let node = Node::parse(cid, bytes)?;
    // A block that is no part of a file or directory is an entity by itself, too.
    let Ok(unixfs) = node.unixfs(cid) else {
        return Ok(Vec::new());
    };
    match unixfs.kind {
        DIRECTORY => Ok(Vec::new()),
        HAMT_SHARD => {
            // The number of digits does not depend on the place of the shard.
            let width = hamt::width(cid, &unixfs)?;
            let is_shard = |link: &&Link| link.name.as_ref().is_some_and(|n| n.len() == width);
            let shards = node.links.iter().filter(is_shard);
            shards.map(|link| link.cid(cid)).collect()
        }
        _ => node.links.iter().map(|link| link.cid(cid)).collect(),
    }
}
