//! One node of a file or directory, understood.

use super::{
    entity::{Lock, Part},
    hamt::{self, Shard},
    name,
};
use crate::{
    BlockSource, Error,
    dagpb::{DIRECTORY, FILE, HAMT_SHARD, Node, RAW, SYMLINK, UnixFs},
    seal::{self, Key, SealContext},
};
use bytes::Bytes;
use mc_types::{Cid, cid};
use std::collections::HashSet;

/// A node that was fetched and understood.
#[derive(Debug, Clone)]
pub(super) enum Fetched {
    File(File),
    /// A directory in one block.
    Directory {
        /// Name and CID of each entry.
        entries: Vec<(String, Cid)>,
        mode: Option<u32>,
        key: Option<Key>,
    },
    /// The first shard of a directory.
    Shard {
        shard: Shard,
        mode: Option<u32>,
    },
    /// Where the link points.
    Symlink(String),
}

/// A file, or a part of one.
#[derive(Debug, Clone)]
pub(super) struct File {
    /// Bytes that stand in the node itself, before those of the parts.
    pub(super) bytes: Bytes,
    pub(super) parts: Vec<Cid>,
    /// Bytes of each part, as far as the node claims them.
    pub(super) part_bytes: Vec<u64>,
    pub(super) file_bytes: u64,
    pub(super) mode: Option<u32>,
    /// For an encrypted file: how it opens, and how many chunks each part has.
    opened: Option<(Lock, Vec<u64>)>,
}

impl File {
    /// One of its parts.
    pub(super) fn part(&self, index: usize) -> Option<Part> {
        let cid = *self.parts.get(index)?;
        let lock = self.opened.as_ref().map(|(lock, chunks)| Lock {
            key: lock.key.clone(),
            first: chunks
                .iter()
                .take(index)
                .fold(lock.first, |sum, chunks| sum.saturating_add(*chunks)),
            is_last: lock.is_last && index + 1 == self.parts.len(),
        });
        Some(Part { cid, lock })
    }

    /// Bytes that stand in the node itself.
    pub(super) fn own_bytes(&self) -> u64 {
        u64::try_from(self.bytes.len()).unwrap_or(u64::MAX)
    }

    /// Whether it says of each part how long it is.
    pub(super) const fn tells_lengths(&self) -> bool {
        self.parts.len() == self.part_bytes.len()
    }

    /// Whether its lengths agree, so that they locate a position in the file.
    pub(super) fn check_lengths(&self, cid: &Cid) -> Result<(), Error> {
        let malformed = |reason: &str| Error::Malformed {
            cid: *cid,
            reason: reason.to_owned(),
        };
        if !self.tells_lengths() {
            return Err(malformed("it does not tell the lengths of its parts"));
        }
        let add = |sum: u64, part: &u64| sum.saturating_add(*part);
        if self.part_bytes.iter().fold(self.own_bytes(), add) != self.file_bytes {
            return Err(malformed("its parts are not as long as it claims to be"));
        }
        Ok(())
    }

    /// Opens a file that is encrypted: its bytes if it is a leaf, or else the lengths of its parts.
    fn open(mut self, cid: &Cid, lock: &Lock) -> Result<Self, Error> {
        let malformed = |reason: &str| Error::Malformed {
            cid: *cid,
            reason: reason.to_owned(),
        };
        if self.parts.is_empty() {
            let place = SealContext::Chunk {
                index: lock.first,
                is_last: lock.is_last,
            };
            let opened = lock.key.cipher().open(place, &self.bytes);
            self.bytes = opened.map_err(|source| sealed(cid, source))?.into();
            self.file_bytes = self.own_bytes();
            return Ok(self);
        }
        if !self.bytes.is_empty() {
            return Err(malformed(
                "bytes beside parts, which an encrypted file has not",
            ));
        }
        self.check_lengths(cid)?;
        let mut chunks = Vec::with_capacity(self.parts.len());
        let last = self.parts.len() - 1;
        for (index, bytes) in self.part_bytes.iter_mut().enumerate() {
            let ends = lock.is_last && index == last;
            if !ends && !bytes.is_multiple_of(seal::SEALED_CHUNK_BYTES as u64) {
                return Err(malformed("a part that does not end with a whole chunk"));
            }
            chunks.push(seal::chunks(*bytes));
            *bytes = seal::plain_bytes(*bytes)
                .ok_or_else(|| malformed("a part that is shorter than any chunk"))?;
        }
        self.file_bytes = self.part_bytes.iter().copied().fold(0, u64::saturating_add);
        self.opened = Some((lock.clone(), chunks));
        Ok(self)
    }
}

