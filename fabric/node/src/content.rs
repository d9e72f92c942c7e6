//! Content of this node and of its peers: first from the store, then from the network.

mod complete;
mod gateways;
mod room;

pub(crate) use room::usual_max_bytes;

use bytes::Bytes;
use complete::Complete;
use futures::{
    StreamExt,
    future::{BoxFuture, Either},
    stream::FuturesUnordered,
};
use gateways::Gateways;
use mc_content::{Block, BlockSink, BlockSource, Error, MAX_DAG_BLOCKS, Store, links};
use mc_net::{BlockStore, FetchError, NetworkHandle, Session, StoreError};
use mc_types::{AdaptiveWindow, Cid, NodeId, cid};
use rand::RngExt;
use std::{
    collections::{HashSet, VecDeque},
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};
use tokio::sync::OnceCell;

/// How long peers may take before gateways are asked too.
const BEFORE_GATEWAYS: Duration = Duration::from_secs(1);
/// How many blocks of one DAG are fetched or stored at a time, and how many small ones: more than the window of a
/// provider, so that it can send while this node stores.
const FETCH_BLOCKS: usize = 36;
const FETCH_SMALL_BLOCKS: usize = 384;
/// What a user asked for may be of any size that a DAG may have.
const NO_BUDGET: u64 = u64::MAX;

/// The store of this node and the way to those of others.
#[derive(Debug, Clone)]
pub(crate) struct Content {
    store: Store,
    net: NetworkHandle,
    complete: Arc<Complete>,
    gateways: Option<Gateways>,
}

impl Content {
    /// Content of `store`, of the peers that `net` reaches, and at last of the HTTP gateways at `urls`.
    #[must_use]
    pub(crate) fn new(store: Store, net: NetworkHandle, urls: &[String]) -> Self {
        Self {
            store,
            net,
            complete: Arc::default(),
            gateways: Gateways::new(urls),
        }
    }

    /// The way to other nodes.
    #[must_use]
    pub(crate) const fn net(&self) -> &NetworkHandle {
        &self.net
    }

    /// The store.
    #[must_use]
    pub(crate) const fn store(&self) -> &Store {
        &self.store
    }

    /// A source that reads blocks from the store, or else fetches them, first from `providers`. Fetched blocks are
    /// stored before they are returned, as long as there is room. `timeout` replaces the usual patience.
    #[must_use]
    pub(crate) fn source(&self, providers: Vec<NodeId>, timeout: Option<Duration>) -> Source {
        self.source_that(false, providers, timeout)
    }

    fn source_that(
        &self,
        must_store: bool,
        providers: Vec<NodeId>,
        timeout: Option<Duration>,
    ) -> Source {
        Source {
            must_store,
            content: self.clone(),
            providers,
            timeout,
            session: OnceCell::new(),
            by_gateway: AtomicBool::new(false),
        }
    }

    /// Stores blocks of our own, and tells peers who may be waiting for them.
    ///
    /// # Errors
    ///
    /// The store's.
    pub(crate) async fn put(&self, blocks: Vec<Block>) -> Result<(), Error> {
        let cids = blocks.iter().map(|block| *block.cid()).collect();
        self.store.put_many(blocks).await?;
        self.net.blocks_added(cids).await;
        Ok(())
    }

    /// Stores blocks of our own and pins the DAG below `root` in one write.
    ///
    /// # Errors
    ///
    /// The store's.
    pub(crate) async fn put_pinned(
        &self,
        blocks: Vec<Block>,
        name: &str,
        root: Cid,
    ) -> Result<(), Error> {
        let cids = blocks.iter().map(|block| *block.cid()).collect();
        self.store.put_pinned(blocks, name, root).await?;
        self.net.blocks_added(cids).await;
        Ok(())
    }

    /// Makes the DAG below `root` complete in the store.
    ///
    /// # Errors
    ///
    /// [`Error::NotFound`] when no reachable peer has a block, [`Error::TooLarge`] beyond
    /// [`MAX_DAG_BLOCKS`], or the store's.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future keeps what was fetched so far.
    pub(crate) async fn fetch(
        &self,
        root: Cid,
        providers: Vec<NodeId>,
        timeout: Option<Duration>,
    ) -> Result<(), Error> {
        self.fetch_within(root, providers, timeout, &mut { NO_BUDGET })
            .await
    }

