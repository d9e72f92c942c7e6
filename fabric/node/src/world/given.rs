//! What a task was given, read as it asks for it.

use super::host_files;
use mc_content::{
    BlockSource, Error,
    unixfs::{Found, RandomAccess},
};
use mc_types::Cid;
use mc_wasi::{At, Given as Kind, Inputs, Stop};
use std::{
    collections::HashMap,
    future::Future,
    io::{Read, Seek, SeekFrom, Write},
    path::PathBuf,
    sync::Arc,
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
    Content(Cid),
    /// A file or directory of this machine.
    Path(PathBuf),
}

/// What standard input reads.
#[derive(Debug)]
pub enum Stdin {
    /// Nothing.
    Empty,
    /// A file.
    Root(Root),
    /// This process's own, which is kept in a file as it is read.
    Inherit {
        /// The file.
        spool: std::fs::File,
        /// How many bytes are in it.
        spooled: u64,
    },
}

/// Gives the digest of the task's CID.
pub type Seed = Box<dyn FnMut() -> Result<[u8; 32], Stop> + Send>;

/// What a task was given. Reading blocks on `S`, so a runtime's own threads must not do it.
pub struct Given<S> {
    roots: Vec<Option<Root>>,
    stdin: Stdin,
    seed: Seed,
    blocks: RandomAccess<S>,
    files: host_files::Cache,
    runtime: Handle,
    cancel: CancellationToken,
    deadline: Option<Instant>,
    /// CIDs of places, and listings of directories.
    cids: HashMap<At, Option<Cid>>,
    listings: HashMap<At, Arc<[String]>>,
}

impl<S> std::fmt::Debug for Given<S> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Given").finish_non_exhaustive()
    }
}

impl<S: BlockSource> Given<S> {
    /// What is at `roots`, of which those of content are read from `source` by `runtime`. Fetching ends
    /// when `cancel` is cancelled.
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
            cids: HashMap::new(),
            listings: HashMap::new(),
        }
    }

    /// Fetching ends at `deadline`, too.
    #[must_use]
    pub const fn until(mut self, deadline: Option<Instant>) -> Self {
        self.deadline = deadline;
        self
    }

    fn root(&self, at: &At) -> Option<Root> {
        let mount = usize::try_from(at.mount).ok()?;
        self.roots.get(mount)?.clone()
    }

    /// The CID of a place below `root`, if there is something.
    fn cid(&mut self, root: Cid, at: &At) -> Result<Option<Cid>, Stop> {
        if at.path.is_empty() {
            return Ok(Some(root));
        }
        if let Some(known) = self.cids.get(at) {
            return Ok(*known);
        }
        let (parent, name) = at.path.rsplit_once('/').unwrap_or(("", &at.path));
        let parent = At {
            mount: at.mount,
            path: parent.to_owned(),
        };
        let found = match self.cid(root, &parent)? {
            None => None,
            Some(directory) => match self.find(directory)? {
                Found::Directory(entries) => entries
                    .iter()
                    .find(|(entry, _)| entry == name)
                    .map(|(_, cid)| *cid),
                Found::File { .. } | Found::Symlink { .. } => None,
            },
        };
        if self.cids.len() >= MAX_REMEMBERED {
            self.cids.clear();
        }
        self.cids.insert(at.clone(), found);
        Ok(found)
    }

    fn find(&mut self, cid: Cid) -> Result<Found, Stop> {
        let (runtime, wait) = (self.runtime.clone(), self.patience());
        let found = runtime.block_on(wait.wait(self.blocks.find(cid)));
        found?.map_err(|error| failed(&error))
    }

    fn read_block(&mut self, cid: Cid, offset: u64, into: &mut [u8]) -> Result<usize, Stop> {
        let (runtime, wait) = (self.runtime.clone(), self.patience());
        let read = runtime.block_on(wait.wait(self.blocks.read(cid, offset, into)));
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
        let cid = match root {
            Root::Path(path) => return self.files.read(path, &at.path, offset, into),
            Root::Content(root) => self.cid(*root, at)?,
        };
        let Some(cid) = cid else {
            return Ok(0);
        };
        let (mut read, mut rest) = (0, into);
        while !rest.is_empty() {
            match self.read_block(cid, offset + read as u64, rest)? {
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

/// How long to wait for what others have.
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
    Stop::Host(format!("{}: {error}", error.code()))
}

fn io_failed(error: std::io::Error) -> Stop {
    Stop::Host(format!("standard input cannot be read: {error}"))
}

impl<S: BlockSource> Inputs for Given<S> {
    fn look_up(&mut self, at: &At) -> Result<Option<Kind>, Stop> {
        let root = match self.root(at) {
            None => return Ok(None),
            Some(Root::Path(path)) => return host_files::look_up(&path, &at.path),
            Some(Root::Content(root)) => root,
        };
        let Some(cid) = self.cid(root, at)? else {
            return Ok(None);
        };
        Ok(Some(match self.find(cid)? {
            Found::Directory(_) => Kind::Directory,
            Found::File { file_bytes } => Kind::File { size: file_bytes },
            Found::Symlink { target } => Kind::Symlink { target },
        }))
    }

    fn list(&mut self, at: &At) -> Result<Arc<[String]>, Stop> {
        if let Some(known) = self.listings.get(at) {
            return Ok(Arc::clone(known));
        }
        let mut names = match self.root(at) {
            None => Vec::new(),
            Some(Root::Path(path)) => host_files::list(&path, &at.path)?,
            Some(Root::Content(root)) => match self.cid(root, at)? {
                None => Vec::new(),
                Some(cid) => match self.find(cid)? {
                    Found::Directory(entries) => {
                        entries.into_iter().map(|(name, _)| name).collect()
                    }
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
        match &mut self.stdin {
            Stdin::Empty => Ok(0),
            Stdin::Root(root) => {
                let root = root.clone();
                self.read_root(&root, &At::mount(u32::MAX), offset, into)
            }
            Stdin::Inherit { spool, spooled } => {
                if offset < *spooled {
                    spool.seek(SeekFrom::Start(offset)).map_err(io_failed)?;
                    return spool.read(into).map_err(io_failed);
                }
                let read = std::io::stdin().lock().read(into).map_err(io_failed)?;
                spool.seek(SeekFrom::End(0)).map_err(io_failed)?;
                let new = into.get(..read).unwrap_or_default();
                spool.write_all(new).map_err(io_failed)?;
                *spooled += read as u64;
                Ok(read)
            }
        }
    }

    fn seed(&mut self) -> Result<[u8; 32], Stop> {
        (self.seed)()
    }
}
