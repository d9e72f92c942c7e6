//! The block store on disk.
//!
//! Blocks are kept by multihash, so the same bytes under two codecs are stored once. All writes go through one thread
//! that commits in groups. All writes that wait when a commit begins share its `fsync`, so many small writers cost
//! little more than one.
//!
//! Small blocks are in the tables of an engine (an LSM tree). Large ones are in [packs], and the engine has their
//! places.

mod engine;
mod evict;
mod fsck;
mod gc;
mod options;
mod packs;
mod pins;
mod writer;

use crate::{Block, BlockSink, BlockSource, Error};
use bytes::Bytes;
use engine::{Engine, Found, key};
use mc_types::{Cid, Timestamp, cid};
use std::{
    collections::HashSet,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    thread::JoinHandle,
    time::Duration,
};
use tokio::sync::{Semaphore, mpsc, oneshot};
use writer::{Operation, Writer};

pub use fsck::FsckReport;
pub use gc::GcReport;
pub use options::Options;

/// How many operations may wait for the writer; further callers wait themselves.
const QUEUE_OPERATIONS: usize = 1024;
/// Bytes of blocks that may wait for the writer.
const QUEUE_BYTES: usize = 24 << 20;

/// A cheap handle to a block store.
///
/// ```
/// use mc_content::{Block, Options, Store, missing};
/// use mc_types::cid;
///
/// # tokio::runtime::Runtime::new().unwrap().block_on(async {
/// let dir = tempfile::tempdir()?;
/// let store = Store::open(dir.path(), Options::default()).await?;
/// let block = Block::encode(cid::RAW, "one two")?;
/// let root = *block.cid();
/// assert_eq!(missing(&store, root, 1).await?, [root]);
/// store.put_pinned(vec![block], "poem", root).await?;
/// assert_eq!(store.get(&root).await?.as_deref(), Some(&b"one two"[..]));
/// assert_eq!(store.pinned("poem").await?, Some(root));
/// store.close().await;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// # }).unwrap();
/// ```
#[derive(Debug, Clone)]
pub struct Store {
    inner: Arc<Inner>,
}

struct Inner {
    path: PathBuf,
    engine: Engine,
    operations: mpsc::Sender<Operation>,
    /// One permit per kibibyte that waits for the writer.
    waiting: Semaphore,
    options: Options,
    writer: std::sync::Mutex<Option<JoinHandle<()>>>,
    removals: Arc<AtomicU64>,
    /// Keys of blocks that were read since reads were last recorded.
    uses: std::sync::Mutex<HashSet<Vec<u8>>>,
    /// Room is made by one at a time.
    evicting: tokio::sync::Mutex<()>,
}

impl std::fmt::Debug for Inner {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Store")
            .field("options", &self.options)
            .finish_non_exhaustive()
    }
}

impl Store {
    /// Opens the store in the directory `path`, creating it if it is missing.
    ///
    /// # Errors
    ///
    /// [`Error::Locked`] when another process has it open, [`Error::DiskFull`], or
    /// [`Error::Storage`] when the engine cannot recover it.
    pub async fn open(path: &Path, options: Options) -> Result<Self, Error> {
        let at: PathBuf = path.to_owned();
        let (engine, extents) = blocking(move || Engine::open(&at)).await?;
        let (operations, queue) = mpsc::channel(QUEUE_OPERATIONS);
        let removals = Arc::default();
        let writer = Writer::new(
            (engine.clone(), extents),
            queue,
            options.clone(),
            Arc::clone(&removals),
        );
        let writer = std::thread::Builder::new()
            .name("block-writer".to_owned())
            .spawn(move || writer.run())
            .map_err(|error| Error::Storage(error.to_string()))?;
        let inner = Inner {
            path: path.to_owned(),
            engine,
            operations,
            waiting: Semaphore::new(QUEUE_BYTES >> 10),
            options,
            writer: std::sync::Mutex::new(Some(writer)),
            removals,
            uses: std::sync::Mutex::default(),
            evicting: tokio::sync::Mutex::default(),
        };
        Ok(Self {
            inner: Arc::new(inner),
        })
    }

    /// Stores a block; durable on return. A block that is there already only has its grace renewed.
    ///
    /// # Errors
    ///
    /// [`Error::DiskFull`], [`Error::Storage`] or [`Error::Closed`]: the block is not stored.
    ///
    /// # Cancel safety
    ///
    /// After the future is dropped, the block may or may not be stored.
    pub async fn put(&self, block: Block) -> Result<(), Error> {
        self.put_all(vec![block], None, true).await
    }

    /// Stores blocks that will not be pinned and can be fetched again. They are evicted first, and a power cut may lose
    /// the newest ones.
    ///
    /// # Errors
    ///
    /// As [`Self::put`].
    pub async fn put_cached(&self, blocks: Vec<Block>) -> Result<(), Error> {
        self.put_all(blocks, None, false).await
    }

    /// How many operations may have removed blocks so far. If this number has not changed, everything that was found
    /// before is still there.
    #[must_use]
    pub fn removals(&self) -> u64 {
        self.inner.removals.load(Ordering::SeqCst)
    }

