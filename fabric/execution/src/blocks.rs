//! Where an attempt gets blocks, and where it puts new ones.

use async_trait::async_trait;
use bytes::Bytes;
use mc_content::{Block, BlockSink, BlockSource, Error, MemoryBlocks};
use mc_types::{Cid, Limits};

/// The blocks of one attempt. A worker gets them from its store and from peers, a command from memory and from a node.
/// Content is read by [`BlockSource`] and added by [`BlockSink`], which this implies.
#[async_trait]
pub trait Blocks: std::fmt::Debug + Send + Sync {
    /// The bytes of a block, which are verified.
    ///
    /// # Errors
    ///
    /// [`Error::NotFound`] when it cannot be had.
    async fn block(&self, cid: &Cid) -> Result<Bytes, Error>;

    /// Stores blocks; on return, they are stored.
    ///
    /// # Errors
    ///
    /// Whatever keeps them from being taken.
    async fn put(&self, blocks: Vec<Block>) -> Result<(), Error>;

    /// Makes all blocks of a checkpoint readable, unless it is larger than a task with these limits can have left.
    ///
    /// # Errors
    ///
    /// As [`Self::block`], and [`Error::TooLarge`].
    async fn fetch_checkpoint(&self, root: Cid, limits: &Limits) -> Result<(), Error>;
}

impl BlockSource for dyn Blocks + '_ {
    async fn load(&self, cid: &Cid) -> Result<Bytes, Error> {
        self.block(cid).await
    }
}

impl BlockSink for dyn Blocks + '_ {
    async fn put_many(&self, blocks: Vec<Block>) -> Result<(), Error> {
        self.put(blocks).await
    }
}

#[async_trait]
impl Blocks for MemoryBlocks {
    async fn block(&self, cid: &Cid) -> Result<Bytes, Error> {
        BlockSource::load(self, cid).await
    }

    async fn put(&self, blocks: Vec<Block>) -> Result<(), Error> {
        BlockSink::put_many(self, blocks).await
    }

    async fn fetch_checkpoint(&self, _: Cid, _: &Limits) -> Result<(), Error> {
        Ok(())
    }
}
