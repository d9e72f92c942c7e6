//! Blocks, pins and uploads.

use super::{NodeBackend, refuse};
use futures::StreamExt;
use mc_content::Block;
use mc_gateway::{
    api::{Imported, PinView},
    backend::{BlockStream, Error},
};
use mc_types::{Cid, ErrorCode};

/// Bytes of an upload that are stored at a time.
const BATCH_BYTES: usize = 8 << 20;

pub(super) fn unknown(cid: &Cid) -> Error {
    Error::new(
        ErrorCode::NotFound,
        format!("the block {cid} is not in the store of this node"),
    )
}

impl NodeBackend {
    /// Stores an upload batch by batch. What was stored before an error stays, until it is collected.
    pub(super) async fn import_blocks(&self, mut blocks: BlockStream) -> Result<Imported, Error> {
        let mut imported = Imported {
            blocks: 0,
            bytes: 0,
        };
        let (mut batch, mut batch_bytes) = (Vec::new(), 0);
        while let Some(next) = blocks.next().await {
            let (cid, bytes) = next?;
            batch_bytes += bytes.len();
            imported.blocks += 1;
            imported.bytes += u64::try_from(bytes.len()).unwrap_or(u64::MAX);
            batch.push(Block::new(cid, bytes).map_err(refuse)?);
            if batch_bytes >= BATCH_BYTES {
                batch_bytes = 0;
                self.content
                    .put(std::mem::take(&mut batch))
                    .await
                    .map_err(refuse)?;
            }
        }
        self.content.put(batch).await.map_err(refuse)?;
        Ok(imported)
    }

    /// Pins first, so that what is fetched or found is not collected in the meantime; an incomplete
    /// DAG is not left pinned.
    pub(super) async fn pin_dag(&self, name: String, cid: Cid) -> Result<PinView, Error> {
        let store = self.content.store();
        store.pin(&name, cid).await.map_err(refuse)?;
        if let Err(error) = self.content.fetch(cid, Vec::new(), None).await {
            // The first error is the one that matters.
            let _ = store.unpin(&name).await;
            return Err(refuse(error));
        }
        self.net.announce(cid).await;
        Ok(PinView { name, cid })
    }
}
