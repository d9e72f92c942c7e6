//! Blocks, pins and uploads.

use super::{NodeBackend, refuse};
use crate::pins;
use futures::{Stream, StreamExt, TryStreamExt, stream};
use mc_content::Block;
use mc_gateway::{
    api::{Imported, PinView},
    backend::{BlockStream, Error},
};
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

    /// Pins first, so that what is fetched or found is not collected in the meantime; an incomplete
    /// DAG is not left pinned, and what had the name before has it again.
    pub(super) async fn pin_dag(&self, name: String, cid: Cid) -> Result<PinView, Error> {
        pins::check(&name)?;
        let store = self.content.store();
        let before = store.pinned(&name).await.map_err(refuse)?;
        store.pin(&name, cid).await.map_err(refuse)?;
        if let Err(error) = self.content.fetch(cid, Vec::new(), None).await {
            // The first error is the one that matters.
            let _ = match before {
                Some(before) => store.pin(&name, before).await,
                None => store.unpin(&name).await.map(drop),
            };
            return Err(refuse(error));
        }
        self.net.announce(cid).await;
        Ok(PinView { name, cid })
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
