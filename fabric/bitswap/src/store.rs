//! Where the blocks that peers ask for are looked up.

use bytes::Bytes;
use futures::future::BoxFuture;
use mc_types::Cid;
use std::fmt::Debug;

/// The store could not be read. Peers are told that the block is not here.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct StoreError(pub String);

/// A source of blocks.
pub trait BlockStore: Debug + Send + Sync + 'static {
    /// The bytes of a block, if it is here.
    fn get(&self, cid: Cid) -> BoxFuture<'static, Result<Option<Bytes>, StoreError>>;

    /// Whether a block is here.
    fn has(&self, cid: Cid) -> BoxFuture<'static, Result<bool, StoreError>>;
}

/// The store of a peer without blocks.
#[derive(Debug, Clone, Copy)]
pub struct NoBlocks;

impl BlockStore for NoBlocks {
    fn get(&self, _: Cid) -> BoxFuture<'static, Result<Option<Bytes>, StoreError>> {
        Box::pin(async { Ok(None) })
    }

    fn has(&self, _: Cid) -> BoxFuture<'static, Result<bool, StoreError>> {
        Box::pin(async { Ok(false) })
    }
}
