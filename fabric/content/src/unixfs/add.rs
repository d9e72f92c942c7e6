//! From files and directories to blocks.

use crate::{
    Block, BlockSink, Error, MAX_BLOCK_BYTES,
    dagpb::{DIRECTORY, Link, Node, SYMLINK, UnixFs},
};
use mc_types::{Cid, cid};
use prost::Message;
use rust_unixfs::file::adder::{Chunker, FileAdder};
use std::{
    future::Future,
    path::{Path, PathBuf},
    pin::Pin,
};
use tokio::io::{AsyncRead, AsyncReadExt};

/// Bytes of a leaf. Kubo takes blocks of up to 1 MiB by default, and larger leaves mean fewer of them.
pub const CHUNK_BYTES: usize = 1 << 20;
/// Blocks that are handed to the sink at a time, in bytes.
const BATCH_BYTES: usize = 8 << 20;
/// Deepest directory.
const MAX_DEPTH: usize = 256;

/// How files become blocks. The defaults are those that every node uses: other values give other CIDs.
#[derive(Debug, Clone)]
pub struct AddOptions {
    /// Bytes of a leaf.
    pub chunk_bytes: usize,
}

impl Default for AddOptions {
    fn default() -> Self {
        Self {
            chunk_bytes: CHUNK_BYTES,
        }
    }
}

/// What was added.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Added {
    /// The root.
    pub cid: Cid,
    /// Bytes of all blocks of the DAG, as links count them.
    pub total_bytes: u64,
    /// Bytes of the files.
    pub file_bytes: u64,
}

/// Adds a tree piece by piece, from the leaves upwards: for trees that are not on disk.
pub struct Adder<'a, S> {
    sink: &'a S,
    options: AddOptions,
    /// Blocks on their way to the sink.
    blocks: Vec<Block>,
    bytes: usize,
}

impl<S> std::fmt::Debug for Adder<'_, S> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Adder").finish_non_exhaustive()
    }
}

/// A file that is being added.
pub struct FileInProgress {
    adder: FileAdder,
    root: Option<Cid>,
    total_bytes: u64,
    file_bytes: u64,
}

impl std::fmt::Debug for FileInProgress {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("FileInProgress").finish_non_exhaustive()
    }
}

impl<'a, S: BlockSink> Adder<'a, S> {
    /// An adder that hands blocks to `sink`.
    #[must_use]
    pub fn new(sink: &'a S, options: &AddOptions) -> Self {
        Self {
            sink,
            options: options.clone(),
            blocks: Vec::new(),
            bytes: 0,
        }
    }

    /// Begins a file.
    #[must_use]
    pub fn file(&self) -> FileInProgress {
        let chunk_bytes = self.options.chunk_bytes.clamp(1, CHUNK_BYTES);
        let adder = FileAdder::builder()
            .with_chunker(Chunker::Size(chunk_bytes))
            .build();
        FileInProgress {
            adder,
            root: None,
            total_bytes: 0,
            file_bytes: 0,
        }
    }

    /// Adds bytes to the end of a file.
    ///
    /// # Errors
    ///
    /// The sink's.
    pub async fn extend(&mut self, file: &mut FileInProgress, bytes: &[u8]) -> Result<(), Error> {
        let mut rest = bytes;
        file.file_bytes += u64::try_from(bytes.len()).unwrap_or(u64::MAX);
        while !rest.is_empty() {
            let (blocks, consumed) = file.adder.push(rest);
            let blocks: Vec<_> = blocks.collect();
            rest = rest.get(consumed..).unwrap_or_default();
            self.add_blocks(file, blocks).await?;
        }
        Ok(())
    }

    async fn add_blocks(
        &mut self,
        file: &mut FileInProgress,
        blocks: Vec<(Cid, Vec<u8>)>,
    ) -> Result<(), Error> {
        for (cid, bytes) in blocks {
            file.total_bytes += u64::try_from(bytes.len()).unwrap_or(u64::MAX);
            self.push(Block::hashed(cid, bytes)).await?;
            file.root = Some(cid);
        }
        Ok(())
    }

    /// Ends a file.
    ///
    /// # Errors
    ///
    /// The sink's.
    pub async fn end_file(&mut self, mut file: FileInProgress) -> Result<Added, Error> {
        let adder = std::mem::take(&mut file.adder);
        let last: Vec<_> = adder.finish().collect();
        self.add_blocks(&mut file, last).await?;
        Ok(Added {
            cid: file.root.unwrap_or_else(|| cid::of(cid::RAW, b"")),
            total_bytes: file.total_bytes,
            file_bytes: file.file_bytes,
        })
    }

