//! Adding a tree piece by piece.

use super::hamt::{self, Tree};
use crate::{
    Block, BlockSink, Error, MAX_BLOCK_BYTES,
    dagpb::{DIRECTORY, Link, Node, SYMLINK, UnixFs},
    limits::CHUNK_BYTES,
    seal::{self, Cipher, Key, Place},
};
use mc_types::{Cid, cid};
use prost::Message;
use rust_unixfs::{
    Metadata,
    file::adder::{Chunker, FileAdder},
};
use std::{
    collections::BTreeMap,
    future::Future,
    path::{Path, PathBuf},
    pin::Pin,
    sync::{Arc, Mutex, PoisonError},
};

/// Blocks that are handed to the sink at a time, in bytes.
const BATCH_BYTES: usize = 8 << 20;
/// And in number.
const BATCH_BLOCKS: usize = 4096;

/// How symbolic links inside a directory are added.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Symlinks {
    /// As links.
    #[default]
    Keep,
    /// As what they lead to.
    Follow,
    /// Not at all: the whole is refused.
    Refuse,
}

/// What was left out because it could not be read, and why.
#[derive(Debug, Clone, Default)]
pub struct Skipped(Arc<Mutex<BTreeMap<PathBuf, String>>>);

impl Skipped {
    /// Takes note of an entry that is left out. `None` for an error that concerns more than one entry.
    pub(super) fn note(&self, error: &Error) -> Option<()> {
        let (Error::Path { path, .. } | Error::Unsupported { path, .. }) = error else {
            return None;
        };
        let mut skipped = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        skipped.insert(path.clone(), error.to_string());
        Some(())
    }

    /// What was left out so far: each with its path and the reason.
    #[must_use]
    pub fn take(&self) -> Vec<String> {
        let mut skipped = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        std::mem::take(&mut *skipped).into_values().collect()
    }
}

/// How files become blocks. The defaults are those that every node uses: other values give other CIDs.
#[derive(Debug, Clone)]
pub struct AddOptions {
    /// Bytes of a leaf: from 1 KiB to 1 MiB.
    pub chunk_bytes: usize,
    /// The version of CIDs: 0 or 1. Version 0 wraps leaves in nodes, unless `raw_leaves` says otherwise.
    pub cid_version: cid::Version,
    /// Whether leaves are bytes and nothing else; by default those of version 1 are.
    pub raw_leaves: Option<bool>,
    /// Whether permissions are kept. By default they are not, so that the same content has the same CID on
    /// every machine.
    pub modes: bool,
    /// How symbolic links are added.
    pub symlinks: Symlinks,
    /// Leaves out what cannot be read, and takes note of it; without it, the whole is refused.
    pub skipped: Option<Skipped>,
    /// Leaves out what no guest sees: what is neither file, directory nor link; names and targets of links that are not
    /// UTF-8; and what is on its way into a directory of the user's.
    pub for_guests: bool,
    /// Encrypts everything. Leaves are then of the usual size, whatever `chunk_bytes` says.
    pub key: Option<Key>,
}

impl Default for AddOptions {
    fn default() -> Self {
        Self {
            chunk_bytes: CHUNK_BYTES,
            cid_version: cid::Version::V1,
            raw_leaves: None,
            modes: false,
            symlinks: Symlinks::default(),
            skipped: None,
            for_guests: false,
            key: None,
        }
    }
}

/// Why an entry cannot be added that guests would not see anyway.
pub(super) const NO_FILE: &str = "neither a file nor a directory";
pub(super) const NAME_NOT_UTF8: &str = "its name is not UTF-8";
pub(super) const TARGET_NOT_UTF8: &str = "the target of the symbolic link is not UTF-8";

