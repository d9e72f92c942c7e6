//! What a task was given, read as it asks for it.

use super::{host_files, seen::Seen};
use mc_content::{
    BlockSource, Error,
    unixfs::{Entity, Found, RandomAccess},
};
use mc_types::with_causes;
use mc_wasi::{At, InputEntry, Inputs, Stop, Storage};
use std::{
    collections::HashMap,
    fs::File,
    future::Future,
    io::{Read, Seek, SeekFrom, Write},
    os::fd::AsFd,
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError},
    time::Instant,
};
use tokio::runtime::Handle;
use tokio_util::sync::CancellationToken;

/// Most places whose CIDs are remembered.
const MAX_REMEMBERED: usize = 100_000;

/// What a mount is made from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Root {
    /// A DAG.
    Content(Entity),
    /// A file or directory of this machine.
    Path(PathBuf),
}

/// What standard input reads.
#[derive(Debug, Clone)]
pub enum Stdin {
    /// Nothing.
    Empty,
    /// A file.
    Root(Root),
    /// This process's own, which a file keeps as it is read.
    Inherit(Arc<Mutex<Spool>>),
}

/// A file with the part of this process's standard input that was read.
#[derive(Debug)]
pub struct Spool {
    file: File,
    /// How many bytes are in it.
    bytes: u64,
}

impl Spool {
    /// Nothing yet, in `file`, which is empty.
    #[must_use]
    pub const fn new(file: File) -> Self {
        Self { file, bytes: 0 }
    }

    /// The bytes at `offset`, read from this process's standard input if necessary.
    fn read(&mut self, offset: u64, into: &mut [u8]) -> std::io::Result<usize> {
        if offset < self.bytes {
            self.file.seek(SeekFrom::Start(offset))?;
            return self.file.read(into);
        }
        let read = read_own(into)?;
        self.file.seek(SeekFrom::End(0))?;
        let new = into.get(..read).unwrap_or_default();
        self.file.write_all(new)?;
        self.bytes += read as u64;
        Ok(read)
    }
}

/// Gives the digest of the task's CID.
pub type Seed = Arc<dyn Fn() -> Result<[u8; 32], Stop> + Send + Sync>;

/// What a task was given. Reading blocks on `S`, so a runtime's own threads must not call it.
pub struct InputReader<S> {
    roots: Vec<Option<Root>>,
    stdin: Stdin,
    seed: Seed,
    blocks: RandomAccess<S>,
    files: host_files::Cache,
    runtime: Handle,
    cancel: CancellationToken,
    deadline: Option<Instant>,
    /// What the guest sees of directories that it may change.
    seen: Option<Seen>,
    /// Where files are kept that have no room in memory.
    storage: Option<Arc<dyn Storage>>,
    /// What is at a place, and listings of directories.
    entities: HashMap<At, Option<Entity>>,
    listings: HashMap<At, Arc<[String]>>,
}

impl<S> std::fmt::Debug for InputReader<S> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("InputReader").finish_non_exhaustive()
    }
}

impl<S: BlockSource> InputReader<S> {
    /// The inputs at `roots`. Those that are content are read from `source` by `runtime`. Fetching ends when `cancel`
    /// is cancelled.
    #[must_use]
    pub fn new(
        roots: Vec<Option<Root>>,
        stdin: Stdin,
        seed: Seed,
        source: S,
        runtime: Handle,
        cancel: CancellationToken,
    ) -> Self {
        Self {
            roots,
            stdin,
            seed,
            blocks: RandomAccess::new(source),
            files: host_files::Cache::default(),
            runtime,
            cancel,
            deadline: None,
            seen: None,
            storage: None,
            entities: HashMap::new(),
            listings: HashMap::new(),
        }
    }

    /// Fetching ends at `deadline`, too.
    #[must_use]
    pub const fn until(mut self, deadline: Option<Instant>) -> Self {
        self.deadline = deadline;
        self
    }

