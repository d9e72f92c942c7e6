//! Directories and shards whose entries are being written, the innermost last.

use super::super::{
    Entity,
    entity::key_below,
    hamt::{Child, Shard},
    node::fetch_shard,
};
use crate::{BlockSource, Error, Key};
use mc_types::Cid;
use std::{path::PathBuf, vec};

/// Bytes of all listings that are open at a time. Honest trees are far from it; a stranger may nest directories whose
/// listings are each as large as a block.
const MAX_BYTES: usize = 256 << 20;
/// Bytes of an entry besides its name.
const ENTRY_BYTES: usize = 100;

#[derive(Default)]
pub(super) struct OpenDirectories {
    open: Vec<OpenDirectory>,
    bytes: usize,
}

impl OpenDirectories {
    /// Whether there is room for one more.
    pub(super) fn take(&mut self, below: OpenDirectory) -> bool {
        self.bytes = self.bytes.saturating_add(below.bytes);
        self.open.push(below);
        self.bytes <= MAX_BYTES
    }

    pub(super) fn last(&mut self) -> Option<&mut OpenDirectory> {
        self.open.last_mut()
    }

    /// Takes the last one away; returns its path and permissions, unless it is a shard of one that is still there.
    pub(super) fn close(&mut self) -> Option<(PathBuf, Option<u32>)> {
        let done = self.open.pop()?;
        self.bytes = self.bytes.saturating_sub(done.bytes);
        (!done.is_part).then_some((done.path, done.mode))
    }
}

/// A directory, or a shard of one.
pub(super) struct OpenDirectory {
    path: PathBuf,
    /// How deep the directory lies.
    depth: usize,
    mode: Option<u32>,
    children: Children,
    /// Whether it is a shard below another one.
    is_part: bool,
    bytes: usize,
}

pub(super) enum Children {
    Plain {
        left: vec::IntoIter<(String, Cid)>,
        key: Option<Key>,
    },
    Sharded {
        shard: Shard,
        /// The next one's place among them.
        next: usize,
    },
}

impl Children {
    pub(super) fn plain(entries: Vec<(String, Cid)>, key: Option<Key>) -> Self {
        let left = entries.into_iter();
        Self::Plain { left, key }
    }

    pub(super) const fn sharded(shard: Shard) -> Self {
        Self::Sharded { shard, next: 0 }
    }

    fn bytes(&self) -> usize {
        let name = |child: &Child| match child {
            Child::Entry(name, _) => name.len(),
            Child::Shard(..) => 0,
        };
        match self {
            Self::Plain { left, .. } => {
                let names = left.as_slice().iter().map(|(name, _)| name.len());
                names.map(|name| name + ENTRY_BYTES).sum()
            }
            Self::Sharded { shard, .. } => {
                let names = shard.children.iter().map(name);
                names.map(|name| name + ENTRY_BYTES).sum()
            }
        }
    }
}

/// What is to be written next.
pub(super) enum Next {
    /// An entry, where, and how deep that is.
    Entry(Entity, (PathBuf, usize)),
    /// The entries of a shard with this number.
    Shard(u64, Cid),
}

impl OpenDirectory {
    pub(super) fn new(
        path: PathBuf,
        (depth, mode): (usize, Option<u32>),
        children: Children,
    ) -> Self {
        Self {
            path,
            depth,
            mode,
            bytes: ENTRY_BYTES + children.bytes(),
            children,
            is_part: false,
        }
    }

    /// In the order in which a walk over the blocks meets them.
    pub(super) fn next(&mut self) -> Option<Next> {
        let (entity, name) = match &mut self.children {
            Children::Plain { left, key } => {
                let (name, cid) = left.next()?;
                let key = key_below(key.as_ref(), &name);
                (Entity { cid, key }, name)
            }
            Children::Sharded { shard, next } => {
                let child = shard.children.get(*next)?;
                *next += 1;
                match child {
                    Child::Entry(name, cid) => (shard.entry(name, *cid), name.clone()),
                    Child::Shard(number, cid) => return Some(Next::Shard(*number, *cid)),
                }
            }
        };
        Some(Next::Entry(entity, (self.path.join(name), self.depth + 1)))
    }

    /// A shard below this one.
    pub(super) async fn shard<S: BlockSource>(
        &self,
        source: &S,
        number: u64,
        cid: Cid,
    ) -> Result<Self, Error> {
        let Children::Sharded { shard: above, .. } = &self.children else {
            let reason = "a shard in a directory that has none".to_owned();
            return Err(Error::Malformed { cid, reason });
        };
        let below = fetch_shard(source, cid, (above, number)).await?;
        let children = Children::sharded(below);
        let mut open = Self::new(self.path.clone(), (self.depth, None), children);
        open.is_part = true;
        Ok(open)
    }
}