impl AddOptions {
    /// Goes on without an entry that cannot be added, if the options say so.
    pub(super) fn leave_out(&self, error: Error) -> Result<(), Error> {
        if let Error::Unsupported { reason, .. } = &error
            && self.for_guests
            && [NO_FILE, NAME_NOT_UTF8, TARGET_NOT_UTF8].contains(reason)
        {
            return Ok(());
        }
        let noted = self.skipped.as_ref();
        noted.and_then(|skipped| skipped.note(&error)).ok_or(error)
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
    pub(super) options: AddOptions,
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
    sealing: Option<Sealing>,
}

/// A file that is encrypted as it is added.
struct Sealing {
    cipher: Cipher,
    /// Chunks that were sealed.
    sealed: u64,
    /// What comes after them. The last chunk is sealed only when it is known to be the last.
    rest: Vec<u8>,
}

impl Sealing {
    fn new(key: &Key) -> Self {
        Self {
            cipher: key.cipher(),
            sealed: 0,
            rest: Vec::new(),
        }
    }

    /// Takes bytes up to the end of the chunk; returns the chunk once there are more.
    fn take<'b>(&mut self, bytes: &'b [u8]) -> (Option<Vec<u8>>, &'b [u8]) {
        let chunk = (self.rest.len() == seal::CHUNK_BYTES).then(|| self.seal(false));
        let room = seal::CHUNK_BYTES - self.rest.len();
        let (now, later) = bytes.split_at(room.min(bytes.len()));
        self.rest.extend_from_slice(now);
        (chunk, later)
    }

    fn seal(&mut self, is_last: bool) -> Vec<u8> {
        let place = Place::Chunk {
            index: self.sealed,
            is_last,
        };
        self.sealed += 1;
        let chunk = self.cipher.seal(place, &self.rest);
        self.rest.clear();
        chunk
    }
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

    /// Begins a file, which is encrypted if there is a key.
    #[must_use]
    pub fn file(&self, key: Option<&Key>) -> FileInProgress {
        self.file_with(None, key)
    }

    /// Begins a file with these permissions.
    pub(super) fn file_with(&self, mode: Option<u32>, key: Option<&Key>) -> FileInProgress {
        let chunk_bytes = match key {
            None => self.options.chunk_bytes.clamp(1, CHUNK_BYTES),
            Some(_) => seal::SEALED_CHUNK_BYTES,
        };
        let mut builder = FileAdder::builder()
            .with_chunker(Chunker::Size(chunk_bytes))
            .with_cid_version(self.options.cid_version)
            .with_metadata(Metadata::new(mode, None));
        if let Some(raw) = self.options.raw_leaves {
            builder = builder.with_raw_leaves(raw);
        }
        FileInProgress {
            adder: builder.build(),
            root: None,
            total_bytes: 0,
            file_bytes: 0,
            sealing: key.map(Sealing::new),
        }
    }

    /// Adds bytes to the end of a file.
    ///
    /// # Errors
    ///
    /// The sink's.
    pub async fn extend(&mut self, file: &mut FileInProgress, bytes: &[u8]) -> Result<(), Error> {
        file.file_bytes += u64::try_from(bytes.len()).unwrap_or(u64::MAX);
        let mut rest = bytes;
        while let Some(sealing) = file.sealing.as_mut().filter(|_| !rest.is_empty()) {
            let (chunk, later) = sealing.take(rest);
            rest = later;
            if let Some(chunk) = chunk {
                self.chunk(file, &chunk).await?;
            }
        }
        self.chunk(file, rest).await
    }

    /// Adds bytes as they are to be in blocks.
    async fn chunk(&mut self, file: &mut FileInProgress, bytes: &[u8]) -> Result<(), Error> {
        let mut rest = bytes;
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
        if let Some(mut sealing) = file.sealing.take() {
            self.chunk(&mut file, &sealing.seal(true)).await?;
        }
        let adder = std::mem::take(&mut file.adder);
        let last: Vec<_> = adder.finish().collect();
        self.add_blocks(&mut file, last).await?;
        Ok(Added {
            cid: file.root.unwrap_or_else(|| cid::of(cid::RAW, b"")),
            total_bytes: file.total_bytes,
            file_bytes: file.file_bytes,
        })
    }

    /// Adds a directory of entries that were added before, in the order of the bytes of their names. A
    /// large one is sharded. If there is a key, the names are encrypted, and the entries have to be, with the
    /// keys that [`Key::below`] gives for their names.
    ///
    /// # Errors
    ///
    /// [`Error::Unsupported`] for names that cannot be told apart, or the sink's.
    pub async fn directory(
        &mut self,
        entries: Vec<(String, Added)>,
        key: Option<&Key>,
        path: &Path,
    ) -> Result<Added, Error> {
        self.directory_with(entries, (None, key), path).await
    }