    /// Records in `seen` what the guest learns about this machine's files.
    #[must_use]
    pub fn watched(mut self, seen: Seen) -> Self {
        self.seen = Some(seen);
        self
    }

    /// Keeps files of the guest in `storage` that exceed the room in memory.
    #[must_use]
    pub fn stored(mut self, storage: Arc<dyn Storage>) -> Self {
        self.storage = Some(storage);
        self
    }

    fn root(&self, at: &At) -> Option<Root> {
        let mount = usize::try_from(at.mount).ok()?;
        self.roots.get(mount)?.clone()
    }

    /// What is at a place below `root`, if there is something.
    fn entity(&mut self, root: Entity, at: &At) -> Result<Option<Entity>, Stop> {
        if at.path.is_empty() {
            return Ok(Some(root));
        }
        if let Some(known) = self.entities.get(at) {
            return Ok(known.clone());
        }
        let (parent, name) = at.path.rsplit_once('/').unwrap_or(("", &at.path));
        let parent = At {
            mount: at.mount,
            path: parent.to_owned(),
        };
        let found = match self.entity(root, &parent)? {
            None => None,
            Some(directory) => match self.find(directory)? {
                Found::Directory(listing) => listing.get(name),
                Found::File { .. } | Found::Symlink { .. } => None,
            },
        };
        if self.entities.len() >= MAX_REMEMBERED {
            self.entities.clear();
        }
        self.entities.insert(at.clone(), found.clone());
        Ok(found)
    }

    fn find(&mut self, entity: Entity) -> Result<Found, Stop> {
        let (runtime, wait) = (self.runtime.clone(), self.patience());
        let found = runtime.block_on(wait.wait(self.blocks.find(entity)));
        found?.map_err(|error| failed(&error))
    }

    fn read_block(&mut self, file: Entity, offset: u64, into: &mut [u8]) -> Result<usize, Stop> {
        let (runtime, wait) = (self.runtime.clone(), self.patience());
        let read = runtime.block_on(wait.wait(self.blocks.read(file, offset, into)));
        read?.map_err(|error| failed(&error))
    }

    fn patience(&self) -> Patience {
        Patience {
            cancel: self.cancel.clone(),
            deadline: self.deadline,
        }
    }

    fn read_root(
        &mut self,
        root: &Root,
        at: &At,
        offset: u64,
        into: &mut [u8],
    ) -> Result<usize, Stop> {
        let file = match root {
            Root::Path(path) => return self.files.read(path, &at.path, offset, into),
            Root::Content(root) => self.entity(root.clone(), at)?,
        };
        let Some(file) = file else {
            return Ok(0);
        };
        let (mut read, mut rest) = (0, into);
        while !rest.is_empty() {
            match self.read_block(file.clone(), offset + read as u64, rest)? {
                0 => break,
                part => {
                    read += part;
                    rest = rest.get_mut(part..).unwrap_or_default();
                }
            }
        }
        Ok(read)
    }
}

/// How long to wait for content from others.
struct Patience {
    cancel: CancellationToken,
    deadline: Option<Instant>,
}

impl Patience {
    async fn wait<T>(&self, work: impl Future<Output = T>) -> Result<T, Stop> {
        let expired = async {
            match self.deadline {
                Some(deadline) => tokio::time::sleep_until(deadline.into()).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            biased;
            done = work => Ok(done),
            () = self.cancel.cancelled() => Err(Stop::Host("called off".to_owned())),
            () = expired => Err(Stop::Host("an input did not arrive in time".to_owned())),
        }
    }
}

fn failed(error: &Error) -> Stop {
    if error.is_contents_fault() {
        Stop::Unusable(with_causes(error))
    } else {
        Stop::Host(format!("{}: {}", error.code(), with_causes(error)))
    }
}

fn io_failed(error: std::io::Error) -> Stop {
    Stop::Host(format!("standard input cannot be read: {error}"))
}

impl<S: BlockSource> Inputs for InputReader<S> {
    fn look_up(&mut self, at: &At) -> Result<Option<InputEntry>, Stop> {
        let root = match self.root(at) {
            None => return Ok(None),
            Some(Root::Path(path)) => {
                let found = host_files::look_up(&path, &at.path, |metadata| {
                    if let Some(seen) = &self.seen {
                        seen.note(at, metadata);
                    }
                })?;
                if let (Some(seen), Some(InputEntry::Symlink { target })) = (&self.seen, &found) {
                    seen.note_target(at, target);
                }
                return Ok(found);
            }
            Some(Root::Content(root)) => root,
        };
        let Some(entity) = self.entity(root, at)? else {
            return Ok(None);
        };
        Ok(Some(match self.find(entity)? {
            Found::Directory(_) => InputEntry::Directory,
            Found::File { file_bytes } => InputEntry::File { size: file_bytes },
            Found::Symlink { target } => InputEntry::Symlink { target },
        }))
    }

