//! Where blocks are: small ones in the tables of the engine, large ones in packs.

use super::packs::{BlockPlace, Extent, Extents, Packs};
use crate::{Error, error::is_disk_full};
use bytes::Bytes;
use fjall::{Database, Keyspace, KeyspaceCreateOptions};
use mc_types::Cid;
use std::{
    collections::BTreeMap,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

/// Bytes of blocks that the engine may hold in memory before it flushes.
const WRITE_BUFFER_BYTES: u64 = 8 << 20;
/// Bytes of the engine's journal before it is forced to flush.
const JOURNAL_BYTES: u64 = 64 << 20;
/// Bytes of the engine's cache.
const CACHE_BYTES: u64 = 16 << 20;
/// Blocks from this size on, in bytes, go to packs.
pub(super) const PACK_FROM_BYTES: usize = 4 << 10;
/// The key in `extents` under which the bytes of small blocks are counted.
pub(super) const SMALL: &[u8] = b"small";

/// What a block is stored under.
pub(super) fn key(cid: &Cid) -> Vec<u8> {
    cid.hash().to_bytes()
}

/// The engine and its keyspaces.
#[derive(Clone)]
pub(super) struct Engine {
    pub(super) database: Database,
    /// Multihash → bytes, of small blocks.
    pub(super) small: Keyspace,
    /// Multihash → [`BlockPlace`], of large ones.
    pub(super) places: Keyspace,
    /// Number of a pack → [`Extent`].
    pub(super) extents: Keyspace,
    /// Multihash → when it was stored or used last, milliseconds, 8 bytes big-endian.
    pub(super) written: Keyspace,
    /// Name → CID.
    pub(super) pins: Keyspace,
    pub(super) packs: Arc<Packs>,
    /// Bytes of all blocks.
    pub(super) bytes: Arc<AtomicU64>,
}

impl Engine {
    /// Opens the engine at `path`; returns it, and the place for the next blocks.
    pub(super) fn open(path: &Path) -> Result<(Self, Extents), Error> {
        let database = Database::builder(path.join("index"))
            .cache_size(CACHE_BYTES)
            .max_journaling_size(JOURNAL_BYTES)
            .open()
            .map_err(|error| match error {
                fjall::Error::Locked => Error::Locked {
                    path: path.to_owned(),
                },
                error => storage(error),
            })?;
        let keyspace = |name| {
            let options = || KeyspaceCreateOptions::default().max_memtable_size(WRITE_BUFFER_BYTES);
            database.keyspace(name, options).map_err(storage)
        };
        let extents = keyspace("extents")?;
        let (known, small_bytes) = read_extents(&extents)?;
        let live: u64 = known.values().map(|extent| extent.live).sum();
        let packs = Packs::open(path.join("packs"), &known).map_err(io)?;
        let engine = Self {
            small: keyspace("blocks")?,
            places: keyspace("places")?,
            extents,
            written: keyspace("written")?,
            pins: keyspace("pins")?,
            packs: Arc::new(packs),
            bytes: Arc::new(AtomicU64::new(live + small_bytes)),
            database,
        };
        Ok((engine, Extents { by_pack: known }))
    }

    /// The bytes of a block.
    pub(super) fn get(&self, key: &[u8]) -> Result<Found, Error> {
        loop {
            let Some(place) = self.place(key)? else {
                let small = self.small.get(key).map_err(storage)?;
                return Ok(small.map_or(Found::Nothing, |bytes| Found::Block(bytes.into())));
            };
            if let Some(bytes) = self.packs.read(place).map_err(io)? {
                return Ok(Found::Block(bytes));
            }
            // It may have been removed since its place was looked up.
            if self.place(key)? == Some(place) {
                return Ok(Found::Corrupt);
            }
        }
    }

    pub(super) fn place(&self, key: &[u8]) -> Result<Option<BlockPlace>, Error> {
        let place = self.places.get(key).map_err(storage)?;
        let parse = |bytes: &[u8]| {
            let malformed = || Error::Storage("a place of the index is malformed".to_owned());
            BlockPlace::parse(bytes).ok_or_else(malformed)
        };
        place.map(|bytes| parse(&bytes)).transpose()
    }

    pub(super) fn has(&self, key: &[u8]) -> Result<bool, Error> {
        Ok(self.places.contains_key(key).map_err(storage)?
            || self.small.contains_key(key).map_err(storage)?)
    }

    pub(super) fn size(&self, key: &[u8]) -> Result<Option<u64>, Error> {
        match self.place(key)? {
            Some(place) => Ok(Some(u64::from(place.length))),
            None => self.small_size(key),
        }
    }

    /// The length of a block that is in no pack.
    pub(super) fn small_size(&self, key: &[u8]) -> Result<Option<u64>, Error> {
        let size = self.small.size_of(key).map_err(storage)?;
        Ok(size.map(u64::from))
    }

    /// Bytes of all blocks.
    pub(super) fn total(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed)
    }
}

/// What was found under a key.
pub(super) enum Found {
    Block(Bytes),
    /// It is there, but its bytes are not what was written.
    Corrupt,
    Nothing,
}

fn read_extents(extents: &Keyspace) -> Result<(BTreeMap<u32, Extent>, u64), Error> {
    let malformed = || Error::Storage("the table of packs is malformed".to_owned());
    let (mut known, mut small) = (BTreeMap::new(), 0);
    for entry in extents.iter() {
        let (key, value) = entry.into_inner().map_err(storage)?;
        if &key[..] == SMALL {
            let bytes = value[..].try_into().map_err(|_| malformed())?;
            small = u64::from_be_bytes(bytes);
        } else {
            let number = key[..].try_into().map_err(|_| malformed())?;
            let extent = Extent::parse(&value).ok_or_else(malformed)?;
            known.insert(u32::from_be_bytes(number), extent);
        }
    }
    Ok((known, small))
}

pub(super) fn storage(error: fjall::Error) -> Error {
    let full = match &error {
        fjall::Error::Io(e) | fjall::Error::Storage(fjall::LsmError::Io(e)) => is_disk_full(e),
        _ => false,
    };
    match error {
        _ if full => Error::DiskFull,
        fjall::Error::Poisoned => {
            Error::Storage("an earlier write failed; restart the node to recover".to_owned())
        }
        error => Error::Storage(error.to_string()),
    }
}

pub(super) fn io(error: std::io::Error) -> Error {
    if is_disk_full(&error) {
        Error::DiskFull
    } else {
        Error::Storage(error.to_string())
    }
}
