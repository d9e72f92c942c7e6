//! Blocks that are stored together, in one write.

use super::Content;
use mc_content::{Block, BlockSink, Error};
use std::sync::{Mutex, PoisonError};

/// Bytes that are held back; more are stored at once.
const MAX_BYTES: usize = 4 << 20;

/// Holds small blocks back until the last of them is there.
#[derive(Debug)]
pub(crate) struct Deferred {
    content: Content,
    waiting: Mutex<Vec<Block>>,
}

impl Deferred {
    /// Nothing yet, for the store of `content`.
    #[must_use]
    pub(crate) const fn new(content: Content) -> Self {
        Self {
            content,
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

    /// Stores what was held back, and `last`; durable on return.
    ///
    /// # Errors
    ///
    /// The store's.
    pub(crate) async fn finish(&self, last: Block) -> Result<(), Error> {
        let all = self.take(vec![last], 0);
        self.content.put(all).await
    }
}

impl Deferred {
    /// Stores what was held back, if anything was; durable on return.
    ///
    /// # Errors
    ///
    /// The store's.
    pub(crate) async fn flush(&self) -> Result<(), Error> {
        let all = self.take(Vec::new(), 0);
        if all.is_empty() {
            return Ok(());
        }
        self.content.put(all).await
    }
}

impl BlockSink for Deferred {
    async fn put_many(&self, blocks: Vec<Block>) -> Result<(), Error> {
        let due = self.take(blocks, MAX_BYTES);
        if due.is_empty() {
            return Ok(());
        }
        self.content.put(due).await
    }
}
