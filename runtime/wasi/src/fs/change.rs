//! Making, removing and renaming.

use super::{
    node::{Directory, FileKind, Node, NodeId, NodeKind, Slot},
    path::ResolvedPath,
    tree::FileSystem,
};
use crate::{Errno, Inputs, Result, Stat};
use mc_types::MAX_LINK_TARGET_BYTES;

impl FileSystem {
    /// Makes what a path leads to, where nothing is.
    pub(super) fn make(
        &mut self,
        place: &ResolvedPath,
        kind: NodeKind,
        now: u64,
    ) -> Result<NodeId> {
        self.check_parent(place.parent)?;
        self.charge_file()?;
        let node = self.insert(Node::new(kind, true, true, now));
        self.bind(place.parent, &place.name, node, now)?;
        Ok(node)
    }

    /// Refuses changes to nodes that are read-only or no longer part of the tree.
    fn check_parent(&self, parent: NodeId) -> Result<(), Errno> {
        let node = self.node(parent)?;
        if node.links == 0 {
            return Err(Errno::NoEntry);
        }
        if node.writable {
            Ok(())
        } else {
            Err(Errno::ReadOnly)
        }
    }

    fn bind(&mut self, parent: NodeId, name: &str, node: NodeId, now: u64) -> Result<(), Errno> {
        let directory = self.directory_mut(parent)?;
        // The name was looked up before. So there is a slot for what was given under it, if only an empty one.
        let is_given = directory.given.is_none() || directory.entries.contains_key(name);
        let slot: fn(NodeId) -> Slot = if is_given { Slot::Node } else { Slot::Made };
        directory.entries.insert(name.to_owned(), slot(node));
        self.touch(parent, now)
    }

    fn unbind(&mut self, parent: NodeId, name: &str, now: u64) -> Result<(), Errno> {
        let directory = self.directory_mut(parent)?;
        let is_made = matches!(directory.entries.get(name), Some(Slot::Made(_)));
        // Otherwise names that come and go would fill the memory.
        if directory.given.is_some() && !is_made {
            directory.entries.insert(name.to_owned(), Slot::Removed);
        } else {
            directory.entries.remove(name);
        }
        self.touch(parent, now)
    }

    fn touch(&mut self, id: NodeId, now: u64) -> Result<(), Errno> {
        let node = self.node_mut(id)?;
        (node.modified, node.changed) = (now, now);
        Ok(())
    }

    /// Takes one name from a node.
    fn unlink(&mut self, id: NodeId, now: u64) -> Result<(), Errno> {
        let node = self.node_mut(id)?;
        node.links = node.links.saturating_sub(1);
        node.changed = now;
        if node.links > 0 {
            self.release_file();
        }
        self.collect(id);
        Ok(())
    }

    /// Makes a directory.
    ///
    /// # Errors
    ///
    /// As `mkdirat` has them.
    pub fn create_directory(
        &mut self,
        base: NodeId,
        path: &str,
        now: u64,
        inputs: &mut dyn Inputs,
    ) -> Result<()> {
        let place = self.resolve_free(base, path, inputs)?;
        let directory = Directory {
            parent: place.parent,
            ..Directory::default()
        };
        self.make(&place, NodeKind::Directory(directory), now)?;
        Ok(())
    }

    /// The place for a new entry. A link there is not followed, even with a slash after it.
    fn resolve_new(
        &mut self,
        base: NodeId,
        path: &str,
        inputs: &mut dyn Inputs,
    ) -> Result<ResolvedPath> {
        let bare = path.trim_end_matches('/');
        let mut place = self.resolve(
            base,
            if bare.is_empty() { path } else { bare },
            false,
            inputs,
        )?;
        place.directory |= bare.len() < path.len();
        Ok(place)
    }

    /// A place where nothing is yet.
    fn resolve_free(
        &mut self,
        base: NodeId,
        path: &str,
        inputs: &mut dyn Inputs,
    ) -> Result<ResolvedPath> {
        let place = self.resolve_new(base, path, inputs)?;
        match place.node {
            Some(_) => Err(Errno::Exist.into()),
            None => Ok(place),
        }
    }

