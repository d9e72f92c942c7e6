//! Reading here and there in a tree, block by block.

use super::{
    directory::of_shards,
    entity::{Entity, Part, key_below},
    node::{Fetched, File, fetch},
    read::MAX_FILE_DEPTH,
};
use crate::{BlockSource, Error, Key};
use futures::future::join_all;
use mc_types::Cid;
use std::{
    collections::{BTreeMap, HashMap, VecDeque},
    sync::Arc,
};

/// How many blocks are kept: at most 16 MiB, enough to read several large files in sequence at a time.
const KEPT_BLOCKS: usize = 16;
/// How many names of directories are kept in all.
const KEPT_NAMES: usize = 1 << 20;
/// The most parts of a file to fetch ahead of a sequential reader.
const MAX_AHEAD: usize = 8;
/// How many parts must be read in sequence before others are fetched ahead.
const IN_SEQUENCE: usize = 2;

/// The entries of a directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listing {
    entries: BTreeMap<String, Cid>,
    key: Option<Key>,
}

impl Listing {
    /// The entry with this name.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<Entity> {
        let cid = *self.entries.get(name)?;
        Some((cid, key_below(self.key.as_ref(), name)).into())
    }

    /// All names, in the order of their bytes.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.entries.keys().map(String::as_str)
    }
}

/// What an entity is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Found {
    /// A directory.
    Directory(Arc<Listing>),
    /// A file.
    File {
        /// Its length, as its root claims.
        file_bytes: u64,
    },
    /// A symbolic link.
    Symlink {
        /// Where it points.
        target: String,
    },
}

/// A part of a node that was read, and how many before it were read one after the other.
#[derive(Debug, Clone)]
struct Sequence {
    node: Part,
    part: usize,
    length: usize,
}

/// Random access to a tree. Fetches only the blocks that are read, and more of a file only once it is read in sequence.
#[derive(Debug)]
pub struct RandomAccess<S> {
    source: S,
    kept: HashMap<Part, Fetched>,
    /// In the order in which they came.
    order: VecDeque<Part>,
    listings: HashMap<Part, Arc<Listing>>,
    names: usize,
    sequence: Option<Sequence>,
}

impl<S: BlockSource> RandomAccess<S> {
    /// A reader of the content of `source`.
    #[must_use]
    pub fn new(source: S) -> Self {
        Self {
            source,
            kept: HashMap::new(),
            order: VecDeque::new(),
            listings: HashMap::new(),
            names: 0,
            sequence: None,
        }
    }

    fn keep(&mut self, part: Part, fetched: Fetched) {
        if self.kept.insert(part.clone(), fetched).is_some() {
            return;
        }
        if self.order.len() >= KEPT_BLOCKS
            && let Some(oldest) = self.order.pop_front()
        {
            self.kept.remove(&oldest);
        }
        self.order.push_back(part);
    }

    /// A node that is no directory.
    async fn node(&mut self, part: &Part) -> Result<&Fetched, Error> {
        if !self.kept.contains_key(part) {
            let fetched = fetch(&self.source, part).await?;
            self.keep(part.clone(), fetched);
        }
        let missing = Error::NotFound {
            cid: part.cid,
            peers: None,
        };
        self.kept.get(part).ok_or(missing)
    }

    /// What an entity is.
    ///
    /// # Errors
    ///
    /// [`Error::NotFound`], or [`Error::Malformed`] when it is no UnixFS node.
    pub async fn find(&mut self, entity: impl Into<Entity>) -> Result<Found, Error> {
        let part = Part::from(entity.into());
        if let Some(listing) = self.listings.get(&part) {
            return Ok(Found::Directory(Arc::clone(listing)));
        }
        let entries = match self.node(&part).await? {
            Fetched::File(file) => {
                let file_bytes = file.file_bytes;
                return Ok(Found::File { file_bytes });
            }
            Fetched::Symlink(target) => {
                let target = target.clone();
                return Ok(Found::Symlink { target });
            }
            Fetched::Directory { entries, .. } => entries.clone(),
            Fetched::Shard { shard, .. } => {
                let shard = shard.clone();
                of_shards(&self.source, part.cid, shard).await?
            }
        };
        let listing = Arc::new(Listing {
            entries: entries.into_iter().collect(),
            key: part.key().cloned(),
        });
        self.names += listing.entries.len();
        if self.names > KEPT_NAMES {
            self.listings.clear();
            self.names = listing.entries.len();
        }
        self.listings.insert(part, Arc::clone(&listing));
        Ok(Found::Directory(listing))
    }