    /// The same, but fetches at most `budget` bytes, and subtracts the fetched bytes from it.
    ///
    /// # Errors
    ///
    /// As [`Self::fetch`], and [`Error::TooLarge`] beyond the budget.
    pub(crate) async fn fetch_within(
        &self,
        root: Cid,
        providers: Vec<NodeId>,
        timeout: Option<Duration>,
        budget: &mut u64,
    ) -> Result<(), Error> {
        let removals = self.store.removals();
        if self.complete.has(&root, removals) {
            return Ok(());
        }
        let source = self.source_that(true, providers, timeout);
        Self::fetch_all(&source, root, HashSet::new(), budget).await?;
        self.complete.add(root, removals);
        Ok(())
    }

    /// Completes the DAG below `root` in the store. The DAGs below `complete` must be complete already. Afterwards
    /// `complete` holds all inner blocks of this DAG, and no others.
    ///
    /// # Errors
    ///
    /// As [`Self::fetch`]; `complete` is empty then.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future keeps what was fetched so far.
    pub(crate) async fn fetch_beyond(
        &self,
        root: Cid,
        providers: Vec<NodeId>,
        complete: &mut HashSet<Cid>,
        budget: &mut u64,
    ) -> Result<(), Error> {
        let known = std::mem::take(complete);
        let source = self.source_that(true, providers, None);
        *complete = Self::fetch_all(&source, root, known, budget).await?.seen;
        complete.retain(|cid| cid.codec() != cid::RAW);
        Ok(())
    }

    /// Completes the DAG below `root` in the store; returns how many bytes its blocks have.
    ///
    /// # Errors
    ///
    /// As [`Self::fetch`].
    pub(crate) async fn bytes_below(
        &self,
        root: Cid,
        providers: Vec<NodeId>,
    ) -> Result<u64, Error> {
        let source = self.source_that(true, providers, None);
        let walked = Self::fetch_all(&source, root, HashSet::new(), &mut { NO_BUDGET }).await?;
        Ok(walked.bytes)
    }

    /// Fetches what is below `root` but not below `known`.
    async fn fetch_all(
        source: &Source,
        root: Cid,
        known: HashSet<Cid>,
        budget: &mut u64,
    ) -> Result<Walked, Error> {
        let (most_bytes, mut bytes) = (*budget, 0_u64);
        let mut seen = HashSet::from([root]);
        let mut pending = VecDeque::from([root]);
        let mut fetching: FuturesUnordered<BoxFuture<'_, Result<Sure, Error>>> =
            FuturesUnordered::new();
        let mut most = AdaptiveWindow::new(FETCH_BLOCKS, FETCH_SMALL_BLOCKS);
        loop {
            // In random order, so that nodes that fetch the same DAG at the same time have different parts to exchange.
            while fetching.len() < most.blocks()
                && let Some(cid) = pending.swap_remove_back(random_below(pending.len()))
            {
                fetching.push(Box::pin(source.sure_of(cid)));
            }
            let Some(sure) = fetching.next().await else {
                return Ok(Walked { seen, bytes });
            };
            let sure = sure?;
            bytes = bytes.saturating_add(u64::try_from(sure.bytes).unwrap_or(u64::MAX));
            most.came(sure.bytes);
            let Some(left) = budget.checked_sub(sure.fetched) else {
                let limit = format!("more than the {most_bytes} bytes that it may have");
                return Err(Error::TooLarge { cid: root, limit });
            };
            *budget = left;
            let new = sure.links.into_iter().filter(|link| seen.insert(*link));
            pending.extend(new.filter(|link| !known.contains(link)));
            if seen.len() > MAX_DAG_BLOCKS {
                let limit = format!("more than {MAX_DAG_BLOCKS} blocks");
                return Err(Error::TooLarge { cid: root, limit });
            }
        }
    }
}

fn random_below(end: usize) -> usize {
    rand::rng().random_range(0..end.max(1))
}

/// What was come across below a root.
struct Walked {
    seen: HashSet<Cid>,
    /// Of all their blocks.
    bytes: u64,
}

/// A block that is in the store.
struct Sure {
    bytes: usize,
    /// Those of them that were not there before.
    fetched: u64,
    links: Vec<Cid>,
}

/// The store and the network as one source of blocks.
#[derive(Debug)]
pub(crate) struct Source {
    /// Whether a block that cannot be stored is an error; otherwise it is returned nevertheless.
    must_store: bool,
    content: Content,
    providers: Vec<NodeId>,
    timeout: Option<Duration>,
    /// Opened when the first block is missing: most reads need no network.
    session: OnceCell<Session>,
    /// Whether a gateway had a block that no peer gave.
    by_gateway: AtomicBool,
}

