//! Blocks from a node, or from whomever it finds them with.

use super::NodeClient;
use crate::{failure::Failure, links};
use bytes::Bytes;
use futures::stream::BoxStream;
use indicatif::ProgressBar;
use mc_api::{AddLayer, BlockStat, CidList, ConnectRequest, LayerQuery, LayerView, paths};
use mc_content::{
    Block, BlockSource, Error, Key, car,
    unixfs::{self, Entity, ExportOptions},
};
use mc_options::{ContentPath, Links};
use mc_types::{Cid, Digest, ErrorCode, cid};
use reqwest::Method;
use std::{
    path::Path,
    time::{Duration, Instant},
};
use tokio::sync::Mutex;

/// Blocks from a node, which may fetch them from others, one by one. Each is verified here again.
#[derive(Debug, Clone)]
pub(crate) struct RemoteBlocks {
    client: NodeClient,
    timeout: Option<Duration>,
}

impl RemoteBlocks {
    /// The same for somebody who has waited so long already.
    fn after(&self, waited: Duration) -> Self {
        Self {
            client: self.client.clone(),
            timeout: self.timeout.map(|timeout| timeout.saturating_sub(waited)),
        }
    }
}

impl BlockSource for RemoteBlocks {
    async fn load(&self, cid: &Cid) -> Result<Bytes, Error> {
        cid::check(cid)?;
        let path = format!("/ipfs/{cid}?format=raw{}", timeout_query(self.timeout));
        let request = || self.client.request(Method::GET, &path);
        let found = self.client.bytes(request).await;
        let bytes = found.map_err(|failure| match failure.code() {
            ErrorCode::ContentNotFound => Error::NotFound {
                cid: *cid,
                peers: None,
            },
            ErrorCode::Storage => Error::DiskFull,
            // A block that the node has and cannot read; it has verified those from others.
            ErrorCode::CorruptContent => Error::Corrupt { cid: *cid },
            _ => Error::Source(failure.message().to_owned()),
        })?;
        Block::new(*cid, bytes).map(|block| block.into_parts().1)
    }
}

fn timeout_query(timeout: Option<Duration>) -> String {
    let query = timeout.map(|timeout| format!("&timeout_ms={}", timeout.as_millis()));
    query.unwrap_or_default()
}

pub(super) type Pieces = BoxStream<'static, Result<Bytes, reqwest::Error>>;

/// The blocks of a DAG as a stream in the order in which a reader needs them. Blocks that do not come that way, because
/// the stream broke off or the reader took another path, are requested one by one.
pub(crate) struct StreamedBlocks {
    stream: Mutex<Option<car::Reader<Pieces>>>,
    others: RemoteBlocks,
    progress: ProgressBar,
}

impl BlockSource for StreamedBlocks {
    /// In order.
    fn ahead(&self) -> usize {
        1
    }

    async fn load(&self, cid: &Cid) -> Result<Bytes, Error> {
        let mut stream = self.stream.lock().await;
        let begun = Instant::now();
        let next = match stream.as_mut() {
            Some(reader) => reader.next().await,
            None => Ok(None),
        };
        let bytes = match next {
            Ok(Some(block)) if block.cid() == cid => block.into_parts().1,
            _ => {
                *stream = None;
                drop(stream);
                self.others.after(begun.elapsed()).load(cid).await?
            }
        };
        self.progress
            .inc(u64::try_from(bytes.len()).unwrap_or(u64::MAX));
        Ok(bytes)
    }
}

/// Writes a file or directory to disk, and says which links of it were left out.
pub(crate) async fn write_to_disk<S: BlockSource>(
    blocks: &S,
    entity: Entity,
    to: &Path,
    links: Links,
) -> Result<(), Failure> {
    let options = ExportOptions {
        max_bytes: u64::MAX,
        outside: links::outside(links),
    };
    let exported = unixfs::export_with(blocks, entity, to, options).await;
    let exported = exported.map_err(|error| {
        // Nothing else is refused on the way to a disk.
        let is_link = matches!(error, Error::Unsupported { .. });
        match Failure::from(error) {
            failure if is_link => failure.with_hint(links::HINT),
            failure => failure,
        }
    })?;
    links::tell(&exported.left_out, links::LEADS_OUT, Some(to));
    links::tell(&exported.impossible, links::IMPOSSIBLE, Some(to));
    Ok(())
}

impl NodeClient {
    /// Everything that the node has or can find, as blocks.
    pub(crate) fn blocks(&self, timeout: Option<Duration>) -> RemoteBlocks {
        RemoteBlocks {
            client: self.clone(),
            timeout,
        }
    }