    /// Adds a directory of entries that were added before, in the order of the bytes of their names.
    ///
    /// # Errors
    ///
    /// [`Error::Unsupported`] for too many entries, or the sink's.
    pub async fn directory(
        &mut self,
        entries: Vec<(String, Added)>,
        path: &Path,
    ) -> Result<Added, Error> {
        let (mut file_bytes, mut below) = (0, 0);
        let mut links = Vec::with_capacity(entries.len());
        for (name, added) in entries {
            file_bytes += added.file_bytes;
            below += added.total_bytes;
            links.push(Link {
                hash: added.cid.to_bytes(),
                name: Some(name),
                total_bytes: Some(added.total_bytes),
            });
        }
        let data = UnixFs {
            kind: DIRECTORY,
            ..UnixFs::default()
        };
        let node = Node {
            data: Some(data.encode_to_vec()),
            links,
        };
        let (cid, own) = self.node(&node, path).await?;
        Ok(Added {
            cid,
            total_bytes: below + own,
            file_bytes,
        })
    }

    /// Adds a symbolic link.
    ///
    /// # Errors
    ///
    /// The sink's.
    pub async fn symlink(&mut self, target: String, path: &Path) -> Result<Added, Error> {
        let data = UnixFs {
            kind: SYMLINK,
            data: Some(target.into_bytes()),
            ..UnixFs::default()
        };
        let node = Node {
            data: Some(data.encode_to_vec()),
            links: Vec::new(),
        };
        let (cid, total_bytes) = self.node(&node, path).await?;
        Ok(Added {
            cid,
            total_bytes,
            file_bytes: 0,
        })
    }

    async fn push(&mut self, block: Block) -> Result<(), Error> {
        self.bytes += block.bytes().len();
        self.blocks.push(block);
        if self.bytes >= BATCH_BYTES {
            self.flush().await
        } else {
            Ok(())
        }
    }

    /// Hands over what is left. What was added is complete only after this.
    ///
    /// # Errors
    ///
    /// The sink's.
    pub async fn flush(&mut self) -> Result<(), Error> {
        self.bytes = 0;
        let blocks = std::mem::take(&mut self.blocks);
        if blocks.is_empty() {
            Ok(())
        } else {
            self.sink.put_many(blocks).await
        }
    }

    async fn node(&mut self, node: &Node, path: &Path) -> Result<(Cid, u64), Error> {
        let bytes = node.to_bytes();
        if bytes.len() > MAX_BLOCK_BYTES {
            let reason = "too many entries for one directory";
            return Err(Error::Unsupported {
                path: path.to_owned(),
                reason,
            });
        }
        let own = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
        let block = Block::encode(cid::DAG_PB, bytes)?;
        let cid = *block.cid();
        self.push(block).await?;
        Ok((cid, own))
    }
}

/// Adds a file, or a directory with everything in it. Symbolic links inside it are kept as links; the
/// one that `path` itself may be is followed. Permissions and times are not kept, so that the same
/// content has the same CID on every machine.
///
/// # Errors
///
/// [`Error::Path`] for what cannot be read, [`Error::Unsupported`] for sockets and devices, names
/// that are not UTF-8, and directories that are too large or too deep.
pub async fn add_path<S: BlockSink>(
    path: &Path,
    sink: &S,
    options: &AddOptions,
) -> Result<Added, Error> {
    let mut batch = Adder::new(sink, options);
    let metadata = tokio::fs::metadata(path)
        .await
        .map_err(|e| path_error(path, e))?;
    let added = if metadata.is_dir() {
        directory(path.to_owned(), &mut batch, 0).await?
    } else if metadata.is_file() {
        let file = tokio::fs::File::open(path)
            .await
            .map_err(|e| path_error(path, e))?;
        read_file(file, path, &mut batch).await?
    } else {
        return Err(neither_file_nor_directory(path));
    };
    batch.flush().await?;
    Ok(added)
}

/// Adds what `reader` gives as a file.
///
/// # Errors
///
/// [`Error::Path`] with an empty path when reading fails, or the sink's error.
pub async fn add_reader<S: BlockSink>(
    reader: impl AsyncRead + Unpin + Send,
    sink: &S,
    options: &AddOptions,
) -> Result<Added, Error> {
    let mut batch = Adder::new(sink, options);
    let added = read_file(reader, Path::new("standard input"), &mut batch).await?;
    batch.flush().await?;
    Ok(added)
}

