//! What a task leaves, as content.

use super::from_root;
use mc_content::{
    AddOptions, BlockSink, Error, Key, TaskKey,
    unixfs::{Added, Adder},
};
use mc_types::{Cid, MAX_DIRECTORY_DEPTH};
use mc_wasi::{FileKind, FileSystem, Host, Inputs, NodeId};
use std::{collections::BTreeMap, path::Path, path::PathBuf};
use tokio::runtime::Handle;

/// Bytes that are read at a time.
const READ_BYTES: usize = 1 << 20;

/// What a task left.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TaskOutputs {
    /// What is in `/out`.
    pub outputs: Cid,
    /// What is in each of its own directories.
    pub dirs: BTreeMap<String, Cid>,
}

/// Adds `/out` and `dirs` to `sink`, encrypted if there is a key. Blocks, so a runtime's own threads must not call it.
///
/// # Errors
///
/// [`Error::Unsupported`] for directories that are too large or too deep, or the sink's.
pub fn collect<'d, S: BlockSink>(
    world: &mut Host,
    dirs: impl IntoIterator<Item = &'d String>,
    key: Option<&TaskKey>,
    sink: &S,
    runtime: &Handle,
) -> Result<TaskOutputs, Error> {
    let (files, inputs) = world.files();
    let mut collector = Collector {
        files,
        inputs,
        adder: Adder::new(sink, &AddOptions::default()),
        runtime,
    };
    let key = |path: &str| key.map(|key| key.result(path));
    let outputs = collector.directory_at("/out", key("/out").as_ref())?;
    let dirs = dirs
        .into_iter()
        .map(|path| {
            Ok((
                path.clone(),
                collector.directory_at(path, key(path).as_ref())?,
            ))
        })
        .collect::<Result<_, Error>>()?;
    runtime.block_on(collector.adder.flush())?;
    Ok(TaskOutputs { outputs, dirs })
}

struct Collector<'a, S> {
    files: &'a mut FileSystem,
    inputs: &'a mut dyn Inputs,
    adder: Adder<'a, S>,
    runtime: &'a Handle,
}

impl<S: BlockSink> Collector<'_, S> {
    fn directory_at(&mut self, path: &str, key: Option<&Key>) -> Result<Cid, Error> {
        let (root, relative) = (FileSystem::ROOT, from_root(path));
        let stat = self.files.stat_at(root, relative, false, self.inputs);
        let stat = stat.map_err(|e| unreadable(Path::new(path), e))?;
        let added = match stat.kind {
            FileKind::Directory => {
                // A mount inside it is no part of it; the entry beneath the mount is, unchanged.
                let covers = self.files.uncover(stat.node);
                let added = self.directory(stat.node, PathBuf::from(path), key, 0);
                self.files.cover(stat.node, covers);
                added?
            }
            FileKind::File => self.file(stat.node, Path::new(path), key)?,
            FileKind::Symlink => self.symlink((root, relative), Path::new(path), key)?,
            FileKind::Device => return Err(device(Path::new(path))),
        };
        Ok(added.cid)
    }

    fn directory(
        &mut self,
        node: NodeId,
        path: PathBuf,
        key: Option<&Key>,
        depth: usize,
    ) -> Result<Added, Error> {
        if depth > MAX_DIRECTORY_DEPTH {
            return Err(Error::Unsupported {
                path,
                reason: "directories are nested too deeply",
            });
        }
        let mut entries = Vec::new();
        let mut after: Option<String> = None;
        loop {
            let next = self.files.entry_after(node, after.as_deref(), self.inputs);
            let Some(entry) = next.map_err(|e| unreadable(&path, e))? else {
                break;
            };
            let place = path.join(&entry.name);
            let below = key.map(|key| key.below(&entry.name));
            let below = below.as_ref();
            let added = match entry.kind {
                FileKind::Directory => self.directory(entry.node, place, below, depth + 1)?,
                FileKind::File => self.file(entry.node, &place, below)?,
                FileKind::Symlink => self.symlink((node, &entry.name), &place, below)?,
                FileKind::Device => return Err(device(&place)),
            };
            entries.push((entry.name.clone(), added));
            after = Some(entry.name);
        }
        let directory = self.adder.directory(entries, key, &path);
        self.runtime.block_on(directory)
    }

    fn file(&mut self, node: NodeId, path: &Path, key: Option<&Key>) -> Result<Added, Error> {
        let mut file = self.adder.file(key);
        let (mut offset, mut buffer) = (0, vec![0; READ_BYTES]);
        loop {
            let read = self.files.read(node, offset, &mut buffer, self.inputs);
            let read = read.map_err(|e| unreadable(path, e))?;
            let Some(bytes) = buffer.get(..read).filter(|bytes| !bytes.is_empty()) else {
                break;
            };
            self.runtime.block_on(self.adder.extend(&mut file, bytes))?;
            offset += read as u64;
        }
        self.runtime.block_on(self.adder.end_file(file))
    }

    fn symlink(
        &mut self,
        (base, name): (NodeId, &str),
        path: &Path,
        key: Option<&Key>,
    ) -> Result<Added, Error> {
        let target = self.files.read_link(base, name, self.inputs);
        let target = target.map_err(|e| unreadable(path, e))?;
        self.runtime.block_on(self.adder.symlink(target, key))
    }
}

/// Devices stay where they are.
fn device(path: &Path) -> Error {
    Error::Unsupported {
        path: path.to_owned(),
        reason: "a device",
    }
}

fn unreadable(path: &Path, error: mc_wasi::Error) -> Error {
    Error::Path {
        path: path.to_owned(),
        source: std::io::Error::other(error),
    }
}
