//! The blocks of an attempt: from the store of this node, or else from its coordinators and other peers.

use crate::{Content, Source, accepted::Accepted, coordinators::Coordinators};
use async_trait::async_trait;
use bytes::Bytes;
use mc_content::{Block, Error};
use mc_execution::Blocks;
use mc_protocol::budget;
use mc_types::{Cid, Limits};
use std::{sync::Arc, time::Duration};

/// How long to wait for the blocks of a checkpoint before an older one is tried.
const FETCH_CHECKPOINT: Duration = Duration::from_secs(10);

/// The blocks of an attempt.
#[derive(Debug)]
pub(crate) struct AttemptBlocks {
    content: Arc<dyn Content>,
    source: Box<dyn Source>,
    coordinators: Coordinators,
}

impl AttemptBlocks {
    pub(crate) fn new(content: &Arc<dyn Content>, attempt: &Accepted) -> Self {
        let coordinators = attempt.coordinators.clone();
        Self {
            content: Arc::clone(content),
            source: content.source(coordinators.all()),
            coordinators,
        }
    }
}

#[async_trait]
impl Blocks for AttemptBlocks {
    async fn block(&self, cid: &Cid) -> Result<Bytes, Error> {
        self.source.block(cid).await
    }

    async fn put(&self, blocks: Vec<Block>) -> Result<(), Error> {
        self.content.put(blocks).await
    }

    async fn fetch_checkpoint(&self, root: Cid, limits: &Limits) -> Result<(), Error> {
        let (providers, budget) = (self.coordinators.all(), budget::of_checkpoint(limits));
        self.content
            .fetch_within(root, providers, FETCH_CHECKPOINT, budget)
            .await
    }
}