    /// The DAG below `cid`, for one sequential read.
    pub(crate) async fn dag(
        &self,
        cid: Cid,
        timeout: Option<Duration>,
        progress: ProgressBar,
    ) -> Result<StreamedBlocks, Failure> {
        let pieces = self.car(&cid, "car-dups=y", timeout).await?;
        Ok(StreamedBlocks {
            stream: Mutex::new(Some(car::Reader::new(pieces))),
            others: self.blocks(timeout),
            progress,
        })
    }

    /// Writes a file or directory to disk, and says which links of it were left out.
    pub(crate) async fn leave(
        &self,
        entity: Entity,
        to: &Path,
        links: Links,
    ) -> Result<(), Failure> {
        let blocks = self.dag(entity.cid, None, ProgressBar::hidden()).await?;
        write_to_disk(&blocks, entity, to, links).await
    }

    /// A DAG as a CAR.
    pub(crate) async fn car(
        &self,
        cid: &Cid,
        query: &str,
        timeout: Option<Duration>,
    ) -> Result<Pieces, Failure> {
        let path = format!("/ipfs/{cid}?format=car&{query}{}", timeout_query(timeout));
        let given = self.in_turn(|| {
            let base = self.base();
            let sent = self.send_once(self.request(Method::GET, &path));
            async move { Ok::<_, Failure>((base, sent.await?)) }
        });
        let (base, response) = given.await?;
        Ok(self.pieces(base, response))
    }

    /// What a place is. Reads only the directories on the way.
    pub(crate) async fn resolve(
        &self,
        place: &ContentPath,
        key: Option<Key>,
        timeout: Option<Duration>,
    ) -> Result<Entity, Failure> {
        let blocks = self.blocks(timeout);
        let root = Entity::from((place.cid, key));
        Ok(unixfs::resolve(&blocks, root, &place.path).await?)
    }

    /// Makes a file of the node's store a layer.
    pub(crate) async fn add_layer(&self, cid: Cid) -> Result<LayerView, Failure> {
        self.post(paths::LAYERS, &AddLayer { cid }).await
    }

    /// Lets nothing keep a layer any more.
    pub(crate) async fn remove_layer(&self, digest: &Digest) -> Result<(), Failure> {
        let path = paths::with(paths::LAYER, digest);
        self.send(|| self.request(Method::DELETE, &path))
            .await
            .map(drop)
    }

    /// Has the node find a layer.
    pub(crate) async fn layer(
        &self,
        digest: &Digest,
        size: Option<u64>,
        timeout: Option<Duration>,
    ) -> Result<LayerView, Failure> {
        let path = paths::with(paths::LAYER, digest);
        let timeout_ms =
            timeout.map(|timeout| u64::try_from(timeout.as_millis()).unwrap_or(u64::MAX));
        let query = LayerQuery { size, timeout_ms };
        self.json(|| self.request(Method::GET, &path).query(&query))
            .await
    }

    /// Connects the node to a peer, or to an IPFS node.
    pub(crate) async fn connect(&self, address: &str) -> Result<(), Failure> {
        let address = address.to_owned();
        let body = ConnectRequest { address };
        let request = || self.request(Method::POST, paths::CONNECT).json(&body);
        self.send(request).await.map(drop)
    }

    /// Those of `cids` whose DAG is not complete in the node's store.
    pub(crate) async fn missing(&self, cids: Vec<Cid>) -> Result<Vec<Cid>, Failure> {
        let missing: CidList = self.post(paths::CONTENT_MISSING, &CidList { cids }).await?;
        Ok(missing.cids)
    }

    pub(crate) async fn block(&self, cid: &Cid) -> Result<Bytes, Failure> {
        let path = paths::with(paths::BLOCK, cid);
        let bytes = self.bytes(|| self.request(Method::GET, &path)).await?;
        cid::verify(cid, &bytes)
            .map_err(|e| Failure::new(ErrorCode::CorruptContent, e.to_string()))?;
        Ok(bytes)
    }

    pub(crate) async fn put_block(&self, block: Block) -> Result<(), Failure> {
        let (cid, bytes) = block.into_parts();
        let path = paths::with(paths::BLOCK, cid);
        let request = || self.request(Method::PUT, &path).body(bytes.clone());
        self.send(request).await.map(drop)
    }

    pub(crate) async fn block_stat(&self, cid: &Cid) -> Result<BlockStat, Failure> {
        self.get(&paths::with(paths::BLOCK_STAT, cid)).await
    }

    pub(crate) async fn remove_block(&self, cid: &Cid) -> Result<(), Failure> {
        let path = paths::with(paths::BLOCK, cid);
        let request = || self.request(Method::DELETE, &path);
        self.send(request).await.map(drop)
    }
}
