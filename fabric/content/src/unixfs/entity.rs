//! What is read: a file or directory, with its key if it is encrypted.

use crate::seal::Key;
use mc_types::Cid;

/// A file, directory or symbolic link.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entity {
    /// Its root.
    pub cid: Cid,
    /// What opens it, if it is encrypted.
    pub key: Option<Key>,
}

impl From<Cid> for Entity {
    fn from(cid: Cid) -> Self {
        Self { cid, key: None }
    }
}

impl From<(Cid, Option<Key>)> for Entity {
    fn from((cid, key): (Cid, Option<Key>)) -> Self {
        Self { cid, key }
    }
}

/// The key of an entry of a directory.
pub(super) fn key_below(directory: Option<&Key>, name: &str) -> Option<Key> {
    directory.map(|key| key.below(name))
}

/// A node of an entity, with what is needed to open it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Part {
    pub(super) cid: Cid,
    pub(super) lock: Option<Lock>,
}

/// How a part of an encrypted file opens.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Lock {
    /// The file's.
    pub(super) key: Key,
    /// Chunks of the file before it.
    pub(super) first: u64,
    /// Whether the file ends with it.
    pub(super) is_last: bool,
}

impl From<Entity> for Part {
    fn from(Entity { cid, key }: Entity) -> Self {
        let lock = |key| Lock {
            key,
            first: 0,
            is_last: true,
        };
        Self {
            cid,
            lock: key.map(lock),
        }
    }
}

impl Part {
    pub(super) const fn key(&self) -> Option<&Key> {
        match &self.lock {
            Some(lock) => Some(&lock.key),
            None => None,
        }
    }
}
