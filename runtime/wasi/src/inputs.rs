//! What a task was given.

use crate::{Result, Stop, Storage};
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// A place in the task's inputs: plain data, so that it can be part of a checkpoint.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct At {
    /// Which mount, by its position among [`Setup::mounts`](crate::Setup::mounts).
    pub mount: u32,
    /// The path below it, without a slash at either end; empty for the mount itself.
    pub path: String,
}

impl At {
    /// The mount itself.
    #[must_use]
    pub const fn mount(mount: u32) -> Self {
        Self {
            mount,
            path: String::new(),
        }
    }

    /// The entry `name` of this directory.
    #[must_use]
    pub fn child(&self, name: &str) -> Self {
        Self {
            mount: self.mount,
            path: Self::joined(&self.path, name),
        }
    }

    /// The path of the entry `name` of the directory at `path`, as [`Self::path`] has them.
    #[must_use]
    pub fn joined(path: &str, name: &str) -> String {
        if path.is_empty() {
            name.to_owned()
        } else {
            format!("{path}/{name}")
        }
    }
}

/// What is at a place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum InputEntry {
    /// A directory.
    Directory,
    /// A file.
    File {
        /// Its length, in bytes.
        size: u64,
    },
    /// A symbolic link.
    Symlink {
        /// What it points to.
        target: String,
    },
}

/// Reads what a task was given, as the guest asks for it. The answers are a function of the task.
///
/// Every method may block, and fails with [`Stop::Host`] when this machine cannot get at the data.
pub trait Inputs: Send {
    /// The entry at a place, if any. Its directory was found before.
    ///
    /// # Errors
    ///
    /// [`Stop::Host`].
    fn look_up(&mut self, at: &At) -> Result<Option<InputEntry>, Stop>;

    /// The names in a directory, in the order of their bytes.
    ///
    /// # Errors
    ///
    /// [`Stop::Host`].
    fn list(&mut self, at: &At) -> Result<Arc<[String]>, Stop>;

    /// Reads from a file into `into`: as many bytes as the file has from `offset` on.
    ///
    /// # Errors
    ///
    /// [`Stop::Host`].
    fn read(&mut self, at: &At, offset: u64, into: &mut [u8]) -> Result<usize, Stop>;

    /// Reads from standard input: at least one byte unless it has ended. `offset` only grows, by the bytes read.
    ///
    /// # Errors
    ///
    /// [`Stop::Host`].
    fn stdin(&mut self, offset: u64, into: &mut [u8]) -> Result<usize, Stop>;

    /// The digest of the task's CID, from which its random numbers come.
    ///
    /// # Errors
    ///
    /// [`Stop::Host`].
    fn seed(&mut self) -> Result<[u8; 32], Stop>;

    /// Where to keep the guest's files that exceed the room in memory; `None` if all of them stay in memory.
    fn storage(&mut self) -> Option<Arc<dyn Storage>> {
        None
    }
}

/// A task that was given nothing. For tests and benchmarks.
#[derive(Debug, Clone, Copy, Default)]
pub struct Nothing;

impl Inputs for Nothing {
    fn look_up(&mut self, _: &At) -> Result<Option<InputEntry>, Stop> {
        Ok(None)
    }

    fn list(&mut self, _: &At) -> Result<Arc<[String]>, Stop> {
        Ok(Arc::default())
    }

    fn read(&mut self, _: &At, _: u64, _: &mut [u8]) -> Result<usize, Stop> {
        Ok(0)
    }

    fn stdin(&mut self, _: u64, _: &mut [u8]) -> Result<usize, Stop> {
        Ok(0)
    }

    fn seed(&mut self) -> Result<[u8; 32], Stop> {
        Ok([0; 32])
    }
}
