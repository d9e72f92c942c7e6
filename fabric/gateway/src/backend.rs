//! What the gateway needs from a node. `mc-node` implements it; the gateway knows nothing else.

use crate::metrics::Metric;
use async_trait::async_trait;
use bytes::Bytes;
use futures::{future::BoxFuture, stream::BoxStream};
use mc_api::{
    BlockStat, DhtPeers, DhtRecord, ErrorBody, FsckView, GcView, Imported, JobView, LayerView,
    LogQuery, NodeQuery, NodeView, PeerView, PinView,
};
use mc_content::{Block, BlockSource};
use mc_types::{CheckpointRecord, Cid, Digest, ErrorCode, JobId, JobSpec, JobState, NodeId, Why};
use std::{ops::RangeInclusive, sync::Arc, time::Duration};

/// Verified blocks on their way in.
pub type BlockStream = BoxStream<'static, Result<Block, Error>>;
/// Log bytes as they are written.
pub type LogBytes = BoxStream<'static, Result<Bytes, Error>>;

/// Why a call failed, in the words that the user will read.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{}: {}", .0.code, .0.message)]
pub struct Error(pub ErrorBody);

impl Error {
    /// An error with its code and its sentence.
    pub fn new(code: ErrorCode, message: impl Into<String>) -> Self {
        Self(ErrorBody::new(code, message))
    }

    /// This error with advice on what to do.
    #[must_use]
    pub fn with_hint(self, hint: impl Into<String>) -> Self {
        Self(self.0.with_hint(hint))
    }
}

impl From<ErrorBody> for Error {
    fn from(body: ErrorBody) -> Self {
        Self(body)
    }
}

/// From where content may come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reach {
    /// Only this node's store.
    Local,
    /// The store, then connected peers, then the DHT.
    Network {
        /// After this time without a block the search is given up; absent means the node's own
        /// patience.
        timeout: Option<Duration>,
    },
}

/// Where blocks come from, for as long as a request takes.
#[derive(Clone)]
pub struct Blocks(Arc<dyn Fn(Cid) -> BoxFuture<'static, Fetched> + Send + Sync>);

type Fetched = Result<Bytes, mc_content::Error>;

impl Blocks {
    /// Blocks of `source`.
    pub fn new(source: impl BlockSource + 'static) -> Self {
        let source = Arc::new(source);
        Self(Arc::new(move |cid| {
            let source = Arc::clone(&source);
            Box::pin(async move { source.load(&cid).await })
        }))
    }
}

impl std::fmt::Debug for Blocks {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Blocks").finish_non_exhaustive()
    }
}

impl BlockSource for Blocks {
    async fn load(&self, cid: &Cid) -> Fetched {
        (self.0)(*cid).await
    }
}

