//! Reading here and there in a tree, block by block.

use super::{
    directory::of_shards,
    node::{Fetched, fetch},
    read::MAX_FILE_DEPTH,
};
use crate::{BlockSource, Error};
use mc_types::Cid;
use std::collections::{HashMap, VecDeque};

/// Blocks that are kept: at most 16 MiB, enough to read several large files at a time in sequence.
const KEPT_BLOCKS: usize = 16;

/// What a CID names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Found {
    /// A directory: name and CID of each entry.
    Directory(Vec<(String, Cid)>),
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

/// Reads here and there in a tree, and fetches only the blocks that are touched.
#[derive(Debug)]
pub struct RandomAccess<S> {
    source: S,
    kept: HashMap<Cid, Fetched>,
    /// In the order in which they came.
    order: VecDeque<Cid>,
}

impl<S: BlockSource> RandomAccess<S> {
    /// A reader of what `source` has.
    #[must_use]
    pub fn new(source: S) -> Self {
        Self {
            source,
            kept: HashMap::new(),
            order: VecDeque::new(),
        }
    }

    async fn node(&mut self, cid: Cid) -> Result<&Fetched, Error> {
        if !self.kept.contains_key(&cid) {
            let fetched = match fetch(&self.source, cid).await? {
                Fetched::Shard { shard, mode } => Fetched::Directory {
                    entries: of_shards(&self.source, cid, shard).await?,
                    mode,
                },
                fetched => fetched,
            };
            if self.order.len() >= KEPT_BLOCKS
                && let Some(oldest) = self.order.pop_front()
            {
                self.kept.remove(&oldest);
            }
            self.order.push_back(cid);
            self.kept.insert(cid, fetched);
        }
        self.kept
            .get(&cid)
            .ok_or(Error::NotFound { cid, peers: None })
    }

    /// What `cid` names.
    ///
    /// # Errors
    ///
    /// [`Error::NotFound`], or [`Error::Malformed`] when it is no UnixFS node.
    pub async fn find(&mut self, cid: Cid) -> Result<Found, Error> {
        Ok(match self.node(cid).await? {
            Fetched::Directory { entries, .. } => Found::Directory(entries.clone()),
            // They are put together when they are fetched.
            Fetched::Shard { .. } => Found::Directory(Vec::new()),
            Fetched::File(file) => Found::File {
                file_bytes: file.file_bytes,
            },
            Fetched::Symlink(target) => Found::Symlink {
                target: target.clone(),
            },
        })
    }

    /// Reads from the file `cid` at `offset`: at least one byte, unless the file or `into` has none
    /// there, and at most the rest of a block.
    ///
    /// # Errors
    ///
    /// As [`Self::find`]; [`Error::Malformed`] when parts have other lengths than the node above them
    /// claims.
    pub async fn read(&mut self, cid: Cid, offset: u64, into: &mut [u8]) -> Result<usize, Error> {
        let (root, mut cid, mut offset) = (cid, cid, offset);
        // How many bytes the node must have, as the one above it claims.
        let mut claimed = None;
        for _ in 0..MAX_FILE_DEPTH {
            let malformed = |reason: &str| Error::Malformed {
                cid,
                reason: reason.to_owned(),
            };
            let Fetched::File(file) = self.node(cid).await? else {
                return Err(malformed("not a file, nor part of one"));
            };
            if claimed.is_some_and(|claimed| claimed != file.file_bytes) {
                return Err(malformed("not as long as the node above it claims"));
            }
            file.check_lengths(&cid)?;
            if offset < file.own_bytes() || file.parts.is_empty() {
                return Ok(copy(&file.bytes, offset, into));
            }
            offset -= file.own_bytes();
            let mut next = None;
            for (part, length) in file.parts.iter().zip(&file.part_bytes) {
                if offset < *length {
                    next = Some((*part, *length));
                    break;
                }
                offset -= length;
            }
            let Some((part, length)) = next else {
                return Ok(0);
            };
            (cid, claimed) = (part, Some(length));
        }
        Err(Error::TooLarge {
            cid: root,
            limit: format!("nested more than {MAX_FILE_DEPTH} levels deep"),
        })
    }
}

fn copy(bytes: &[u8], offset: u64, into: &mut [u8]) -> usize {
    let offset = usize::try_from(offset).unwrap_or(usize::MAX);
    let rest = bytes.get(offset..).unwrap_or_default();
    let length = rest.len().min(into.len());
    let (into, _) = into.split_at_mut(length);
    into.copy_from_slice(rest.get(..length).unwrap_or_default());
    length
}
