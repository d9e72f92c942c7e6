//! One commit.

use super::operation::{Reply, send};
use crate::{
    Error,
    store::{
        engine::{Engine, SMALL, io, storage},
        packs::{BlockPlace, Extents},
    },
};
use bytes::Bytes;
use fjall::PersistMode;
use std::{
    collections::{BTreeSet, HashSet},
    sync::atomic::Ordering,
};
use tokio::sync::oneshot;

/// The answer that a caller gets once the commit is durable.
type Owed = Box<dyn FnOnce(Result<(), Error>)>;

/// A commit in the making.
pub(super) struct Group {
    pub(super) batch: fjall::OwnedWriteBatch,
    pub(super) bytes: usize,
    /// What is to be written to packs before the batch.
    pub(super) writes: Vec<(BlockPlace, Bytes)>,
    /// Keys of blocks that this commit adds.
    pub(super) fresh: HashSet<Vec<u8>>,
    /// Blocks that are spared from now on.
    pub(super) spared: HashSet<Vec<u8>>,
    /// Packs whose extent changes.
    pub(super) changed: BTreeSet<u32>,
    /// Disk space that becomes free, and packs that become useless, once the batch is committed.
    pub(super) freed: Vec<BlockPlace>,
    pub(super) emptied: Vec<u32>,
    pub(super) added_bytes: u64,
    pub(super) removed_bytes: u64,
    /// Of small blocks: what this commit adds, and what it removes.
    pub(super) small_change: i64,
    /// Whether somebody is told that it is durable.
    pub(super) is_promised: bool,
    pub(super) owed: Vec<Owed>,
    pub(super) closing: Option<oneshot::Sender<()>>,
}

impl Group {
    pub(super) fn new(engine: &Engine) -> Self {
        Self {
            batch: engine.database.batch(),
            bytes: 0,
            writes: Vec::new(),
            fresh: HashSet::new(),
            spared: HashSet::new(),
            changed: BTreeSet::new(),
            freed: Vec::new(),
            emptied: Vec::new(),
            added_bytes: 0,
            removed_bytes: 0,
            small_change: 0,
            is_promised: false,
            owed: Vec::new(),
            closing: None,
        }
    }

    pub(super) fn owe<T: 'static>(&mut self, reply: Reply<T>, value: T) {
        self.owed
            .push(Box::new(move |done| send(reply, done.map(|()| value))));
    }

    /// Makes all operations durable that promise it, and only then answers. False if none was done.
    pub(super) fn commit(mut self, engine: &Engine, extents: &Extents) -> bool {
        let owed = std::mem::take(&mut self.owed);
        let failure = self.write(engine, extents).err();
        for owed in owed {
            // Errors cannot be cloned; each caller gets one of the same kind.
            let result = match &failure {
                None => Ok(()),
                Some(Error::DiskFull) => Err(Error::DiskFull),
                Some(error) => Err(Error::Storage(error.to_string())),
            };
            owed(result);
        }
        failure.is_none()
    }

    /// The blocks first, so that no place points to missing bytes.
    fn write(mut self, engine: &Engine, extents: &Extents) -> Result<(), Error> {
        engine.packs.write(&self.writes).map_err(io)?;
        for pack in &self.changed {
            let number = pack.to_be_bytes();
            match extents.by_pack.get(pack) {
                Some(extent) => self
                    .batch
                    .insert(&engine.extents, number, extent.to_bytes()),
                None => self.batch.remove(&engine.extents, number),
            }
        }
        if self.small_change != 0 {
            let small = engine.extents.get(SMALL).map_err(storage)?;
            let small =
                small.and_then(|bytes| Some(u64::from_be_bytes(bytes[..].try_into().ok()?)));
            let small = small.unwrap_or(0).saturating_add_signed(self.small_change);
            self.batch
                .insert(&engine.extents, SMALL, small.to_be_bytes());
        }
        // The bytes of packs are on disk already: a place must not reach the disk before its pack.
        let mode = match self.is_promised {
            true => PersistMode::SyncAll,
            false => PersistMode::Buffer,
        };
        let batch = self.batch.durability(Some(mode));
        batch.commit().map_err(storage)?;
        engine.bytes.fetch_add(self.added_bytes, Ordering::Relaxed);
        engine
            .bytes
            .fetch_sub(self.removed_bytes, Ordering::Relaxed);
        self.freed
            .iter()
            .for_each(|place| engine.packs.free(*place));
        self.emptied
            .iter()
            .for_each(|pack| engine.packs.remove(*pack));
        Ok(())
    }
}