    /// The same for what is no directory, whose path may not end as one.
    fn resolve_free_name(
        &mut self,
        base: NodeId,
        path: &str,
        inputs: &mut dyn Inputs,
    ) -> Result<ResolvedPath> {
        let place = self.resolve_free(base, path, inputs)?;
        if place.directory {
            return Err(Errno::NoEntry.into());
        }
        Ok(place)
    }

    /// Makes a link to `target`, which need not exist.
    ///
    /// # Errors
    ///
    /// As `symlinkat` has them, and [`Errno::NotPermitted`] for an absolute target.
    pub fn symlink(
        &mut self,
        base: NodeId,
        target: &str,
        path: &str,
        now: u64,
        inputs: &mut dyn Inputs,
    ) -> Result<()> {
        if target.starts_with('/') {
            return Err(Errno::NotPermitted.into());
        }
        if target.is_empty() {
            return Err(Errno::NoEntry.into());
        }
        if target.contains('\0') {
            return Err(Errno::Invalid.into());
        }
        // No machine could put a longer target back to where its user wants it, and no other limit counts its bytes.
        if target.len() > MAX_LINK_TARGET_BYTES {
            return Err(Errno::NameTooLong.into());
        }
        let place = self.resolve_free_name(base, path, inputs)?;
        self.make(&place, NodeKind::Symlink(target.to_owned()), now)?;
        Ok(())
    }

    /// What a link points to.
    ///
    /// # Errors
    ///
    /// [`Errno::Invalid`] for what is no link.
    pub fn read_link(
        &mut self,
        base: NodeId,
        path: &str,
        inputs: &mut dyn Inputs,
    ) -> Result<String> {
        let node = self.resolve(base, path, false, inputs)?.existing()?;
        match &self.node(node)?.kind {
            NodeKind::Symlink(target) => Ok(target.clone()),
            NodeKind::Directory(_) | NodeKind::File(_) | NodeKind::Device(_) => {
                Err(Errno::Invalid.into())
            }
        }
    }

    /// What is known of what `path` leads to.
    ///
    /// # Errors
    ///
    /// As `fstatat` has them.
    pub fn stat_at(
        &mut self,
        base: NodeId,
        path: &str,
        follow: bool,
        inputs: &mut dyn Inputs,
    ) -> Result<Stat> {
        let node = self.resolve(base, path, follow, inputs)?.existing()?;
        Ok(self.stat(node)?)
    }

    /// Gives a file another name.
    ///
    /// # Errors
    ///
    /// As `linkat` has them.
    pub fn link(
        &mut self,
        (old_base, old_path): (NodeId, &str),
        (new_base, new_path): (NodeId, &str),
        now: u64,
        inputs: &mut dyn Inputs,
    ) -> Result<()> {
        let node = self
            .resolve(old_base, old_path, false, inputs)?
            .existing()?;
        if matches!(self.kind(node)?, FileKind::Directory | FileKind::Device) {
            return Err(Errno::NotPermitted.into());
        }
        let place = self.resolve_free_name(new_base, new_path, inputs)?;
        // A name in a writable place would make something read-only look writable.
        if !self.is_writable(node)? {
            return Err(Errno::ReadOnly.into());
        }
        self.check_parent(place.parent)?;
        // Names take memory as files do, and a file left below `/out` is written once for each name.
        self.charge_file()?;
        let linked = self.node_mut(node)?;
        linked.links = linked.links.saturating_add(1);
        linked.changed = now;
        Ok(self.bind(place.parent, &place.name, node, now)?)
    }

