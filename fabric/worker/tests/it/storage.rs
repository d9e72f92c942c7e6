//! Content in memory, a DHT that keeps a list, and a node to which no key is sealed.

use async_trait::async_trait;
use bytes::Bytes;
use mc_content::{Block, BlockSink, BlockSource, Error, MemoryBlocks, TaskKey};
use mc_types::{Cid, Completion, Envelope, FencingToken, JobId, KeyId, Lease, NodeId};
use mc_worker::{Completions, Content, Keys, Source};
use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

/// Blocks in memory, and pins.
#[derive(Debug, Default)]
pub(crate) struct Blocks {
    memory: Arc<MemoryBlocks>,
    pins: Mutex<BTreeMap<String, Cid>>,
    /// What each DAG is said to take.
    pub(crate) dag_bytes: AtomicU64,
}

impl Blocks {
    /// The names of all pins.
    pub(crate) fn pins(&self) -> Vec<String> {
        self.pins.lock().unwrap().keys().cloned().collect()
    }
}

#[async_trait]
impl Content for Blocks {
    fn source(&self, _: Vec<NodeId>) -> Box<dyn Source> {
        Box::new(Stored(Arc::clone(&self.memory)))
    }

    async fn put(&self, blocks: Vec<Block>) -> Result<(), Error> {
        self.memory.put_many(blocks).await
    }

    async fn fetch_within(&self, _: Cid, _: Vec<NodeId>, _: Duration, _: u64) -> Result<(), Error> {
        Ok(())
    }

    async fn pin(&self, name: &str, root: Cid) -> Result<(), Error> {
        self.pins.lock().unwrap().insert(name.to_owned(), root);
        Ok(())
    }

    async fn unpin(&self, name: &str) -> Result<(), Error> {
        self.pins.lock().unwrap().remove(name);
        Ok(())
    }

    async fn stored_bytes(&self, _: Cid) -> Result<u64, Error> {
        Ok(self.dag_bytes.load(Ordering::Relaxed))
    }
}

#[derive(Debug)]
struct Stored(Arc<MemoryBlocks>);

#[async_trait]
impl Source for Stored {
    async fn block(&self, cid: &Cid) -> Result<Bytes, Error> {
        self.0.load(cid).await
    }
}

/// The jobs whose completions were published, once for each time.
#[derive(Debug, Default)]
pub(crate) struct Published(Mutex<Vec<JobId>>);

impl Published {
    pub(crate) fn jobs(&self) -> Vec<JobId> {
        self.0.lock().unwrap().clone()
    }
}

#[async_trait]
impl Completions for Published {
    async fn publish(
        &self,
        job: JobId,
        _: (FencingToken, Vec<u8>),
        _: &Completion,
    ) -> Result<(), mc_worker::Error> {
        self.0.lock().unwrap().push(job);
        Ok(())
    }
}

/// Opens nothing.
#[derive(Debug)]
pub(crate) struct NoKeys;

impl Keys for NoKeys {
    fn open(&self, _: &Envelope, _: &Lease, _: KeyId) -> Option<TaskKey> {
        None
    }
}
