//! Blocks that are stored together, in one write.

use mc_content::{Block, BlockSink, Error};
use std::sync::{Mutex, PoisonError};

/// Bytes that are held back; more are stored at once.
const MAX_BYTES: usize = 4 << 20;

/// Holds small blocks back until the last of them is there.
#[derive(Debug)]
pub struct Deferred<S> {
    sink: S,
    waiting: Mutex<Vec<Block>>,
}

impl<S: BlockSink> Deferred<S> {
    /// Nothing yet, on its way to `sink`.
    #[must_use]
    pub const fn new(sink: S) -> Self {
        Self {
            sink,
            waiting: Mutex::new(Vec::new()),
        }
    }

    fn take(&self, more: Vec<Block>, unless_below: usize) -> Vec<Block> {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        waiting.extend(more);
        let bytes: usize = waiting.iter().map(|block| block.bytes().len()).sum();
        if bytes < unless_below {
            return Vec::new();
        }
        std::mem::take(&mut *waiting)
    }

    /// Stores the blocks held back, and `last`; durable on return.
    ///
    /// # Errors
    ///
    /// The sink's.
    pub async fn finish(&self, last: Block) -> Result<(), Error> {
        let all = self.take(vec![last], 0);
        self.sink.put_many(all).await
    }

    /// Stores the blocks held back, if any; durable on return.
    ///
    /// # Errors
    ///
    /// The sink's.
    pub async fn flush(&self) -> Result<(), Error> {
        let all = self.take(Vec::new(), 0);
        if all.is_empty() {
            return Ok(());
        }
        self.sink.put_many(all).await
    }
}

impl<S: BlockSink> BlockSink for Deferred<S> {
    async fn put_many(&self, blocks: Vec<Block>) -> Result<(), Error> {
        let due = self.take(blocks, MAX_BYTES);
        if due.is_empty() {
            return Ok(());
        }
        self.sink.put_many(due).await
    }
}
