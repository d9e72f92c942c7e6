//! Blocks, pins and uploads.

use super::{NodeBackend, refuse};
use crate::pins;
use futures::{Stream, StreamExt, TryStreamExt, stream};
use mc_api::{Imported, PinView};
use mc_content::{Block, Store};
use mc_gateway::backend::{BlockStream, Error};
use mc_supervision::Supervisor;
use mc_types::{Cid, ErrorCode};

/// Blocks of an upload that are stored at a time, in bytes and in number.
const BATCH_BYTES: usize = 8 << 20;
const BATCH_BLOCKS: usize = 4096;
/// Batches of an upload that are in memory: while one is written, the next arrives.
const BATCHES: usize = 2;

pub(super) fn unknown(cid: &Cid) -> Error {
    Error::new(
        ErrorCode::NotFound,
        format!("the block {cid} is not in the store of this node"),
    )
}

impl NodeBackend {
    /// Stores an upload batch by batch. What was stored before an error stays, until it is collected.
    pub(super) async fn import_blocks(&self, blocks: BlockStream) -> Result<Imported, Error> {
        let put = async |batch: Result<Vec<Block>, Error>| {
            let batch = batch?;
            let imported = imported(&batch);
            self.content.put(batch).await.map_err(refuse)?;
            Ok(imported)
        };
        let puts = batches(blocks).map(put).buffered(BATCHES);
        let sum = |one: Imported, other: Imported| Imported {
            blocks: one.blocks + other.blocks,
            bytes: one.bytes + other.bytes,
        };
        puts.try_fold(imported(&[]), async |one, other| Ok(sum(one, other)))
            .await
    }

    /// Pins a DAG under a name once all of it is here. Until then the name keeps its old DAG, even if the caller goes
    /// away meanwhile. Blocks that are fetched or found are kept from the start.
    pub(super) async fn pin_dag(&self, name: String, cid: Cid) -> Result<PinView, Error> {
        pins::check(&name)?;
        let store = self.content.store();
        let arriving = Arriving::new(store, &self.tasks, cid)
            .await
            .map_err(refuse)?;
        let pinned = match self.content.fetch(cid, Vec::new(), None).await {
            Ok(()) => store.pin(&name, cid).await,
            Err(error) => Err(error),
        };
        let ended = arriving.end().await;
        // The first error is the one that matters.
        pinned.and(ended).map_err(refuse)?;
        self.net.announce(cid).await;
        Ok(PinView { name, cid })
    }
}

/// A temporary pin. It goes away when its owner stops waiting.
struct Arriving {
    store: Store,
    tasks: Supervisor,
    /// Empty once it is gone.
    name: String,
}

impl Arriving {
    async fn new(store: &Store, tasks: &Supervisor, root: Cid) -> Result<Self, mc_content::Error> {
        let number = rand::random::<u64>();
        let arriving = Self {
            store: store.clone(),
            tasks: tasks.clone(),
            name: format!("{}pin/{number:016x}", pins::ARRIVING),
        };
        store.pin(&arriving.name, root).await?;
        Ok(arriving)
    }

    async fn end(mut self) -> Result<(), mc_content::Error> {
        self.store.unpin(&self.name).await?;
        self.name.clear();
        Ok(())
    }
}

impl Drop for Arriving {
    fn drop(&mut self) {
        let name = std::mem::take(&mut self.name);
        // Without a runtime nothing can be done. A pin that is left goes when the node starts again.
        if !name.is_empty() && tokio::runtime::Handle::try_current().is_ok() {
            let store = self.store.clone();
            self.tasks.serve("pin of what arrives", async move {
                if let Err(error) = store.unpin(&name).await {
                    tracing::warn!(%name, %error, "a pin stays that nobody waits for");
                }
            });
        }
    }
}

fn imported(blocks: &[Block]) -> Imported {
    let bytes: usize = blocks.iter().map(|block| block.bytes().len()).sum();
    Imported {
        blocks: u64::try_from(blocks.len()).unwrap_or(u64::MAX),
        bytes: u64::try_from(bytes).unwrap_or(u64::MAX),
    }
}

/// Blocks by as many as are stored at a time.
fn batches(blocks: BlockStream) -> impl Stream<Item = Result<Vec<Block>, Error>> {
    stream::try_unfold(blocks, async |mut blocks| {
        let (mut batch, mut bytes) = (Vec::new(), 0);
        while bytes < BATCH_BYTES
            && batch.len() < BATCH_BLOCKS
            && let Some(block) = blocks.try_next().await?
        {
            bytes += block.bytes().len();
            batch.push(block);
        }
        Ok((!batch.is_empty()).then_some((batch, blocks)))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use mc_types::cid::RAW;

    fn block(number: u32, bytes: usize) -> Block {
        let mut content = number.to_le_bytes().to_vec();
        content.resize(bytes.max(4), 0);
        Block::encode(RAW, content).unwrap()
    }

    /// How many blocks each batch has.
    async fn lengths(blocks: Vec<Result<Block, Error>>) -> Vec<Result<usize, ErrorCode>> {
        let batches = batches(stream::iter(blocks).boxed());
        let lengths = batches.map(|batch| batch.map(|it| it.len()).map_err(|e| e.0.code));
        lengths.collect().await
    }

    #[tokio::test]
    async fn an_upload_is_stored_in_batches_of_bounded_length() {
        let large = (0..10).map(|n| Ok(block(n, 1 << 20))).collect();
        assert_eq!(lengths(large).await, [Ok(8), Ok(2)]);
        let small = (0..5000).map(|n| Ok(block(n, 4))).collect();
        assert_eq!(lengths(small).await, [Ok(4096), Ok(904)]);
        assert_eq!(lengths(Vec::new()).await, []);
    }

    #[tokio::test]
    async fn an_upload_that_breaks_off_is_an_error_whatever_came_before() {
        let broken = Err(Error::new(ErrorCode::CorruptContent, "cut off"));
        let blocks = vec![Ok(block(1, 4)), broken];
        assert_eq!(lengths(blocks).await, [Err(ErrorCode::CorruptContent)]);
    }

    #[test]
    fn blocks_and_their_bytes_are_counted() {
        let sum = imported(&[block(1, 10), block(2, 20)]);
        assert_eq!((sum.blocks, sum.bytes), (2, 30));
        let unknown = unknown(block(1, 10).cid());
        assert_eq!(unknown.0.code, ErrorCode::NotFound);
    }
}
