//! The blocks of an attempt: from this node's store, and from the holders of its inputs.

use super::{attempt::Attempt, coordinators::Coordinators};
use crate::content::{Content, Source};
use async_trait::async_trait;
use bytes::Bytes;
use mc_content::{Block, BlockSource, Error};
use mc_execution::Blocks;
use mc_protocol::budget;
use mc_types::{Cid, Limits};
use std::time::Duration;

/// How long to wait for the blocks of a checkpoint before trying an older one.
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
