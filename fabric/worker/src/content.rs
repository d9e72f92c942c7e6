//! What a worker needs of the content of its node.

use async_trait::async_trait;
use bytes::Bytes;
use mc_content::{Block, BlockSink, Error};
use mc_types::{Cid, NodeId};
use std::{sync::Arc, time::Duration};

/// The content of this node, and the way to that of others.
///
/// # Errors
///
/// Each method that stores or looks gives the errors of the store.
#[async_trait]
pub trait Content: std::fmt::Debug + Send + Sync {
    /// Blocks that are read from the store, or else fetched, first from `providers`.
    fn source(&self, providers: Vec<NodeId>) -> Box<dyn Source>;

    /// Stores blocks that were made here; durable on return.
    async fn put(&self, blocks: Vec<Block>) -> Result<(), Error>;

    /// Makes all that is below `root` this node's own, first from `providers`, as long as no more than `budget` bytes have
    /// to be fetched for it. A provider that is silent for as long as `patience` is given up.
    ///
    /// # Errors
    ///
    /// [`Error::TooLarge`] beyond the budget, [`Error::NotFound`] when nobody who can be reached has a block.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future keeps what has come so far.
    async fn fetch_within(
        &self,
        root: Cid,
        providers: Vec<NodeId>,
        patience: Duration,
        budget: u64,
    ) -> Result<(), Error>;

    /// Keeps all that is below `root` until the pin `name` is removed.
    async fn pin(&self, name: &str, root: Cid) -> Result<(), Error>;

    /// Removes a pin, if there is one.
    async fn unpin(&self, name: &str) -> Result<(), Error>;

    /// How many bytes below `root` the store has.
    async fn stored_bytes(&self, root: Cid) -> Result<u64, Error>;
}

/// The blocks of one attempt.
#[async_trait]
pub trait Source: std::fmt::Debug + Send + Sync {
    /// The bytes of a block, which are verified.
    ///
    /// # Errors
    ///
    /// [`Error::NotFound`] when it cannot be had.
    async fn block(&self, cid: &Cid) -> Result<Bytes, Error>;
}

/// Stores what is made of an attempt's streams.
#[derive(Debug)]
pub(crate) struct Sink(pub(crate) Arc<dyn Content>);

impl BlockSink for Sink {
    async fn put_many(&self, blocks: Vec<Block>) -> Result<(), Error> {
        self.0.put(blocks).await
    }
}