    pub(super) async fn directory_with(
        &mut self,
        entries: Vec<(String, Added)>,
        (mode, key): (Option<u32>, Option<&Key>),
        path: &Path,
    ) -> Result<Added, Error> {
        let file_bytes = entries.iter().map(|(_, added)| added.file_bytes).sum();
        let link = |(name, added): (String, Added)| Link {
            hash: added.cid.to_bytes(),
            name: Some(key.map_or_else(|| name.clone(), |key| key.seal_name(&name))),
            total_bytes: Some(added.total_bytes),
        };
        let mut links: Vec<_> = entries.into_iter().map(link).collect();
        if key.is_some() {
            links.sort_unstable_by(|one, other| one.name.cmp(&other.name));
        }
        let (cid, total_bytes) = if hamt::is_needed(&links) {
            let tree = hamt::tree(links).map_err(|_| Error::Unsupported {
                path: path.to_owned(),
                reason: "two of its names have the same hash",
            })?;
            self.shard(tree, mode).await?
        } else {
            let data = UnixFs {
                kind: DIRECTORY,
                mode,
                ..UnixFs::default()
            };
            let data = Some(data.encode_to_vec());
            self.node(&Node { data, links }).await?
        };
        Ok(Added {
            cid,
            total_bytes,
            file_bytes,
        })
    }

    /// Adds the shards of a directory, the lowest first.
    fn shard<'f>(&'f mut self, tree: BTreeMap<u64, Tree>, mode: Option<u32>) -> BoxedShard<'f> {
        Box::pin(async move {
            let mut links = BTreeMap::new();
            for (number, child) in tree {
                let link = match child {
                    Tree::Entry(link) => link,
                    Tree::Shard(below) => {
                        let (cid, total_bytes) = self.shard(below, None).await?;
                        Link {
                            hash: cid.to_bytes(),
                            name: None,
                            total_bytes: Some(total_bytes),
                        }
                    }
                };
                links.insert(number, link);
            }
            self.node(&hamt::node(links, mode)).await
        })
    }

    /// Adds a symbolic link, whose target is encrypted if there is a key.
    ///
    /// # Errors
    ///
    /// The sink's.
    pub async fn symlink(&mut self, target: String, key: Option<&Key>) -> Result<Added, Error> {
        let target = match key {
            None => target.into_bytes(),
            Some(key) => key.cipher().seal(Place::Target, target.as_bytes()),
        };
        let data = UnixFs {
            kind: SYMLINK,
            data: Some(target),
            ..UnixFs::default()
        };
        let node = Node {
            data: Some(data.encode_to_vec()),
            links: Vec::new(),
        };
        let (cid, total_bytes) = self.node(&node).await?;
        Ok(Added {
            cid,
            total_bytes,
            file_bytes: 0,
        })
    }

    async fn push(&mut self, block: Block) -> Result<(), Error> {
        self.bytes += block.bytes().len();
        self.blocks.push(block);
        if self.bytes >= BATCH_BYTES || self.blocks.len() >= BATCH_BLOCKS {
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

    /// Adds a node; returns its CID and the bytes of the DAG below it, its own included.
    async fn node(&mut self, node: &Node) -> Result<(Cid, u64), Error> {
        let bytes = node.to_bytes();
        if bytes.len() > MAX_BLOCK_BYTES {
            return Err(Error::BlockTooLarge { bytes: bytes.len() });
        }
        let own = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
        let below = node.links.iter().filter_map(|link| link.total_bytes);
        let total = below.fold(own, u64::saturating_add);
        let mut cid = cid::of(cid::DAG_PB, &bytes);
        if self.options.cid_version == cid::Version::V0 {
            // Every sha2-256 of a dag-pb node has one.
            cid = Cid::new_v0(*cid.hash()).unwrap_or(cid);
        }
        self.push(Block::hashed(cid, bytes)).await?;
        Ok((cid, total))
    }
}

type BoxedShard<'f> = Pin<Box<dyn Future<Output = Result<(Cid, u64), Error>> + Send + 'f>>;
