//! Blocks that are kept in memory, or only counted.

use crate::{Block, BlockSink, BlockSource, Error};
use bytes::Bytes;
use mc_types::Cid;
use std::{
    collections::HashMap,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

/// A map of blocks, for small DAGs.
#[derive(Debug, Default)]
pub struct MemoryBlocks(Mutex<HashMap<Cid, Bytes>>);

impl MemoryBlocks {
    /// How many blocks there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// All blocks, in the order of their CIDs.
    #[must_use]
    pub fn into_blocks(self) -> Vec<Block> {
        self.take()
    }

    /// Takes all blocks, in the order of their CIDs: none is left.
    #[must_use]
    pub fn take(&self) -> Vec<Block> {
        let mut blocks = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let blocks = std::mem::take(&mut *blocks);
        let mut blocks: Vec<_> = blocks
            .into_iter()
            .map(|(cid, bytes)| Block::hashed(cid, bytes))
            .collect();
        blocks.sort_unstable_by_key(|block| *block.cid());
        blocks
    }

    /// Forgets a block.
    pub fn remove(&self, cid: &Cid) {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .remove(cid);
    }
}

impl BlockSource for MemoryBlocks {
    async fn load(&self, cid: &Cid) -> Result<Bytes, Error> {
        let blocks = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        blocks.get(cid).cloned().ok_or(Error::NotFound {
            cid: *cid,
            peers: None,
        })
    }
}

impl BlockSink for MemoryBlocks {
    async fn put_many(&self, blocks: Vec<Block>) -> Result<(), Error> {
        let mut map = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        map.extend(blocks.into_iter().map(Block::into_parts));
        Ok(())
    }
}

/// Keeps nothing: for learning the CID of something.
#[derive(Debug, Default)]
pub struct CountingSink {
    bytes: AtomicU64,
}

impl CountingSink {
    /// Bytes that went by.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed)
    }
}

impl BlockSink for CountingSink {
    async fn put_many(&self, blocks: Vec<Block>) -> Result<(), Error> {
        let bytes: usize = blocks.iter().map(|block| block.bytes().len()).sum();
        self.bytes
            .fetch_add(u64::try_from(bytes).unwrap_or(u64::MAX), Ordering::Relaxed);
        Ok(())
    }
}