    fn list(&mut self, at: &At) -> Result<Arc<[String]>, Stop> {
        if let Some(known) = self.listings.get(at) {
            return Ok(Arc::clone(known));
        }
        let mut names = match self.root(at) {
            None => Vec::new(),
            Some(Root::Path(path)) => host_files::list(&path, &at.path)?,
            Some(Root::Content(root)) => match self.entity(root, at)? {
                None => Vec::new(),
                Some(entity) => match self.find(entity)? {
                    Found::Directory(listing) => listing.names().map(str::to_owned).collect(),
                    Found::File { .. } | Found::Symlink { .. } => Vec::new(),
                },
            },
        };
        names.sort_unstable();
        let names: Arc<[String]> = names.into();
        if self.listings.len() >= MAX_REMEMBERED {
            self.listings.clear();
        }
        self.listings.insert(at.clone(), Arc::clone(&names));
        Ok(names)
    }

    fn read(&mut self, at: &At, offset: u64, into: &mut [u8]) -> Result<usize, Stop> {
        match self.root(at) {
            None => Ok(0),
            Some(root) => self.read_root(&root, at, offset, into),
        }
    }

    fn stdin(&mut self, offset: u64, into: &mut [u8]) -> Result<usize, Stop> {
        match &self.stdin {
            Stdin::Empty => Ok(0),
            Stdin::Root(root) => {
                let root = root.clone();
                self.read_root(&root, &At::mount(u32::MAX), offset, into)
            }
            Stdin::Inherit(spool) => {
                // The file is as long as it says, whatever panicked.
                let mut spool = spool.lock().unwrap_or_else(PoisonError::into_inner);
                spool.read(offset, into).map_err(io_failed)
            }
        }
    }

    fn seed(&mut self) -> Result<[u8; 32], Stop> {
        (self.seed)()
    }

