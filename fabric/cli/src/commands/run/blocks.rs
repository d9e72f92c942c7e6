//! The blocks of a run: those that are in memory, and those that a node has or can find.

use crate::client::RemoteBlocks;
use async_trait::async_trait;
use bytes::Bytes;
use mc_content::{Block, BlockSink, BlockSource, Error, MemoryBlocks, unixfs};
use mc_execution::{Blocks, wasm::MAX_COMPONENT_BYTES};
use mc_types::{Cid, Limits};
use std::sync::Arc;

/// The blocks of a run.
#[derive(Debug, Default)]
pub(super) struct RunBlocks {
    /// Those of the checkpoint from which it goes on.
    pub(super) had: Option<Arc<MemoryBlocks>>,
    /// Those of the checkpoint that it leaves.
    pub(super) made: MemoryBlocks,
    /// Those of its inputs that are no files of this machine.
    pub(super) remote: Option<RemoteBlocks>,
}

#[async_trait]
impl Blocks for RunBlocks {
    async fn block(&self, cid: &Cid) -> Result<Bytes, Error> {
        if let Ok(bytes) = self.had.load(cid).await {
            return Ok(bytes);
        }
        if let Ok(bytes) = self.made.load(cid).await {
            return Ok(bytes);
        }
        self.remote.load(cid).await
    }

    async fn put(&self, blocks: Vec<Block>) -> Result<(), Error> {
        self.made.put_many(blocks).await
    }

    async fn fetch_checkpoint(&self, _: Cid, _: &Limits) -> Result<(), Error> {
        // Its file has all blocks, or else reading a missing one fails.
        Ok(())
    }
}

/// Gets all blocks of a component, and its length in bytes.
pub(super) async fn of_component(
    remote: &RemoteBlocks,
    cid: Cid,
) -> Result<(MemoryBlocks, usize), Error> {
    let kept = Kept {
        remote,
        memory: MemoryBlocks::default(),
    };
    let bytes = unixfs::read_to_vec(&kept, cid, MAX_COMPONENT_BYTES).await?;
    Ok((kept.memory, bytes.len()))
}

/// Keeps what is read.
struct Kept<'r> {
    remote: &'r RemoteBlocks,
    memory: MemoryBlocks,
}

impl BlockSource for Kept<'_> {
    async fn load(&self, cid: &Cid) -> Result<Bytes, Error> {
        let bytes = self.remote.load(cid).await?;
        let block = Block::new(*cid, bytes.clone())?;
        self.memory.put_many(vec![block]).await?;
        Ok(bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use mc_types::cid::RAW;

    #[tokio::test]
    async fn a_checkpoint_that_is_left_has_no_blocks_of_the_one_before() {
        let block = |text: &'static str| Block::encode(RAW, text).unwrap();
        let (old, new) = (block("old"), block("new"));
        let had = MemoryBlocks::default();
        had.put_many(vec![old.clone()]).await.unwrap();
        let blocks = RunBlocks {
            had: Some(Arc::new(had)),
            ..RunBlocks::default()
        };
        blocks.put(vec![new.clone()]).await.unwrap();
        for block in [&old, &new] {
            assert_eq!(&blocks.block(block.cid()).await.unwrap(), block.bytes());
        }
        assert_eq!(blocks.made.take(), [new]);
        let lacking = blocks.block(block("lacking").cid()).await;
        assert!(matches!(lacking, Err(Error::NotFound { .. })));
    }
}