    /// Reads from a file at `offset`: at least one byte, unless the file or `into` has none
    /// there, and at most the rest of a block.
    ///
    /// # Errors
    ///
    /// As [`Self::find`]; [`Error::Malformed`] when parts have other lengths than the node above them
    /// claims.
    pub async fn read(
        &mut self,
        file: impl Into<Entity>,
        offset: u64,
        into: &mut [u8],
    ) -> Result<usize, Error> {
        let (mut at, mut offset) = (Part::from(file.into()), offset);
        let root = at.cid;
        // How many bytes the node must have, as the one above it claims.
        let mut claimed = None;
        for _ in 0..MAX_FILE_DEPTH {
            let cid = at.cid;
            let malformed = |reason: &str| Error::Malformed {
                cid,
                reason: reason.to_owned(),
            };
            let Fetched::File(file) = self.node(&at).await? else {
                return Err(malformed("not a file, nor part of one"));
            };
            if claimed.is_some_and(|claimed| claimed != file.file_bytes) {
                return Err(malformed("not as long as the node above it claims"));
            }
            file.check_lengths(&cid)?;
            if offset < file.own_bytes() || file.parts.is_empty() {
                return Ok(copy(&file.bytes, offset, into));
            }
            let Some((part, begin)) = part_at(file, offset) else {
                return Ok(0);
            };
            let next = file.part(part).zip(file.part_bytes.get(part).copied());
            let following = part + 1..part + 1 + MAX_AHEAD;
            let following = following.map_while(|index| file.part(index)).collect();
            let Some((next, length)) = next else {
                return Ok(0);
            };
            self.go_to(at, part, &next, following).await;
            offset -= begin;
            (at, claimed) = (next, Some(length));
        }
        Err(Error::TooLarge {
            cid: root,
            limit: format!("nested more than {MAX_FILE_DEPTH} levels deep"),
        })
    }

    /// A part of a node was read. If the parts before it were read too, the parts after it are fetched along with it.
    async fn go_to(&mut self, node: Part, part: usize, next: &Part, following: Vec<Part>) {
        let length = match &self.sequence {
            Some(last) if last.node == node && last.part == part => return,
            Some(last) if last.node == node && last.part + 1 == part => last.length + 1,
            _ => 0,
        };
        self.sequence = Some(Sequence { node, part, length });
        let Some(ahead) = length.checked_sub(IN_SEQUENCE) else {
            return;
        };
        if self.kept.contains_key(next) {
            // It was fetched ahead, as were those that follow.
            return;
        }
        let ahead = following
            .into_iter()
            .take((1 << ahead.min(3)).min(MAX_AHEAD));
        let wanted = std::iter::once(next.clone()).chain(ahead);
        let wanted: Vec<_> = wanted
            .filter(|part| !self.kept.contains_key(part))
            .collect();
        let source = &self.source;
        let fetches = wanted.into_iter().map(async |part| {
            let fetched = fetch(source, &part).await;
            (part, fetched)
        });
        for (part, fetched) in join_all(fetches).await {
            // A block that is not available now is requested again when it is needed: only then does the error matter.
            if let Ok(fetched) = fetched {
                self.keep(part, fetched);
            }
        }
    }
}

/// The part of a file that has the byte at `offset`, and where it begins.
fn part_at(file: &File, offset: u64) -> Option<(usize, u64)> {
    let mut begin = file.own_bytes();
    for (part, length) in file.part_bytes.iter().enumerate() {
        let end = begin.saturating_add(*length);
        if offset < end {
            return Some((part, begin));
        }
        begin = end;
    }
    None
}

fn copy(bytes: &[u8], offset: u64, into: &mut [u8]) -> usize {
    let offset = usize::try_from(offset).unwrap_or(usize::MAX);
    let rest = bytes.get(offset..).unwrap_or_default();
    let length = rest.len().min(into.len());
    let (into, _) = into.split_at_mut(length);
    into.copy_from_slice(rest.get(..length).unwrap_or_default());
    length
}
