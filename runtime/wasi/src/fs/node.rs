//! What the tree consists of.

use super::data::Data;
use crate::At;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// The number of a file, directory or link.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize,
)]
pub struct NodeId(pub u64);

/// What kind of thing a node is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[expect(missing_docs, reason = "the names say it")]
pub enum FileKind {
    Directory,
    File,
    Symlink,
    Device,
}

/// What is known of a node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stat {
    /// Its number.
    pub node: NodeId,
    /// What kind of thing it is.
    pub kind: FileKind,
    /// Names that it has.
    pub links: u64,
    /// Bytes of a file or of a link's target.
    pub size: u64,
    /// Last read, in nanoseconds since 1970: reading does not change it, setting it does.
    pub accessed: u64,
    /// Last written, in nanoseconds since 1970.
    pub modified: u64,
    /// Last changed in any way, in nanoseconds since 1970.
    pub changed: u64,
}

/// A file that is no matter of bytes on a disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Device {
    /// Takes everything and has nothing.
    Null,
    /// Has zeros without end.
    Zero,
    /// Has random bytes without end.
    Random,
}

/// A file, directory or link.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Node {
    pub(super) kind: NodeKind,
    /// Whether the guest may change it.
    pub(super) writable: bool,
    /// Whether the guest made it, so that it counts against the quota.
    pub(super) made: bool,
    /// Names that it has.
    pub(super) links: u32,
    /// Open handles.
    pub(super) opens: u32,
    pub(super) accessed: u64,
    pub(super) modified: u64,
    pub(super) changed: u64,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum NodeKind {
    Directory(Directory),
    File(Data),
    Symlink(String),
    Device(Device),
}

/// A directory: what was given, changed by what the guest did.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Directory {
    pub(super) parent: NodeId,
    /// The directory that was given. Its entries are here, too, unless `entries` says otherwise.
    pub(super) given: Option<At>,
    pub(super) entries: BTreeMap<String, Slot>,
}

/// What a name stands for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Slot {
    /// A node.
    Node(NodeId),
    /// What is mounted there and has not been looked at.
    Given { at: At, writable: bool },
    /// Nothing any more.
    Removed,
    /// What is mounted there, and so is no part of the directory that was given.
    Mount(NodeId),
    /// A node in a given directory, under a name that was not given. Once the name is free again, no trace is left.
    Made(NodeId),
}

impl Slot {
    pub(super) const fn node(&self) -> Option<NodeId> {
        match self {
            Self::Node(node) | Self::Mount(node) | Self::Made(node) => Some(*node),
            Self::Given { .. } | Self::Removed => None,
        }
    }

    pub(super) const fn is_mount(&self) -> bool {
        matches!(self, Self::Mount(_) | Self::Given { .. })
    }
}

impl Node {
    pub(super) const fn new(kind: NodeKind, writable: bool, made: bool, now: u64) -> Self {
        Self {
            kind,
            writable,
            made,
            links: 1,
            opens: 0,
            accessed: now,
            modified: now,
            changed: now,
        }
    }

    pub(super) const fn file_kind(&self) -> FileKind {
        match self.kind {
            NodeKind::Directory(_) => FileKind::Directory,
            NodeKind::File(_) => FileKind::File,
            NodeKind::Symlink(_) => FileKind::Symlink,
            NodeKind::Device(_) => FileKind::Device,
        }
    }

    pub(super) fn stat(&self, node: NodeId) -> Stat {
        let size = match &self.kind {
            NodeKind::Directory(_) | NodeKind::Device(_) => 0,
            NodeKind::File(data) => data.size(),
            NodeKind::Symlink(target) => target.len() as u64,
        };
        Stat {
            node,
            kind: self.file_kind(),
            links: self.links.into(),
            size,
            accessed: self.accessed,
            modified: self.modified,
            changed: self.changed,
        }
    }
}
