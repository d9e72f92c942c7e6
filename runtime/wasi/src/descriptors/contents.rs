//! What is in files.

use crate::{
    Device, Errno, FileKind, Handle, Host, NodeId, Result,
    handles::{Input, Output},
};

impl Host {
    fn readable(&self, number: u32) -> Result<NodeId, Errno> {
        let descriptor = self.descriptor(number)?;
        if self.state.files.kind(descriptor.node)? == FileKind::Directory {
            return Err(Errno::IsDirectory);
        }
        if descriptor.read {
            Ok(descriptor.node)
        } else {
            Err(Errno::BadDescriptor)
        }
    }

    fn writable(&self, number: u32) -> Result<NodeId, Errno> {
        let descriptor = self.descriptor(number)?;
        let is_directory = self.state.files.kind(descriptor.node)? == FileKind::Directory;
        if descriptor.write && !is_directory {
            Ok(descriptor.node)
        } else {
            Err(Errno::BadDescriptor)
        }
    }

    /// Reads from a file at an offset.
    ///
    /// # Errors
    ///
    /// As `pread` has them.
    pub fn read_at(&mut self, number: u32, offset: u64, into: &mut [u8]) -> Result<usize> {
        let node = self.readable(number)?;
        self.read_node(node, offset, into)
    }

    pub(crate) fn read_node(
        &mut self,
        node: NodeId,
        offset: u64,
        into: &mut [u8],
    ) -> Result<usize> {
        let files = &self.state.files;
        let read = match files.device(node) {
            Some(device) => self.read_device(device, into)?,
            None => files.read(node, offset, into, &mut *self.inputs)?,
        };
        self.charge(read);
        Ok(read)
    }

    fn read_device(&mut self, device: Device, into: &mut [u8]) -> Result<usize> {
        match device {
            Device::Null => return Ok(0),
            Device::Zero => into.fill(0),
            // The task need not be known before something is drawn.
            Device::Random if into.is_empty() => {}
            Device::Random => self.state.random.secure(into, &mut *self.inputs)?,
        }
        Ok(into.len())
    }

    /// Writes to a file at an offset.
    ///
    /// # Errors
    ///
    /// As `pwrite` has them.
    pub fn write_at(&mut self, number: u32, offset: u64, bytes: &[u8]) -> Result<()> {
        let node = self.writable(number)?;
        self.write_node(node, Some(offset), bytes).map(drop)
    }

    /// Writes to the end of a file; returns where that was.
    ///
    /// # Errors
    ///
    /// As `write` has them.
    pub fn append(&mut self, number: u32, bytes: &[u8]) -> Result<u64> {
        let node = self.writable(number)?;
        self.write_node(node, None, bytes)
    }

    pub(crate) fn write_node(
        &mut self,
        node: NodeId,
        offset: Option<u64>,
        bytes: &[u8],
    ) -> Result<u64> {
        self.charge(bytes.len());
        let now = self.wall_now();
        let files = &mut self.state.files;
        if files.device(node).is_some() {
            // All of them take everything.
            return Ok(offset.unwrap_or_default());
        }
        files.write(node, offset, bytes, now, &mut *self.inputs)
    }

    /// A stream that reads a file from an offset on.
    ///
    /// # Errors
    ///
    /// As for reading.
    pub fn read_via_stream(&mut self, number: u32, offset: u64) -> Result<u32> {
        let node = self.readable(number)?;
        self.stream(node, Handle::Input(Input::File { node, offset }))
    }

    /// A stream that writes a file from an offset on, or at its end.
    ///
    /// # Errors
    ///
    /// As for writing.
    pub fn write_via_stream(&mut self, number: u32, offset: Option<u64>) -> Result<u32> {
        let node = self.writable(number)?;
        self.stream(node, Handle::Output(Output::File { node, offset }))
    }

    /// Cuts a file off, or extends it with zeros.
    ///
    /// # Errors
    ///
    /// As `ftruncate` has them.
    pub fn set_size(&mut self, number: u32, size: u64) -> Result<()> {
        self.descriptor(number)?;
        let node = self.writable(number).map_err(|_| Errno::Invalid)?;
        let now = self.wall_now();
        self.state.files.resize(node, size, now)
    }

    /// Extends a file with zeros until it ends at `end`, unless it is as long already.
    ///
    /// # Errors
    ///
    /// As `posix_fallocate` has them.
    pub fn allocate(&mut self, number: u32, end: u64) -> Result<()> {
        let (node, now) = (self.writable(number)?, self.wall_now());
        if end > self.state.files.stat(node)?.size {
            self.state.files.resize(node, end, now)?;
        }
        Ok(())
    }
}