const fn sealed(cid: &Cid, source: seal::DoesNotOpen) -> Error {
    Error::Sealed { cid: *cid, source }
}

/// Fetches and understands a node.
pub(super) async fn fetch<S: BlockSource>(source: &S, part: &Part) -> Result<Fetched, Error> {
    let cid = part.cid;
    let bytes = source.get(&cid).await?;
    let opened = |file: File| match &part.lock {
        None => Ok(Fetched::File(file)),
        Some(lock) => file.open(&cid, lock).map(Fetched::File),
    };
    if cid.codec() == cid::RAW {
        let file_bytes = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
        return opened(File {
            bytes,
            parts: Vec::new(),
            part_bytes: Vec::new(),
            file_bytes,
            mode: None,
            opened: None,
        });
    }
    let (node, unixfs) = parse(&cid, &bytes)?;
    let malformed = |reason: &str| Error::Malformed {
        cid,
        reason: reason.to_owned(),
    };
    match unixfs.kind {
        FILE | RAW => opened(file(cid, &node, unixfs)?),
        DIRECTORY => Ok(Fetched::Directory {
            entries: directory(cid, &node, part.key())?,
            mode: unixfs.mode,
            key: part.key().cloned(),
        }),
        SYMLINK => {
            let target = unixfs.data.unwrap_or_default();
            let target = match part.key() {
                None => target,
                Some(key) => {
                    let opened = key.cipher().open(SealContext::Target, &target);
                    opened.map_err(|source| sealed(&cid, source))?
                }
            };
            String::from_utf8(target)
                .map(Fetched::Symlink)
                .map_err(|_| malformed("a symbolic link that is not UTF-8"))
        }
        HAMT_SHARD => Ok(Fetched::Shard {
            shard: Shard::parse(&cid, &node, &unixfs, Err(part.key()))?,
            mode: unixfs.mode,
        }),
        _ => Err(malformed("an unknown kind of UnixFS node")),
    }
}

/// Fetches the shard that `above` has as its child `number`.
pub(super) async fn fetch_shard<S: BlockSource>(
    source: &S,
    cid: Cid,
    above: (&Shard, u64),
) -> Result<Shard, Error> {
    let bytes = source.get(&cid).await?;
    let (node, unixfs) = parse(&cid, &bytes)?;
    if unixfs.kind != HAMT_SHARD {
        let reason = "not a shard of a directory".to_owned();
        return Err(Error::Malformed { cid, reason });
    }
    hamt::Shard::parse(&cid, &node, &unixfs, Ok(above))
}

pub(super) fn parse(cid: &Cid, bytes: &[u8]) -> Result<(Node, UnixFs), Error> {
    if cid.codec() != cid::DAG_PB {
        return Err(Error::Malformed {
            cid: *cid,
            reason: "neither a file nor a directory".to_owned(),
        });
    }
    let node = Node::parse(cid, bytes)?;
    let unixfs = node.unixfs(cid)?;
    Ok((node, unixfs))
}

fn file(cid: Cid, node: &Node, unixfs: UnixFs) -> Result<File, Error> {
    let parts = node.links.iter().map(|link| link.cid(&cid));
    let parts = parts.collect::<Result<Vec<_>, _>>()?;
    let bytes: Bytes = unixfs.data.unwrap_or_default().into();
    let own = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
    let claimed = unixfs
        .block_bytes
        .iter()
        .fold(own, |sum, part| sum.saturating_add(*part));
    Ok(File {
        bytes,
        parts,
        file_bytes: unixfs.file_bytes.unwrap_or(claimed),
        part_bytes: unixfs.block_bytes,
        mode: unixfs.mode,
        opened: None,
    })
}

fn directory(cid: Cid, node: &Node, key: Option<&Key>) -> Result<Vec<(String, Cid)>, Error> {
    let mut names = HashSet::new();
    let mut entries = Vec::with_capacity(node.links.len());
    for link in &node.links {
        let name = name::opened(&cid, link.name.as_deref().unwrap_or_default(), key)?;
        if !names.insert(name.clone()) {
            let reason = format!("two entries are named {name:?}");
            return Err(Error::Malformed { cid, reason });
        }
        entries.push((name, link.cid(&cid)?));
    }
    Ok(entries)
}
