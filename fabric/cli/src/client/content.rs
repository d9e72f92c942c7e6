//! Blocks to and from a node.

use super::Client;
use crate::failure::Failure;
use bytes::Bytes;
use mc_content::{AddOptions, Block, BlockSink, BlockSource, Error, car, unixfs};
use mc_gateway::api::{BlockStat, CidList, Imported};
use mc_types::{Cid, ErrorCode, cid};
use reqwest::{Body, Method};
use std::{path::Path, time::Duration};
use tokio::sync::mpsc;

/// Pieces of an upload that wait for the connection: some 16 MiB.
const UPLOAD_PIECES: usize = 16;

/// Blocks on their way into an upload.
struct Upload(mpsc::Sender<Bytes>);

impl BlockSink for Upload {
    async fn put_many(&self, blocks: Vec<Block>) -> Result<(), Error> {
        for block in blocks {
            let gone = |_| Error::Source("the node ended the upload".to_owned());
            self.0.send(car::section(&block)).await.map_err(gone)?;
        }
        Ok(())
    }
}

/// Blocks of a node, or of whomever it finds them with. Each is verified here once more.
#[derive(Debug, Clone)]
pub(crate) struct RemoteBlocks {
    client: Client,
    timeout: Option<Duration>,
}

impl BlockSource for RemoteBlocks {
    async fn get(&self, cid: &Cid) -> Result<Bytes, Error> {
        let timeout = self
            .timeout
            .map(|t| format!("&timeout_ms={}", t.as_millis()));
        let path = format!("/ipfs/{cid}?format=raw{}", timeout.unwrap_or_default());
        let found = self
            .client
            .send(self.client.request(Method::GET, &path))
            .await;
        let response = found.map_err(|failure| match failure.code() {
            ErrorCode::ContentNotFound => Error::NotFound {
                cid: *cid,
                peers: None,
            },
            ErrorCode::Storage => Error::DiskFull,
            _ => Error::Source(format!("{failure:?}")),
        })?;
        let bytes = response
            .bytes()
            .await
            .map_err(|e| Error::Source(e.to_string()))?;
        Block::new(*cid, bytes).map(|block| block.into_parts().1)
    }
}

impl Client {
    /// Everything that the node has or can find, as blocks.
    pub(crate) fn blocks(&self, timeout: Option<Duration>) -> RemoteBlocks {
        RemoteBlocks {
            client: self.clone(),
            timeout,
        }
    }

    /// Those of `cids` whose DAG is not complete in the node's store.
    pub(crate) async fn missing(&self, cids: Vec<Cid>) -> Result<Vec<Cid>, Failure> {
        let missing: CidList = self
            .post("/api/v1/content/missing", &CidList { cids })
            .await?;
        Ok(missing.cids)
    }

    /// Sends a file or directory, which must still be what its CID says.
    pub(crate) async fn upload(&self, path: &Path, expected: Cid) -> Result<(), Failure> {
        let (sender, mut pieces) = mpsc::channel(UPLOAD_PIECES);
        let reading = async {
            // The receiver goes away only when the upload fails, and then that is the error.
            let _ = sender.send(car::header(&[])).await;
            let sink = Upload(sender);
            unixfs::add_path(path, &sink, &AddOptions::default()).await
        };
        let pieces = futures::stream::poll_fn(move |cx| pieces.poll_recv(cx));
        let body = Body::wrap_stream(futures::StreamExt::map(pieces, Ok::<_, std::io::Error>));
        let request = self.request(Method::POST, "/api/v1/content").body(body);
        let (added, sent) = tokio::join!(reading, self.json::<Imported>(request));
        sent?;
        if added?.cid == expected {
            return Ok(());
        }
        let message = format!("{} changed while it was being sent", path.display());
        Err(Failure::new(ErrorCode::Path, message).with_hint("try again once nobody writes to it"))
    }

    pub(crate) async fn block(&self, cid: &Cid) -> Result<Bytes, Failure> {
        let request = self.request(Method::GET, &format!("/api/v1/blocks/{cid}"));
        let bytes = self
            .send(request)
            .await?
            .bytes()
            .await
            .map_err(|e| self.unreachable(&e))?;
        cid::verify(cid, &bytes)
            .map_err(|e| Failure::new(ErrorCode::CorruptContent, e.to_string()))?;
        Ok(bytes)
    }

    pub(crate) async fn put_block(&self, block: Block) -> Result<(), Failure> {
        let (cid, bytes) = block.into_parts();
        let request = self
            .request(Method::PUT, &format!("/api/v1/blocks/{cid}"))
            .body(bytes);
        self.send(request).await.map(drop)
    }

    pub(crate) async fn block_stat(&self, cid: &Cid) -> Result<BlockStat, Failure> {
        self.get(&format!("/api/v1/blocks/{cid}/stat")).await
    }

    pub(crate) async fn remove_block(&self, cid: &Cid) -> Result<(), Failure> {
        let request = self.request(Method::DELETE, &format!("/api/v1/blocks/{cid}"));
        self.send(request).await.map(drop)
    }
}