    /// Removes an empty directory.
    ///
    /// # Errors
    ///
    /// As `rmdir` has them.
    pub fn remove_directory(
        &mut self,
        base: NodeId,
        path: &str,
        now: u64,
        inputs: &mut dyn Inputs,
    ) -> Result<()> {
        let place = self.resolve_new(base, path, inputs)?;
        let node = place.existing()?;
        if place.name.is_empty() {
            return Err(Errno::Invalid.into());
        }
        self.directory(node)?;
        self.check_parent(place.parent)?;
        if self.is_mounted(place.parent, &place.name) {
            return Err(Errno::Busy.into());
        }
        if !self.is_empty(node, inputs)? {
            return Err(Errno::NotEmpty.into());
        }
        self.unbind(place.parent, &place.name, now)?;
        Ok(self.unlink(node, now)?)
    }

    /// Removes a name of a file or link. What is open stays readable and writable.
    ///
    /// # Errors
    ///
    /// As `unlinkat` has them; [`Errno::IsDirectory`] for a directory.
    pub fn remove_file(
        &mut self,
        base: NodeId,
        path: &str,
        now: u64,
        inputs: &mut dyn Inputs,
    ) -> Result<()> {
        let place = self.resolve_new(base, path, inputs)?;
        let node = place.existing()?;
        match self.kind(node)? {
            FileKind::Directory => return Err(Errno::IsDirectory.into()),
            _ if place.directory => return Err(Errno::NotDirectory.into()),
            FileKind::File | FileKind::Symlink | FileKind::Device => {}
        }
        self.check_parent(place.parent)?;
        self.unbind(place.parent, &place.name, now)?;
        Ok(self.unlink(node, now)?)
    }

    /// Moves what `old` leads to, over what `new` leads to.
    ///
    /// # Errors
    ///
    /// As `renameat` has them.
    pub fn rename(
        &mut self,
        (old_base, old_path): (NodeId, &str),
        (new_base, new_path): (NodeId, &str),
        now: u64,
        inputs: &mut dyn Inputs,
    ) -> Result<()> {
        let old = self.resolve_new(old_base, old_path, inputs)?;
        let node = old.existing()?;
        let new = self.resolve_new(new_base, new_path, inputs)?;
        if old.name.is_empty() || new.name.is_empty() {
            return Err(Errno::Busy.into());
        }
        self.check_parent(old.parent)?;
        self.check_parent(new.parent)?;
        if self.is_mounted(old.parent, &old.name) || self.is_mounted(new.parent, &new.name) {
            return Err(Errno::Busy.into());
        }
        let is_directory = self.kind(node)? == FileKind::Directory;
        if (old.directory || new.directory) && !is_directory {
            return Err(Errno::NotDirectory.into());
        }
        if is_directory {
            self.check_not_inside(new.parent, node)?;
        }
        if let Some(replaced) = new.node {
            if replaced == node {
                return Ok(());
            }
            self.check_replace(replaced, is_directory, inputs)?;
            self.unbind(new.parent, &new.name, now)?;
            self.unlink(replaced, now)?;
        }
        self.unbind(old.parent, &old.name, now)?;
        self.bind(new.parent, &new.name, node, now)?;
        if is_directory {
            self.directory_mut(node)?.parent = new.parent;
        }
        self.node_mut(node)?.changed = now;
        Ok(())
    }

    fn check_replace(
        &mut self,
        replaced: NodeId,
        by_directory: bool,
        inputs: &mut dyn Inputs,
    ) -> Result<()> {
        match (self.kind(replaced)? == FileKind::Directory, by_directory) {
            (true, false) => Err(Errno::IsDirectory.into()),
            (false, true) => Err(Errno::NotDirectory.into()),
            (false, false) => Ok(()),
            (true, true) if self.is_empty(replaced, inputs)? => Ok(()),
            (true, true) => Err(Errno::NotEmpty.into()),
        }
    }

    /// Refuses to move a directory into itself.
    fn check_not_inside(&self, mut inner: NodeId, outer: NodeId) -> Result<(), Errno> {
        while inner != Self::ROOT {
            if inner == outer {
                return Err(Errno::Invalid);
            }
            inner = self.directory(inner)?.parent;
        }
        Ok(())
    }
}
