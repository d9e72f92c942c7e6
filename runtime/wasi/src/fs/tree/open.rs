//! Opening, and what is kept for as long as it is open.

use super::FileSystem;
use crate::{
    Errno, Inputs, Result,
    fs::{
        data::Data,
        node::{FileKind, NodeId, NodeKind},
    },
};

/// What opening does besides.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct OpenFlags {
    /// Makes the file if it is not there.
    pub create: bool,
    /// Fails unless it is a directory.
    pub directory: bool,
    /// Fails if it is there.
    pub exclusive: bool,
    /// Empties the file.
    pub truncate: bool,
    /// Follows a link at the end of the path.
    pub follow: bool,
    /// Whether the file is to be written to.
    pub write: bool,
}

impl FileSystem {
    /// Opens or makes the node at `path`, and keeps it until [`Self::close`].
    ///
    /// # Errors
    ///
    /// As `openat` has them.
    pub fn open(
        &mut self,
        base: NodeId,
        path: &str,
        flags: OpenFlags,
        now: u64,
        inputs: &mut dyn Inputs,
    ) -> Result<NodeId> {
        if flags.create && flags.directory {
            return Err(Errno::Invalid.into());
        }
        // As `O_EXCL` does: a link at the end is in the way, wherever it points.
        let follow = flags.follow && !(flags.create && flags.exclusive);
        let bare = path.trim_end_matches('/');
        if flags.create && !bare.is_empty() && bare.len() < path.len() {
            self.resolve(base, bare, false, inputs)?;
            return Err(Errno::IsDirectory.into());
        }
        let place = self.resolve(base, path, follow, inputs)?;
        let node = match place.node {
            None if !flags.create => return Err(Errno::NoEntry.into()),
            None if place.directory => return Err(Errno::IsDirectory.into()),
            None => self.make(&place, NodeKind::File(Data::default()), now)?,
            Some(_) if flags.create && flags.exclusive => return Err(Errno::Exist.into()),
            Some(node) => {
                self.check_open(node, flags)?;
                if flags.truncate && self.kind(node)? == FileKind::File {
                    self.resize(node, 0, now)?;
                }
                node
            }
        };
        self.keep(node);
        Ok(node)
    }

    fn check_open(&self, id: NodeId, flags: OpenFlags) -> Result<(), Errno> {
        let node = self.node(id)?;
        let changes = flags.truncate || flags.write;
        match node.file_kind() {
            FileKind::Directory if flags.create || changes => Err(Errno::IsDirectory),
            FileKind::Directory => Ok(()),
            _ if flags.directory => Err(Errno::NotDirectory),
            FileKind::Symlink => Err(Errno::Loop),
            FileKind::File | FileKind::Device if changes && !node.writable => Err(Errno::ReadOnly),
            FileKind::File | FileKind::Device => Ok(()),
        }
    }

    /// Counts a handle of `node`.
    pub fn keep(&mut self, node: NodeId) {
        if let Some(node) = self.nodes.get_mut(&node) {
            node.opens = node.opens.saturating_add(1);
        }
    }

    /// Ends what [`Self::open`] or [`Self::keep`] began.
    pub fn close(&mut self, id: NodeId) {
        if let Some(node) = self.nodes.get_mut(&id) {
            node.opens = node.opens.saturating_sub(1);
            self.collect(id);
        }
    }

    /// Forgets a node that has neither names nor handles.
    pub(in crate::fs) fn collect(&mut self, id: NodeId) {
        let Some(node) = self.nodes.get(&id) else {
            return;
        };
        if node.links > 0 || node.opens > 0 {
            return;
        }
        let is_made = node.made;
        if let NodeKind::File(data) = &node.kind {
            self.used.bytes = self.used.bytes.saturating_sub(data.charged());
        }
        if is_made {
            self.release_file();
        }
        self.nodes.remove(&id);
    }
}