/// The node behind the gateway. The future of every method may be dropped: acknowledged work stays done, and other work
/// may be left undone.
#[async_trait]
pub trait Backend: Send + Sync + 'static {
    /// Records a job durably, under the id `id` if one is given. Returning acknowledges the job.
    async fn submit(&self, id: Option<JobId>, job: JobSpec) -> Result<JobView, Error>;
    /// A job. With `wait`, returns only once its state differs from `seen`, it is terminal, or
    /// that time has passed.
    async fn job(
        &self,
        id: JobId,
        seen: Option<JobState>,
        wait: Option<Duration>,
    ) -> Result<JobView, Error>;
    /// The newest `limit` jobs, newest first, only those in `state` if given.
    async fn jobs(&self, state: Option<JobState>, limit: u32) -> Result<Vec<JobView>, Error>;
    /// The first `limit` ids of jobs in a range of the ledger.
    async fn jobs_between(
        &self,
        ids: RangeInclusive<JobId>,
        limit: u32,
    ) -> Result<Vec<JobId>, Error>;
    /// Why a job is not running.
    async fn why(&self, id: JobId) -> Result<Why, Error>;
    /// Calls a job off. A job that already ended stays as it is.
    async fn cancel(&self, id: JobId) -> Result<JobView, Error>;
    /// The checkpoints of a job, newest first.
    async fn checkpoints(&self, id: JobId) -> Result<Vec<CheckpointRecord>, Error>;
    /// Has a checkpoint taken of a running job.
    async fn checkpoint(&self, id: JobId) -> Result<CheckpointRecord, Error>;
    /// Moves a job to another node, together with its progress.
    async fn migrate(&self, id: JobId, to: NodeId) -> Result<JobView, Error>;
    /// What a job wrote.
    async fn logs(&self, id: JobId, wanted: LogQuery) -> Result<LogBytes, Error>;

    /// The handler of a request panicked, which is a defect. The client got an error, or a broken answer if the answer
    /// had begun.
    fn panicked(&self, reason: &str);

    /// What this node counts.
    async fn metrics(&self) -> Result<Vec<Metric>, Error>;

    /// This node.
    async fn node(&self) -> Result<NodeView, Error>;
    /// The nodes that this node knows, itself first.
    async fn nodes(&self) -> Result<Vec<PeerView>, Error>;

    /// Registers a file as a layer of container images. All of it is in the store.
    async fn add_layer(&self, cid: Cid) -> Result<LayerView, Error>;
    /// A layer by its digest, from the store or from peers, of `size` bytes if given. On return all of it is verified
    /// and in the store.
    async fn layer(
        &self,
        digest: Digest,
        size: Option<u64>,
        timeout: Option<Duration>,
    ) -> Result<LayerView, Error>;

    /// Forgets a layer, so that its blocks may be collected.
    async fn remove_layer(&self, digest: Digest) -> Result<(), Error>;

    /// Connects to a peer of this network, or to an IPFS node, by a multiaddr that ends in its id.
    async fn connect(&self, address: String) -> Result<(), Error>;

    /// Stores verified blocks; durable on return. Collection spares them for a while, so that the caller can pin or
    /// submit.
    async fn import(&self, blocks: BlockStream) -> Result<Imported, Error>;
    /// Those of `cids` whose block is not in the store. Collection spares the others for a while.
    async fn lacking(&self, cids: Vec<Cid>) -> Result<Vec<Cid>, Error>;
    /// Those of `roots` whose DAG is not complete in the store.
    async fn missing(&self, roots: Vec<Cid>) -> Result<Vec<Cid>, Error>;
    /// The blocks of this node, or also those of others.
    fn blocks(&self, reach: Reach) -> Blocks;
    /// One block of the store.
    async fn block(&self, cid: Cid) -> Result<Bytes, Error>;
    /// The size of a block in the store.
    async fn block_stat(&self, cid: Cid) -> Result<BlockStat, Error>;
    /// Removes a block that no pin needs.
    async fn remove_block(&self, cid: Cid) -> Result<(), Error>;
    /// Pins a DAG under a name, fetching what is missing.
    async fn pin(&self, name: String, cid: Cid) -> Result<PinView, Error>;
    /// Removes a pin.
    async fn unpin(&self, name: String) -> Result<(), Error>;
    /// All pins by name.
    async fn pins(&self) -> Result<Vec<PinView>, Error>;
    /// Removes the blocks that no pin needs; with `now`, also those that were stored just now.
    async fn gc(&self, now: bool) -> Result<GcView, Error>;

    /// Hashes every block, and removes those that are corrupt.
    async fn fsck(&self) -> Result<FsckView, Error>;

    /// Searches the DHT for nodes, and asks each of them what it lends.
    async fn find_nodes(&self, query: NodeQuery) -> Result<Vec<PeerView>, Error>;

    /// Nodes that the DHT says provide a CID.
    async fn dht_providers(&self, cid: Cid) -> Result<DhtPeers, Error>;
    /// The nodes of this node's routing table.
    async fn dht_peers(&self) -> Result<DhtPeers, Error>;
    /// A record of the DHT.
    async fn dht_record(&self, key: String) -> Result<DhtRecord, Error>;
}
