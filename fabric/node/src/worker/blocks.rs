//! The blocks of an attempt: of this node's store, and of those who have what it was given.

use super::{attempt::Attempt, coordinators::Coordinators};
use crate::content::{Content, Source};
use async_trait::async_trait;
use bytes::Bytes;
use mc_content::{Block, BlockSource, Error};
use mc_execution::Blocks;
use mc_protocol::budget;
use mc_types::{Cid, Limits};
use std::time::Duration;

/// How long the blocks of a checkpoint are waited for before an older one is tried.
const FETCH_CHECKPOINT: Duration = Duration::from_secs(10);

/// The blocks of an attempt.
#[derive(Debug)]
pub(super) struct AttemptBlocks {
    content: Content,
    source: Source,
    coordinators: Coordinators,
}

impl AttemptBlocks {
    pub(super) fn new(content: &Content, attempt: &Attempt) -> Self {
        let coordinators = attempt.coordinators.clone();
        Self {
            content: content.clone(),
            source: content.source(coordinators.all(), None),
            coordinators,
        }
    }
}

#[async_trait]
impl Blocks for AttemptBlocks {
    async fn block(&self, cid: &Cid) -> Result<Bytes, Error> {
        self.source.load(cid).await
    }

    async fn put(&self, blocks: Vec<Block>) -> Result<(), Error> {
        self.content.put(blocks).await
    }

    async fn fetch_checkpoint(&self, root: Cid, limits: &Limits) -> Result<(), Error> {
        let (providers, mut budget) = (self.coordinators.all(), budget::of_checkpoint(limits));
        let patience = Some(FETCH_CHECKPOINT);
        self.content
            .fetch_within(root, providers, patience, &mut budget)
            .await
    }
}