/// Adds `bytes` as a file.
///
/// # Errors
///
/// The sink's.
pub async fn add_bytes<S: BlockSink>(bytes: &[u8], sink: &S) -> Result<Added, Error> {
    add_reader(bytes, sink, &AddOptions::default()).await
}

async fn read_file<S: BlockSink>(
    mut reader: impl AsyncRead + Unpin + Send,
    path: &Path,
    batch: &mut Adder<'_, S>,
) -> Result<Added, Error> {
    let mut file = batch.file();
    let mut buffer = vec![0; CHUNK_BYTES];
    loop {
        let filled = fill(&mut reader, &mut buffer)
            .await
            .map_err(|e| path_error(path, e))?;
        batch
            .extend(&mut file, buffer.get(..filled).unwrap_or_default())
            .await?;
        if filled < CHUNK_BYTES {
            return batch.end_file(file).await;
        }
    }
}

/// Reads until the buffer is full or the reader is at its end.
async fn fill(reader: &mut (impl AsyncRead + Unpin), buffer: &mut [u8]) -> std::io::Result<usize> {
    let mut filled = 0;
    while let Some(rest) = buffer.get_mut(filled..).filter(|rest| !rest.is_empty()) {
        match reader.read(rest).await? {
            0 => break,
            read => filled += read,
        }
    }
    Ok(filled)
}

type BoxedAdd<'f> = Pin<Box<dyn Future<Output = Result<Added, Error>> + Send + 'f>>;

fn directory<'f, S: BlockSink>(
    path: PathBuf,
    batch: &'f mut Adder<'_, S>,
    depth: usize,
) -> BoxedAdd<'f> {
    Box::pin(async move {
        if depth > MAX_DEPTH {
            return Err(Error::Unsupported {
                path,
                reason: "directories are nested too deeply",
            });
        }
        let mut entries = Vec::new();
        for (name, kind) in sorted_entries(&path).await? {
            let entry = path.join(&name);
            let added = if kind.is_dir() {
                directory(entry, batch, depth + 1).await?
            } else if kind.is_symlink() {
                symlink(&entry, batch).await?
            } else if kind.is_file() {
                let file = tokio::fs::File::open(&entry)
                    .await
                    .map_err(|e| path_error(&entry, e))?;
                read_file(file, &entry, batch).await?
            } else {
                return Err(neither_file_nor_directory(&entry));
            };
            entries.push((name, added));
        }
        batch.directory(entries, &path).await
    })
}

/// The entries of a directory in the order of their bytes, as dag-pb wants them.
async fn sorted_entries(path: &Path) -> Result<Vec<(String, std::fs::FileType)>, Error> {
    let mut entries = Vec::new();
    let mut listing = tokio::fs::read_dir(path)
        .await
        .map_err(|e| path_error(path, e))?;
    while let Some(entry) = listing
        .next_entry()
        .await
        .map_err(|e| path_error(path, e))?
    {
        let kind = entry
            .file_type()
            .await
            .map_err(|e| path_error(&entry.path(), e))?;
        let name = entry
            .file_name()
            .into_string()
            .map_err(|_| Error::Unsupported {
                path: entry.path(),
                reason: "its name is not UTF-8",
            })?;
        entries.push((name, kind));
    }
    entries.sort_unstable_by(|(a, _), (b, _)| a.as_bytes().cmp(b.as_bytes()));
    Ok(entries)
}

async fn symlink<S: BlockSink>(path: &Path, batch: &mut Adder<'_, S>) -> Result<Added, Error> {
    let target = tokio::fs::read_link(path)
        .await
        .map_err(|e| path_error(path, e))?;
    let target = target
        .into_os_string()
        .into_string()
        .map_err(|_| Error::Unsupported {
            path: path.to_owned(),
            reason: "the target of the symbolic link is not UTF-8",
        })?;
    batch.symlink(target, path).await
}

fn neither_file_nor_directory(path: &Path) -> Error {
    Error::Unsupported {
        path: path.to_owned(),
        reason: "neither a file nor a directory",
    }
}

pub(super) fn path_error(path: &Path, source: std::io::Error) -> Error {
    if crate::error::is_disk_full(&source) {
        return Error::DiskFull;
    }
    Error::Path {
        path: path.to_owned(),
        source,
    }
}