impl Source {
    /// Makes sure of a block.
    async fn sure_of(&self, cid: Cid) -> Result<Sure, Error> {
        if cid.codec() == cid::RAW
            && let Some(length) = self.content.store.size(&cid).await?
        {
            return Ok(Sure {
                bytes: usize::try_from(length).unwrap_or(usize::MAX),
                fetched: 0,
                links: Vec::new(),
            });
        }
        let (bytes, fetched) = match self.content.store.get(&cid).await? {
            Some(bytes) => (bytes, 0),
            None => {
                let bytes = self.get_new(&cid).await?;
                let fetched = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
                (bytes, fetched)
            }
        };
        Ok(Sure {
            bytes: bytes.len(),
            fetched,
            links: links::of(&cid, &bytes)?,
        })
    }

    /// A block from peers; from a gateway, if they take long.
    async fn fetch(&self, cid: Cid) -> Result<Block, Error> {
        let Some(gateways) = &self.content.gateways else {
            return self.fetch_from_peers(cid).await;
        };
        let before = match self.timeout {
            None => BEFORE_GATEWAYS,
            Some(timeout) => BEFORE_GATEWAYS.min(timeout / 2),
        };
        let left = self.timeout.map(|timeout| timeout.saturating_sub(before));
        let by_gateway = async {
            if !self.by_gateway.load(Ordering::Relaxed) {
                tokio::time::sleep(before).await;
            }
            gateways.get(&cid, left).await
        };
        let by_peers = self.fetch_from_peers(cid);
        match futures::future::select(pin!(by_peers), pin!(by_gateway)).await {
            Either::Left((Ok(block), _)) => Ok(block),
            Either::Left((Err(error), by_gateway)) => by_gateway.await.ok_or(error),
            Either::Right((None, by_peers)) => by_peers.await,
            Either::Right((Some(block), _)) => {
                self.by_gateway.store(true, Ordering::Relaxed);
                Ok(block)
            }
        }
    }

    async fn fetch_from_peers(&self, cid: Cid) -> Result<Block, Error> {
        let closed = |e: FetchError| Error::Source(e.to_string());
        let open = || {
            self.content
                .net
                .session(self.providers.clone(), self.timeout)
        };
        let session = self.session.get_or_try_init(open).await.map_err(closed)?;
        let found = session.get(cid).await.map_err(|error| match error {
            FetchError::NotFound { cid, peers } => Error::NotFound {
                cid,
                peers: Some(peers),
            },
            error => closed(error),
        });
        Block::try_from(found?)
    }
}

/// Blocks of our own.
impl BlockSink for Content {
    async fn put_many(&self, blocks: Vec<Block>) -> Result<(), Error> {
        self.put(blocks).await
    }
}

impl BlockSource for Source {
    async fn load(&self, cid: &Cid) -> Result<Bytes, Error> {
        match self.content.store.get(cid).await? {
            Some(bytes) => Ok(bytes),
            None => self.get_new(cid).await,
        }
    }
}

impl Source {
    /// Fetches a block that is not in the store, and stores it if there is room.
    async fn get_new(&self, cid: &Cid) -> Result<Bytes, Error> {
        // Nobody could send what could be verified.
        cid::check(cid)?;
        let block = self.fetch(*cid).await?;
        let bytes = block.bytes().clone();
        let block = vec![block];
        if self.must_store {
            self.content.put(block).await?;
            return Ok(bytes);
        }
        match self.content.store.put_cached(block).await {
            Ok(()) => self.content.net.blocks_added(vec![*cid]).await,
            Err(error @ (Error::Quota { .. } | Error::DiskFull)) => {
                tracing::debug!(%cid, %error, "read without being stored");
            }
            Err(error) => return Err(error),
        }
        Ok(bytes)
    }
}

/// The store as peers see it.
#[derive(Debug)]
pub(crate) struct Served(pub(crate) Store);

impl BlockStore for Served {
    fn get(&self, cid: Cid) -> BoxFuture<'static, Result<Option<Bytes>, StoreError>> {
        let store = self.0.clone();
        Box::pin(async move { store.get(&cid).await.map_err(|e| StoreError(e.to_string())) })
    }

    fn has(&self, cid: Cid) -> BoxFuture<'static, Result<bool, StoreError>> {
        let store = self.0.clone();
        Box::pin(async move { store.has(&cid).await.map_err(|e| StoreError(e.to_string())) })
    }
}
