//! Content, as the coordinator sees it.

use crate::content::Content;
use async_trait::async_trait;
use mc_content::{Block, Error};
use mc_coordinator::{ContentError, ContentStore, Failure};
use mc_types::{Cid, NodeId, cid};
use std::collections::HashSet;

fn failed(error: Error) -> ContentError {
    let is_too_large = matches!(error, Error::TooLarge { .. });
    let failure = Failure::new(error.code(), error);
    match is_too_large {
        true => ContentError::TooLarge(failure),
        false => ContentError::Failed(failure),
    }
}

#[async_trait]
impl ContentStore for Content {
    async fn put_pinned(&self, name: &str, root: Cid, block: Vec<u8>) -> Result<(), ContentError> {
        let block = Block::encode(cid::DAG_CBOR, block).map_err(failed)?;
        let put = Self::put_pinned(self, vec![block], name, root);
        put.await.map_err(failed)
    }

    async fn pin(&self, name: &str, root: Cid) -> Result<(), ContentError> {
        self.store().pin(name, root).await.map_err(failed)
    }

    async fn unpin(&self, name: &str) -> Result<(), ContentError> {
        let unpinned = self.store().unpin(name).await;
        unpinned.map(drop).map_err(failed)
    }

    async fn pins(&self) -> Result<Vec<(String, Cid)>, ContentError> {
        self.store().pins().await.map_err(failed)
    }

    async fn fetch(
        &self,
        root: Cid,
        providers: Vec<NodeId>,
        budget: &mut u64,
    ) -> Result<(), ContentError> {
        let fetched = self.fetch_within(root, providers, None, budget).await;
        fetched.map_err(failed)
    }

    async fn fetch_beyond(
        &self,
        root: Cid,
        providers: Vec<NodeId>,
        complete: &mut HashSet<Cid>,
        budget: &mut u64,
    ) -> Result<(), ContentError> {
        let fetched = Self::fetch_beyond(self, root, providers, complete, budget).await;
        fetched.map_err(failed)
    }

    async fn bytes_below(&self, root: Cid, providers: Vec<NodeId>) -> Result<u64, ContentError> {
        let walked = Self::bytes_below(self, root, providers).await;
        walked.map_err(failed)
    }
}
