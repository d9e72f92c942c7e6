//! Sending files and directories to a node: only the blocks that it lacks.

use super::NodeClient;
use crate::{failure::Failure, job};
use bytes::Bytes;
use futures::stream;
use indicatif::ProgressBar;
use mc_api::{CidList, Imported, paths};
use mc_content::{AddOptions, Block, BlockSink, Error, Key, car, unixfs};
use mc_types::{Cid, ErrorCode};
use reqwest::{Body, Method};
use std::{collections::HashSet, path::Path};
use tokio::{sync::Mutex, task::JoinSet};
use tokio_util::io::ReaderStream;

/// How often a tree is added again because the node has collected blocks in the meantime.
const MAX_ROUNDS: usize = 3;

/// How many batches of blocks are sent at a time: while the node writes one to disk, it receives the next.
const SENDING: usize = 2;

/// Bytes of a CAR file that are sent at a time.
const FILE_PIECE_BYTES: usize = 1 << 20;

/// An upload of blocks to a node. While some are sent, the next are made.
struct Upload {
    client: NodeClient,
    sending: Mutex<JoinSet<Result<(), Failure>>>,
    progress: ProgressBar,
}

impl Upload {
    /// Waits until at most so many lots are being sent.
    async fn until(&self, sending: usize) -> Result<(), Failure> {
        let mut all = self.sending.lock().await;
        while all.len() > sending
            && let Some(sent) = all.join_next().await
        {
            sent.unwrap_or_else(|e| Err(Failure::internal(e.to_string())))?;
        }
        Ok(())
    }
}

impl BlockSink for Upload {
    async fn put_many(&self, blocks: Vec<Block>) -> Result<(), Error> {
        self.until(SENDING - 1)
            .await
            .map_err(|failure| Error::Source(failure.message().to_owned()))?;
        let (client, progress) = (self.client.clone(), self.progress.clone());
        self.sending.lock().await.spawn(async move {
            let bytes: usize = blocks.iter().map(|block| block.bytes().len()).sum();
            client.send_lacking(blocks).await?;
            progress.inc(u64::try_from(bytes).unwrap_or(u64::MAX));
            Ok(())
        });
        Ok(())
    }
}

impl NodeClient {
    /// Adds a file or directory to the node's store. Sends only missing blocks, so that an interrupted upload continues
    /// where it was.
    pub(crate) async fn add(
        &self,
        path: &Path,
        options: &AddOptions,
        progress: &ProgressBar,
    ) -> Result<Cid, Failure> {
        for _ in 0..MAX_ROUNDS {
            progress.set_position(0);
            let upload = Upload {
                client: self.clone(),
                sending: Mutex::default(),
                progress: progress.clone(),
            };
            let added = unixfs::add_path(path, &upload, options).await?;
            upload.until(0).await?;
            if self.missing(vec![added.cid]).await?.is_empty() {
                return Ok(added.cid);
            }
        }
        let message = "the node removes blocks faster than they can be sent";
        Err(Failure::new(ErrorCode::Storage, message).with_hint("free some space there"))
    }

    /// Sends a file or directory, which must still be what its CID says.
    pub(crate) async fn upload(
        &self,
        path: &Path,
        key: Option<&Key>,
        expected: Cid,
    ) -> Result<(), Failure> {
        let options = job::add_options(key);
        if self.add(path, &options, &ProgressBar::hidden()).await? == expected {
            return Ok(());
        }
        let message = format!("{} changed while it was being sent", path.display());
        Err(Failure::new(ErrorCode::Path, message).with_hint("try again once nobody writes to it"))
    }

    /// Sends those of some blocks that the node lacks.
    async fn send_lacking(&self, blocks: Vec<Block>) -> Result<(), Failure> {
        let cids = blocks.iter().map(|block| *block.cid()).collect();
        let lacking: CidList = self.post(paths::CONTENT_LACKING, &CidList { cids }).await?;
        let mut lacking: HashSet<_> = lacking.cids.into_iter().collect();
        let mut blocks = blocks;
        // Each once, though a file may have it several times.
        blocks.retain(|block| lacking.remove(block.cid()));
        if blocks.is_empty() {
            return Ok(());
        }
        self.import(|| {
            let sections = blocks
                .clone()
                .into_iter()
                .flat_map(|block| car::section(&block));
            let pieces = std::iter::once(car::header(&[])).chain(sections);
            Body::wrap_stream(stream::iter(pieces.map(Ok::<_, std::io::Error>)))
        })
        .await
        .map(drop)
    }

    /// Sends a CAR, which `car` makes for the node that is asked.
    async fn import(&self, car: impl Fn() -> Body) -> Result<Imported, Failure> {
        let post = || self.request(Method::POST, paths::CONTENT);
        self.json(|| post().body(car())).await
    }

    /// Sends the CAR file at `path`.
    pub(crate) async fn import_file(&self, path: &Path) -> Result<Imported, Failure> {
        let open = || std::fs::File::open(path).map(tokio::fs::File::from_std);
        open().map_err(|e| Failure::path(path, &e))?;
        self.import(|| match open() {
            Ok(file) => Body::wrap_stream(ReaderStream::with_capacity(file, FILE_PIECE_BYTES)),
            // It was there a moment ago; the request breaks off.
            Err(error) => Body::wrap_stream(stream::iter([Err::<Bytes, _>(error)])),
        })
        .await
    }
}

/// The pieces of a CAR file.
pub(crate) fn file_pieces(
    file: tokio::fs::File,
) -> impl futures::Stream<Item = std::io::Result<Bytes>> + Unpin + Send {
    ReaderStream::with_capacity(file, 64 << 10)
}
