//! The tree of files, and what is known of each without a path.

mod check;
mod contents;
mod mount;
mod open;

pub use mount::Covers;
pub use open::OpenFlags;

use super::{
    data::{Data, MAX_FILE_BYTES},
    devices,
    node::{Device, Directory, FileKind, Node, NodeId, NodeKind, Slot, Stat},
};
use crate::{At, Errno, InputEntry, Inputs, Result, Stop};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// How much a guest may write.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Quota {
    /// Bytes of all files that it wrote to, together.
    pub bytes: u64,
    /// Files, directories and links that it made.
    pub files: u64,
}

/// All files of a guest.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileSystem {
    pub(super) nodes: BTreeMap<NodeId, Node>,
    next: u64,
    quota: Quota,
    used: Quota,
    /// The time of everything that was given, in nanoseconds since 1970.
    start: u64,
}

impl FileSystem {
    /// The directory `/`.
    pub const ROOT: NodeId = NodeId(1);

    /// A read-only `/` with nothing in it but `/dev`.
    pub(crate) fn new(quota: Quota, start: u64) -> Self {
        let devices = Slot::Given {
            at: devices::place(),
            writable: false,
        };
        let root = Directory {
            parent: Self::ROOT,
            given: None,
            entries: BTreeMap::from([(devices::DIRECTORY.to_owned(), devices)]),
        };
        let root = Node::new(NodeKind::Directory(root), false, false, start);
        Self {
            nodes: BTreeMap::from([(Self::ROOT, root)]),
            next: Self::ROOT.0 + 1,
            quota,
            used: Quota { bytes: 0, files: 0 },
            start,
        }
    }

    pub(super) fn insert(&mut self, node: Node) -> NodeId {
        let id = NodeId(self.next);
        self.next += 1;
        self.nodes.insert(id, node);
        id
    }

    /// A node that a handle or an entry names. There always is one; if there were none, the guest would be told of a
    /// bad descriptor.
    pub(super) fn node(&self, id: NodeId) -> Result<&Node, Errno> {
        self.nodes.get(&id).ok_or(Errno::BadDescriptor)
    }

    pub(super) fn node_mut(&mut self, id: NodeId) -> Result<&mut Node, Errno> {
        self.nodes.get_mut(&id).ok_or(Errno::BadDescriptor)
    }

    pub(super) fn directory(&self, id: NodeId) -> Result<&Directory, Errno> {
        match &self.node(id)?.kind {
            NodeKind::Directory(directory) => Ok(directory),
            NodeKind::File(_) | NodeKind::Symlink(_) | NodeKind::Device(_) => {
                Err(Errno::NotDirectory)
            }
        }
    }

    pub(super) fn directory_mut(&mut self, id: NodeId) -> Result<&mut Directory, Errno> {
        match &mut self.node_mut(id)?.kind {
            NodeKind::Directory(directory) => Ok(directory),
            NodeKind::File(_) | NodeKind::Symlink(_) | NodeKind::Device(_) => {
                Err(Errno::NotDirectory)
            }
        }
    }

    /// The node of `name` in a directory, made at the first look.
    pub(super) fn child(
        &mut self,
        parent: NodeId,
        name: &str,
        inputs: &mut dyn Inputs,
    ) -> Result<Option<NodeId>> {
        let writable = self.node(parent)?.writable;
        let directory = self.directory(parent)?;
        let (at, writable, slot): (_, _, fn(NodeId) -> Slot) =
            match (directory.entries.get(name), &directory.given) {
                (Some(Slot::Node(node) | Slot::Made(node) | Slot::Mount(node)), _) => {
                    return Ok(Some(*node));
                }
                (Some(Slot::Removed), _) | (None, None) => return Ok(None),
                (Some(Slot::Given { at, writable }), _) => (at.clone(), *writable, Slot::Mount),
                (None, Some(at)) => (at.child(name), writable, Slot::Node),
            };
        let Some(kind) = look_up(at, parent, inputs)? else {
            return Ok(None);
        };
        let writable = writable || matches!(kind, NodeKind::Device(_));
        let node = self.insert(Node::new(kind, writable, false, self.start));
        let entries = &mut self.directory_mut(parent)?.entries;
        entries.insert(name.to_owned(), slot(node));
        Ok(Some(node))
    }

    /// Counts one file, or one more name of a file, less.
    pub(super) fn release_file(&mut self) {
        self.used.files = self.used.files.saturating_sub(1);
    }

    /// Counts one more file that the guest made, or one more name that it gave to a file.
    pub(super) fn charge_file(&mut self) -> Result<(), Errno> {
        if self.used.files >= self.quota.files {
            return Err(Errno::InsufficientSpace);
        }
        self.used.files += 1;
        Ok(())
    }

    /// Bytes and files that the guest has written.
    #[must_use]
    pub const fn used(&self) -> Quota {
        self.used
    }

    /// What is known of a node.
    ///
    /// # Errors
    ///
    /// [`Errno::BadDescriptor`] for a number that no node has.
    pub fn stat(&self, id: NodeId) -> Result<Stat, Errno> {
        Ok(self.node(id)?.stat(id))
    }

    /// Where a directory or the bytes of a file were given, regardless of later changes.
    #[must_use]
    pub fn origin(&self, id: NodeId) -> Option<&At> {
        match &self.node(id).ok()?.kind {
            NodeKind::Directory(directory) => directory.given.as_ref(),
            NodeKind::File(data) => data.origin(),
            NodeKind::Symlink(_) | NodeKind::Device(_) => None,
        }
    }

    /// What kind of thing a node is.
    ///
    /// # Errors
    ///
    /// [`Errno::BadDescriptor`] for a number that no node has.
    pub fn kind(&self, id: NodeId) -> Result<FileKind, Errno> {
        Ok(self.node(id)?.file_kind())
    }

    /// What a node is a device of, if it is one.
    pub(crate) fn device(&self, id: NodeId) -> Option<Device> {
        match self.node(id).ok()?.kind {
            NodeKind::Device(device) => Some(device),
            NodeKind::Directory(_) | NodeKind::File(_) | NodeKind::Symlink(_) => None,
        }
    }

    /// What a file was given as, if the guest has not changed it.
    #[must_use]
    pub fn as_given(&self, id: NodeId) -> Option<&At> {
        self.data(id).ok()?.as_given()
    }

    /// Whether the guest may change a node.
    ///
    /// # Errors
    ///
    /// [`Errno::BadDescriptor`] for a number that no node has.
    pub fn is_writable(&self, id: NodeId) -> Result<bool, Errno> {
        Ok(self.node(id)?.writable)
    }

    /// The directory that a directory is in, or itself for `/`.
    ///
    /// # Errors
    ///
    /// [`Errno::NotDirectory`].
    pub fn parent(&self, id: NodeId) -> Result<NodeId, Errno> {
        Ok(self.directory(id)?.parent)
    }
}

/// What is at a place that was given.
fn look_up(at: At, parent: NodeId, inputs: &mut dyn Inputs) -> Result<Option<NodeKind>, Stop> {
    if devices::has(&at) {
        return Ok(devices::look_up(&at, parent));
    }
    Ok(inputs.look_up(&at)?.map(|given| match given {
        InputEntry::Directory => NodeKind::Directory(Directory {
            parent,
            given: Some(at),
            entries: BTreeMap::new(),
        }),
        InputEntry::File { size } => NodeKind::File(Data::given(at, size.min(MAX_FILE_BYTES))),
        InputEntry::Symlink { target } => NodeKind::Symlink(target),
    }))
}
