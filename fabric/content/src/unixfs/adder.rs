//! Adding a tree piece by piece.

mod directory;
mod file;
mod options;

pub use file::FileInProgress;
pub use options::{AddOptions, Skipped, Symlinks};
pub(super) use options::{NAME_NOT_UTF8, NO_FILE, TARGET_NOT_UTF8};

use crate::{Block, BlockSink, Error, MAX_BLOCK_BYTES, dagpb::Node};
use mc_types::{Cid, cid};

/// Blocks that are handed to the sink at a time, in bytes.
const BATCH_BYTES: usize = 8 << 20;
/// And in number.
const BATCH_BLOCKS: usize = 4096;

/// What was added.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Added {
    /// The root.
    pub cid: Cid,
    /// Bytes of all blocks of the DAG, as links count them.
    pub total_bytes: u64,
    /// Bytes of the files.
    pub file_bytes: u64,
}

/// Adds a tree piece by piece, from the leaves upwards: for trees that are not on disk.
pub struct Adder<'a, S> {
    sink: &'a S,
    pub(super) options: AddOptions,
    /// Blocks on their way to the sink.
    blocks: Vec<Block>,
    bytes: usize,
}

impl<S> std::fmt::Debug for Adder<'_, S> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Adder").finish_non_exhaustive()
    }
}

impl<'a, S: BlockSink> Adder<'a, S> {
    /// An adder that hands blocks to `sink`.
    #[must_use]
    pub fn new(sink: &'a S, options: &AddOptions) -> Self {
        Self {
            sink,
            options: options.clone(),
            blocks: Vec::new(),
            bytes: 0,
        }
    }

    async fn push(&mut self, block: Block) -> Result<(), Error> {
        self.bytes += block.bytes().len();
        self.blocks.push(block);
        if self.bytes >= BATCH_BYTES || self.blocks.len() >= BATCH_BLOCKS {
            self.flush().await
        } else {
            Ok(())
        }
    }

    /// Hands over the remaining blocks. The tree is complete only after this.
    ///
    /// # Errors
    ///
    /// The sink's.
    pub async fn flush(&mut self) -> Result<(), Error> {
        self.bytes = 0;
        let blocks = std::mem::take(&mut self.blocks);
        if blocks.is_empty() {
            Ok(())
        } else {
            self.sink.put_many(blocks).await
        }
    }

    /// Adds a node; returns its CID and the bytes of the DAG below it, its own included.
    async fn node(&mut self, node: &Node) -> Result<(Cid, u64), Error> {
        let bytes = node.to_bytes();
        if bytes.len() > MAX_BLOCK_BYTES {
            return Err(Error::BlockTooLarge { bytes: bytes.len() });
        }
        let own = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
        let below = node.links.iter().filter_map(|link| link.total_bytes);
        let total = below.fold(own, u64::saturating_add);
        let mut cid = cid::of(cid::DAG_PB, &bytes);
        if self.options.cid_version == cid::Version::V0 {
            // Every sha2-256 of a dag-pb node has one.
            cid = Cid::new_v0(*cid.hash()).unwrap_or(cid);
        }
        self.push(Block::hashed(cid, bytes)).await?;
        Ok((cid, total))
    }
}
