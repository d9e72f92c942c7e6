//! What a worker needs, as this node has it: content, the DHT (as the coordinator has it, too), and the key of the node.

use crate::{
    completion, content,
    coordination::{Dht, NodeKeys},
    private,
};
use async_trait::async_trait;
use bytes::Bytes;
use mc_content::{Block, BlockSource, Error, TaskKey};
use mc_types::{Cid, Completion, Envelope, FencingToken, JobId, KeyId, Lease, NodeId};
use mc_worker::{Completions, Content, Keys, Source};
use std::time::Duration;

#[async_trait]
impl Content for content::Content {
    fn source(&self, providers: Vec<NodeId>) -> Box<dyn Source> {
        Box::new(Self::source(self, providers, None))
    }

    async fn put(&self, blocks: Vec<Block>) -> Result<(), Error> {
        Self::put(self, blocks).await
    }

    async fn fetch_within(
        &self,
        root: Cid,
        providers: Vec<NodeId>,
        patience: Duration,
        budget: u64,
    ) -> Result<(), Error> {
        let mut budget = budget;
        Self::fetch_within(self, root, providers, Some(patience), &mut budget).await
    }

    async fn pin(&self, name: &str, root: Cid) -> Result<(), Error> {
        self.store().pin(name, root).await
    }

    async fn unpin(&self, name: &str) -> Result<(), Error> {
        self.store().unpin(name).await.map(drop)
    }

    async fn stored_bytes(&self, root: Cid) -> Result<u64, Error> {
        mc_content::stored_bytes(self.store(), root).await
    }
}

#[async_trait]
impl Source for content::Source {
    async fn block(&self, cid: &Cid) -> Result<Bytes, Error> {
        self.load(cid).await
    }
}

#[async_trait]
impl Completions for Dht {
    async fn publish(
        &self,
        job: JobId,
        lease: (FencingToken, Vec<u8>),
        completion: &Completion,
    ) -> Result<(), mc_worker::Error> {
        let published = completion::publish(&self.0, job, lease, completion).await;
        published.map_err(|refusal| mc_worker::Error::NotPublished {
            reason: refusal.to_string(),
        })
    }
}

impl Keys for NodeKeys {
    fn open(&self, envelope: &Envelope, lease: &Lease, id: KeyId) -> Option<TaskKey> {
        private::open_for_lease(&self.identity, envelope, lease, id)
    }
}
