//! What is in files, and when that was changed.

use super::FileSystem;
use crate::{
    Errno, Inputs, Result,
    fs::{
        data::{Data, MAX_FILE_BYTES},
        node::{NodeId, NodeKind},
    },
};

impl FileSystem {
    /// Reads as many bytes as there are from `offset` on.
    ///
    /// # Errors
    ///
    /// [`Errno::IsDirectory`] where there is nothing to read.
    pub fn read(
        &self,
        id: NodeId,
        offset: u64,
        into: &mut [u8],
        inputs: &mut dyn Inputs,
    ) -> Result<usize> {
        self.data(id)?.read(offset, into, inputs)
    }

    /// Writes all of `bytes` at `offset`, or at the end if there is none; returns where.
    ///
    /// # Errors
    ///
    /// [`Errno::FileTooLarge`], [`Errno::InsufficientSpace`], [`Errno::ReadOnly`].
    pub fn write(
        &mut self,
        id: NodeId,
        offset: Option<u64>,
        bytes: &[u8],
        now: u64,
        inputs: &mut dyn Inputs,
    ) -> Result<u64> {
        let data = self.data(id)?;
        let offset = offset.unwrap_or_else(|| data.size());
        if bytes.is_empty() {
            return Ok(offset);
        }
        let (before, size) = (data.charged(), data.size_after(offset, bytes.len())?);
        if !self.node(id)?.writable {
            return Err(Errno::ReadOnly.into());
        }
        self.charge_bytes(before, size)?;
        let all = self.used.bytes;
        let node = self.node_mut(id)?;
        if let NodeKind::File(data) = &mut node.kind {
            data.write(offset, bytes, all, inputs)?;
        }
        (node.modified, node.changed) = (now, now);
        Ok(offset)
    }

    /// Cuts a file off, or extends it with zeros.
    ///
    /// # Errors
    ///
    /// As [`Self::write`].
    pub fn resize(&mut self, id: NodeId, size: u64, now: u64) -> Result<()> {
        if size > MAX_FILE_BYTES {
            return Err(Errno::FileTooLarge.into());
        }
        let before = self.data(id)?.charged();
        if !self.node(id)?.writable {
            return Err(Errno::ReadOnly.into());
        }
        self.charge_bytes(before, size)?;
        let node = self.node_mut(id)?;
        if let NodeKind::File(data) = &mut node.kind {
            data.resize(size);
        }
        (node.modified, node.changed) = (now, now);
        Ok(())
    }

    /// Sets the times of a node, in nanoseconds since 1970; absent ones stay.
    ///
    /// # Errors
    ///
    /// [`Errno::ReadOnly`].
    pub fn set_times(
        &mut self,
        id: NodeId,
        accessed: Option<u64>,
        modified: Option<u64>,
        now: u64,
    ) -> Result<()> {
        let node = self.node_mut(id)?;
        if !node.writable {
            return Err(Errno::ReadOnly.into());
        }
        node.accessed = accessed.unwrap_or(node.accessed);
        node.modified = modified.unwrap_or(node.modified);
        node.changed = now;
        Ok(())
    }

    pub(super) fn data(&self, id: NodeId) -> Result<&Data, Errno> {
        match &self.node(id)?.kind {
            NodeKind::File(data) => Ok(data),
            NodeKind::Directory(_) => Err(Errno::IsDirectory),
            NodeKind::Symlink(_) | NodeKind::Device(_) => Err(Errno::Invalid),
        }
    }

    /// Counts what a file will occupy instead of what it does.
    fn charge_bytes(&mut self, before: u64, after: u64) -> Result<(), Errno> {
        let used = self.used.bytes.saturating_sub(before);
        let used = used.saturating_add(after);
        if used > self.quota.bytes && after > before {
            return Err(Errno::InsufficientSpace);
        }
        self.used.bytes = used;
        Ok(())
    }
}