    async fn put_all(
        &self,
        mut blocks: Vec<Block>,
        pin: Option<(String, Cid)>,
        spare: bool,
    ) -> Result<(), Error> {
        // Who has the CID has the block.
        blocks.retain(|block| cid::inline(block.cid()).is_none());
        if blocks.is_empty() && pin.is_none() {
            return Ok(());
        }
        let bytes: usize = blocks.iter().map(|block| block.bytes().len()).sum();
        self.make_room(u64::try_from(bytes).unwrap_or(u64::MAX))
            .await?;
        let permits = u32::try_from((bytes.min(QUEUE_BYTES) >> 10) + 1).unwrap_or(u32::MAX);
        let permits = permits.min(u32::try_from(QUEUE_BYTES >> 10).unwrap_or(u32::MAX));
        let _permit = self
            .inner
            .waiting
            .acquire_many(permits)
            .await
            .map_err(|_| Error::Closed)?;
        self.write(|reply| Operation::Put {
            blocks,
            pin,
            spare,
            reply,
        })
        .await
    }

    /// The bytes of a block. A checksum says whether they are what was stored.
    ///
    /// # Errors
    ///
    /// [`Error::Corrupt`] when they have changed on disk.
    pub async fn get(&self, cid: &Cid) -> Result<Option<Bytes>, Error> {
        if let Some(bytes) = cid::inline(cid) {
            return Ok(Some(Bytes::copy_from_slice(bytes)));
        }
        let (engine, cid, key) = (self.inner.engine.clone(), *cid, key(cid));
        self.used(&key);
        blocking(move || match engine.get(&key)? {
            Found::Block(bytes) => Ok(Some(bytes)),
            Found::Nothing => Ok(None),
            Found::Corrupt => Err(Error::Corrupt { cid }),
        })
        .await
    }

    /// Those of `cids` that are missing. The others are spared for a while, as if they had just been stored, so that a
    /// caller that stores a DAG need not send them.
    ///
    /// # Errors
    ///
    /// What [`Self::put`] gives.
    pub async fn lacking(&self, mut cids: Vec<Cid>) -> Result<Vec<Cid>, Error> {
        cids.retain(|cid| cid::inline(cid).is_none());
        let there = self.renew(cids.iter().map(key).collect(), true).await?;
        let lacking = cids.into_iter().zip(there).filter(|(_, there)| !there);
        Ok(lacking.map(|(cid, _)| cid).collect())
    }

    /// Records that the blocks under these keys were used, and spares them for a while on request; returns for each
    /// whether it exists.
    async fn renew(&self, keys: Vec<Vec<u8>>, spare: bool) -> Result<Vec<bool>, Error> {
        if keys.is_empty() {
            return Ok(Vec::new());
        }
        self.write(|reply| Operation::Renew { keys, spare, reply })
            .await
    }

    /// Whether a block is there.
    ///
    /// # Errors
    ///
    /// [`Error::Storage`].
    pub async fn has(&self, cid: &Cid) -> Result<bool, Error> {
        self.size(cid).await.map(|size| size.is_some())
    }

    /// The length of a block in bytes, if it is there.
    ///
    /// # Errors
    ///
    /// [`Error::Storage`].
    pub async fn size(&self, cid: &Cid) -> Result<Option<u64>, Error> {
        if let Some(bytes) = cid::inline(cid) {
            return Ok(u64::try_from(bytes.len()).ok());
        }
        let (engine, key) = (self.inner.engine.clone(), key(cid));
        blocking(move || engine.size(&key)).await
    }

    /// For how long a block that was stored is spared.
    #[must_use]
    pub fn gc_grace(&self) -> Duration {
        self.inner.options.gc_grace
    }

    /// Writes what is still queued and ends the writer. Later writes fail, reads still work.
    pub async fn close(&self) {
        let (reply, done) = oneshot::channel();
        if self
            .inner
            .operations
            .send(Operation::Close { reply })
            .await
            .is_ok()
        {
            // An error means that the writer is gone already.
            let _ = done.await;
        }
        let writer = self
            .inner
            .writer
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
            .take();
        if let Some(writer) = writer {
            let _ = tokio::task::spawn_blocking(move || writer.join()).await;
        }
    }

    /// Returns once the store takes no more writes: it was closed, or its writer has failed.
    pub async fn closed(&self) {
        self.inner.operations.closed().await;
    }

    fn now(&self) -> Timestamp {
        self.inner.options.clock.now()
    }

    async fn write<T>(
        &self,
        operation: impl FnOnce(oneshot::Sender<Result<T, Error>>) -> Operation,
    ) -> Result<T, Error> {
        let (reply, done) = oneshot::channel();
        self.inner
            .operations
            .send(operation(reply))
            .await
            .map_err(|_| Error::Closed)?;
        done.await.map_err(|_| Error::Closed)?
    }
}

impl BlockSink for Store {
    async fn put_many(&self, blocks: Vec<Block>) -> Result<(), Error> {
        self.put_all(blocks, None, true).await
    }
}

impl BlockSource for Store {
    async fn load(&self, cid: &Cid) -> Result<Bytes, Error> {
        let found = Self::get(self, cid).await?;
        found.ok_or(Error::NotFound {
            cid: *cid,
            peers: None,
        })
    }
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, Error> + Send + 'static,
) -> Result<T, Error> {
    tokio::task::spawn_blocking(work)
        .await
        .map_err(|_| Error::Closed)?
}