    fn storage(&mut self) -> Option<Arc<dyn Storage>> {
        self.storage.clone()
    }
}

/// Reads this process's standard input, never ahead: the next command of a script may read the rest.
fn read_own(into: &mut [u8]) -> std::io::Result<usize> {
    let own = std::io::stdin().as_fd().try_clone_to_owned()?;
    File::from(own).read(into)
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;
    use mc_content::{AddOptions, Block, BlockSink, unixfs::Adder};
    use mc_types::{Cid, cid};
    use std::sync::atomic::{AtomicU64, Ordering};

    const LEAF_BYTES: usize = 1 << 20;
    const LEAVES: u32 = 1024;

    /// A file of a gibibyte whose leaves are made on every request.
    #[derive(Default)]
    struct Large {
        /// Which leaf it is, or the block itself.
        blocks: Mutex<HashMap<Cid, Result<u32, Bytes>>>,
        asked: AtomicU64,
    }

    fn leaf(number: u32) -> Vec<u8> {
        number.to_le_bytes().repeat(LEAF_BYTES / 4)
    }

    impl BlockSink for &Large {
        async fn put_many(&self, blocks: Vec<Block>) -> Result<(), Error> {
            let mut known = self.blocks.lock().unwrap();
            for block in blocks {
                let number = u32::from_le_bytes(*block.bytes().first_chunk().unwrap());
                let is_leaf = block.bytes().len() == LEAF_BYTES;
                let kept = if is_leaf {
                    Ok(number)
                } else {
                    Err(block.bytes().clone())
                };
                known.insert(*block.cid(), kept);
            }
            Ok(())
        }
    }

    impl BlockSource for &Large {
        async fn load(&self, cid: &Cid) -> Result<Bytes, Error> {
            self.asked.fetch_add(1, Ordering::Relaxed);
            let blocks = self.blocks.lock().unwrap();
            let not_found = Error::NotFound {
                cid: *cid,
                peers: None,
            };
            Ok(match blocks.get(cid).ok_or(not_found)? {
                Ok(number) => leaf(*number).into(),
                Err(bytes) => bytes.clone(),
            })
        }
    }

    fn given(runtime: &tokio::runtime::Runtime) -> (InputReader<&'static Large>, &'static Large) {
        let large: &'static Large = Box::leak(Box::default());
        let added = runtime.block_on(async {
            let mut adder = Adder::new(&large, &AddOptions::default());
            let mut file = adder.file(None);
            for number in 0..LEAVES {
                adder.extend(&mut file, &leaf(number)).await.unwrap();
            }
            let added = adder.end_file(file).await.unwrap();
            adder.flush().await.unwrap();
            added
        });
        let given = InputReader::new(
            vec![Some(Root::Content(added.cid.into()))],
            Stdin::Empty,
            Arc::new(|| Ok([0; 32])),
            large,
            runtime.handle().clone(),
            CancellationToken::new(),
        );
        (given, large)
    }

    #[test]
    fn a_megabyte_of_a_gigabyte_costs_the_blocks_that_are_touched() {
        let runtime = tokio::runtime::Runtime::new().unwrap();
        let (mut given, large) = given(&runtime);
        let at = At::mount(0);
        let size = u64::from(LEAVES) * LEAF_BYTES as u64;
        assert_eq!(given.look_up(&at).unwrap(), Some(InputEntry::File { size }));
        let offset = size / 2 + 12_345;
        let mut bytes = vec![0; LEAF_BYTES];
        // In pieces, as guests read.
        for (index, piece) in bytes.chunks_mut(64 << 10).enumerate() {
            let at_piece = offset + (index as u64) * (64 << 10);
            assert_eq!(given.read(&at, at_piece, piece).unwrap(), piece.len());
        }
        let expected: Vec<u8> = [leaf(LEAVES / 2), leaf(LEAVES / 2 + 1)].concat();
        assert_eq!(bytes, expected[12_345..12_345 + LEAF_BYTES]);
        // The root, at most one node on each of the levels below it, and two leaves.
        let asked = large.asked.load(Ordering::Relaxed);
        assert!(asked <= 8, "{asked} blocks");
        assert_eq!(
            given.read(&at, size, &mut bytes).unwrap(),
            0,
            "beyond the end"
        );
        assert_eq!(given.read(&at, size - 3, &mut bytes).unwrap(), 3);
    }

    #[test]
    fn a_read_is_called_off() {
        let runtime = tokio::runtime::Runtime::new().unwrap();
        let cancel = CancellationToken::new();
        let never = Never;
        let mut given = InputReader::new(
            vec![Some(Root::Content(cid::of(cid::RAW, b"").into()))],
            Stdin::Empty,
            Arc::new(|| Ok([0; 32])),
            never,
            runtime.handle().clone(),
            cancel.clone(),
        );
        cancel.cancel();
        assert!(matches!(given.look_up(&At::mount(0)), Err(Stop::Host(_))));
        let expired = Instant::now();
        let mut given = InputReader {
            cancel: CancellationToken::new(),
            ..given
        }
        .until(Some(expired));
        assert!(matches!(given.look_up(&At::mount(0)), Err(Stop::Host(_))));
    }

    struct Never;

    impl BlockSource for Never {
        async fn load(&self, _: &Cid) -> Result<Bytes, Error> {
            std::future::pending().await
        }
    }
}
