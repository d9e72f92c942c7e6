//! A task's inputs in memory.

use crate::{At, InputEntry, Inputs, Stop};
use std::{collections::BTreeMap, sync::Arc};

/// A tree of files in memory. For tests and benchmarks.
#[derive(Debug, Clone)]
pub enum Tree {
    /// A directory.
    Directory(BTreeMap<String, Tree>),
    /// A file.
    File(Vec<u8>),
    /// A link to a path.
    Symlink(String),
}

impl Tree {
    /// A directory of `entries`.
    #[must_use]
    pub fn directory<const N: usize>(entries: [(&str, Self); N]) -> Self {
        Self::Directory(entries.map(|(name, tree)| (name.to_owned(), tree)).into())
    }

    /// A file with `bytes` in it.
    #[must_use]
    pub fn file(bytes: impl AsRef<[u8]>) -> Self {
        Self::File(bytes.as_ref().to_vec())
    }

    fn at(&self, path: &str) -> Option<&Self> {
        let parts = path.split('/').filter(|part| !part.is_empty());
        let mut here = self;
        for part in parts {
            match here {
                Self::Directory(entries) => here = entries.get(part)?,
                Self::File(_) | Self::Symlink(_) => return None,
            }
        }
        Some(here)
    }
}

/// Inputs that are all in memory. For tests and benchmarks.
///
/// ```
/// use mc_wasi::{At, InputEntry, InMemory, Inputs, Tree};
///
/// let poem = Tree::directory([("poem", Tree::file("one two"))]);
/// let mut inputs = InMemory { mounts: vec![poem], ..InMemory::default() };
/// let poem = At { mount: 0, path: "poem".to_owned() };
/// assert_eq!(inputs.look_up(&poem)?, Some(InputEntry::File { size: 7 }));
/// let mut word = [0; 3];
/// assert_eq!(inputs.read(&poem, 4, &mut word)?, 3);
/// assert_eq!(&word, b"two");
/// # Ok::<(), mc_wasi::Stop>(())
/// ```
#[derive(Debug, Clone, Default)]
pub struct InMemory {
    /// What is at each mount.
    pub mounts: Vec<Tree>,
    /// What standard input reads.
    pub stdin: Vec<u8>,
    /// What random numbers come from.
    pub seed: [u8; 32],
}

impl InMemory {
    fn at(&self, at: &At) -> Option<&Tree> {
        let mount = usize::try_from(at.mount).ok()?;
        self.mounts.get(mount)?.at(&at.path)
    }
}

impl Inputs for InMemory {
    fn look_up(&mut self, at: &At) -> Result<Option<InputEntry>, Stop> {
        Ok(self.at(at).map(|tree| match tree {
            Tree::Directory(_) => InputEntry::Directory,
            Tree::File(bytes) => InputEntry::File {
                size: bytes.len() as u64,
            },
            Tree::Symlink(target) => InputEntry::Symlink {
                target: target.clone(),
            },
        }))
    }

    fn list(&mut self, at: &At) -> Result<Arc<[String]>, Stop> {
        Ok(match self.at(at) {
            Some(Tree::Directory(entries)) => entries.keys().cloned().collect(),
            _ => Arc::default(),
        })
    }

    fn read(&mut self, at: &At, offset: u64, into: &mut [u8]) -> Result<usize, Stop> {
        Ok(match self.at(at) {
            Some(Tree::File(bytes)) => copy(bytes, offset, into),
            _ => 0,
        })
    }

    fn stdin(&mut self, offset: u64, into: &mut [u8]) -> Result<usize, Stop> {
        Ok(copy(&self.stdin, offset, into))
    }

    fn seed(&mut self) -> Result<[u8; 32], Stop> {
        Ok(self.seed)
    }
}

fn copy(bytes: &[u8], offset: u64, into: &mut [u8]) -> usize {
    let offset = usize::try_from(offset).unwrap_or(usize::MAX);
    let rest = bytes.get(offset..).unwrap_or_default();
    let length = rest.len().min(into.len());
    for (to, from) in into.iter_mut().zip(rest) {
        *to = *from;
    }
    length
}
