//! What is in the tree before the guest starts.

use super::FileSystem;
use crate::{
    At, Nothing,
    fs::node::{Directory, Node, NodeId, NodeKind, Slot},
};
use std::collections::BTreeMap;

/// What is mounted in a directory.
#[derive(Debug)]
#[must_use]
pub struct Covers(BTreeMap<String, Slot>);

impl FileSystem {
    /// Puts something given, or else an empty directory, at the absolute path `path`, before the guest starts. Missing
    /// directories on the way are made read-only. A directory given for `/` lies beneath all others.
    pub(crate) fn mount(&mut self, path: &str, given: Option<At>, writable: bool) {
        let mut here = Self::ROOT;
        let mut parts = path.split('/').filter(|part| !part.is_empty()).peekable();
        if parts.peek().is_none() {
            self.mount_root(given, writable);
            return;
        }
        while let Some(part) = parts.next() {
            let last = parts.peek().is_none();
            let slot = match (&given, last) {
                (Some(at), true) => Slot::Given {
                    at: at.clone(),
                    writable,
                },
                (None, true) => Slot::Mount(self.empty_directory(here, writable)),
                (_, false) => Slot::Mount(match self.mounted(here, part) {
                    Some(node) => node,
                    None => self.empty_directory(here, false),
                }),
            };
            let next = slot.node().unwrap_or(here);
            if let Some(Node {
                kind: NodeKind::Directory(directory),
                ..
            }) = self.nodes.get_mut(&here)
            {
                directory.entries.insert(part.to_owned(), slot);
            }
            here = next;
        }
    }

    fn mount_root(&mut self, given: Option<At>, writable: bool) {
        if let Some(root) = self.nodes.get_mut(&Self::ROOT) {
            root.writable = writable;
            if let NodeKind::Directory(directory) = &mut root.kind {
                directory.given = given;
            }
        }
    }

    /// What was made or mounted under a name before the guest starts, while no input can be read yet.
    fn mounted(&mut self, parent: NodeId, name: &str) -> Option<NodeId> {
        self.child(parent, name, &mut Nothing).ok()?
    }

    /// Whether the entry of this name in a directory is a mount, which cannot be removed.
    pub(in crate::fs) fn is_mounted(&self, id: NodeId, name: &str) -> bool {
        let slot = self.directory(id).ok();
        let slot = slot.and_then(|directory| directory.entries.get(name));
        slot.is_some_and(Slot::is_mount)
    }

    /// Removes the mounts in a directory, so that the entries beneath are visible until [`Self::cover`] puts the mounts
    /// back.
    pub fn uncover(&mut self, id: NodeId) -> Covers {
        let mut covers = BTreeMap::new();
        if let Ok(directory) = self.directory_mut(id) {
            covers.extend(directory.entries.extract_if(.., |_, slot| slot.is_mount()));
        }
        Covers(covers)
    }

    /// Puts back what [`Self::uncover`] took away.
    pub fn cover(&mut self, id: NodeId, covers: Covers) {
        if let Ok(directory) = self.directory_mut(id) {
            directory.entries.extend(covers.0);
        }
    }

    fn empty_directory(&mut self, parent: NodeId, writable: bool) -> NodeId {
        let directory = Directory {
            parent,
            ..Directory::default()
        };
        let start = self.start;
        self.insert(Node::new(
            NodeKind::Directory(directory),
            writable,
            false,
            start,
        ))
    }
}
