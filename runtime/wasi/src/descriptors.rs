//! Files and directories by descriptor.

use crate::{
    Device, Entry, Errno, FileKind, FileSystem, Handle, Host, NodeId, OpenFlags, Result, Stat,
    handles::{Descriptor, Input, Output, Status},
};

/// How to open something.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Opening {
    /// What opening does, and whether the descriptor may be written to.
    pub flags: OpenFlags,
    /// Whether the descriptor may be read.
    pub read: bool,
    /// Of a directory, whether it was opened to change what is in it.
    pub mutate: bool,
    /// What else it is opened for.
    pub status: Status,
}

/// What a time is to become.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NewTime {
    /// As it is.
    Same,
    /// Now.
    Now,
    /// This, in nanoseconds since 1970.
    To(u64),
}

impl NewTime {
    const fn value(self, now: u64) -> Option<u64> {
        match self {
            Self::Same => None,
            Self::Now => Some(now),
            Self::To(time) => Some(time),
        }
    }
}

impl Host {
    /// A descriptor of `/`.
    ///
    /// # Errors
    ///
    /// [`Stop::Trap`](crate::Stop::Trap) at the limit of handles.
    pub fn open_root(&mut self) -> Result<u32, crate::Stop> {
        self.state.files.keep(FileSystem::ROOT);
        self.hold(Handle::Descriptor(Descriptor::new(
            FileSystem::ROOT,
            true,
            true,
        )))
    }

    /// Whatever a number stands for.
    ///
    /// # Errors
    ///
    /// [`Errno::BadDescriptor`].
    pub fn handle(&self, number: u32) -> Result<&Handle, Errno> {
        self.state.handles.get(number)
    }

    /// A descriptor.
    ///
    /// # Errors
    ///
    /// [`Errno::BadDescriptor`].
    pub fn descriptor(&self, number: u32) -> Result<&Descriptor, Errno> {
        self.state.handles.descriptor(number)
    }

    /// A descriptor, to be changed.
    ///
    /// # Errors
    ///
    /// [`Errno::BadDescriptor`].
    pub fn descriptor_mut(&mut self, number: u32) -> Result<&mut Descriptor, Errno> {
        self.state.handles.descriptor_mut(number)
    }

    /// Makes `to` stand for what `from` stands for, and lets go of `from`.
    ///
    /// # Errors
    ///
    /// [`Errno::BadDescriptor`] unless both are held.
    pub fn renumber(&mut self, from: u32, to: u32) -> Result<(), Errno> {
        self.state.handles.get(from)?;
        self.state.handles.get(to)?;
        if from == to {
            return Ok(());
        }
        let handle = self.state.handles.remove(from)?;
        let replaced = self.state.handles.replace(to, handle)?;
        self.release(&replaced);
        Ok(())
    }

    /// A directory's node.
    fn base(&self, number: u32) -> Result<NodeId, Errno> {
        Ok(self.descriptor(number)?.node)
    }

    /// Opens what a path leads to.
    ///
    /// # Errors
    ///
    /// As `openat` has them.
    pub fn open_at(&mut self, number: u32, path: &str, how: Opening) -> Result<u32> {
        let (base, now, flags) = (self.base(number)?, self.wall_now(), how.flags);
        let files = &mut self.state.files;
        let node = files.open(base, path, flags, now, &mut *self.inputs)?;
        let write = match files.kind(node) {
            Ok(FileKind::Directory) => how.mutate,
            _ => flags.write,
        };
        let mut descriptor = Descriptor::new(node, how.read, write);
        descriptor.status = how.status;
        let held = self.state.handles.insert(Handle::Descriptor(descriptor));
        held.map_err(|error| {
            self.state.files.close(node);
            error.into()
        })
    }

    /// What is known of what is open.
    ///
    /// # Errors
    ///
    /// [`Errno::BadDescriptor`].
    pub fn stat(&self, number: u32) -> Result<Stat, Errno> {
        self.state.files.stat(self.base(number)?)
    }

    /// What is known of what a path leads to.
    ///
    /// # Errors
    ///
    /// As `fstatat` has them.
    pub fn stat_at(&mut self, number: u32, path: &str, follow: bool) -> Result<Stat> {
        let base = self.base(number)?;
        let files = &mut self.state.files;
        files.stat_at(base, path, follow, &mut *self.inputs)
    }

    /// Whether the guest may change what is open.
    ///
    /// # Errors
    ///
    /// [`Errno::BadDescriptor`].
    pub fn is_writable(&self, number: u32) -> Result<bool, Errno> {
        self.state.files.is_writable(self.base(number)?)
    }

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

    fn stream(&mut self, node: NodeId, handle: Handle) -> Result<u32> {
        let number = self.state.handles.insert(handle)?;
        self.state.files.keep(node);
        Ok(number)
    }

    /// Begins a listing.
    ///
    /// # Errors
    ///
    /// [`Errno::NotDirectory`].
    pub fn list(&mut self, number: u32) -> Result<u32> {
        let node = self.base(number)?;
        if self.state.files.kind(node)? != FileKind::Directory {
            return Err(Errno::NotDirectory.into());
        }
        self.stream(node, Handle::Listing { node, after: None })
    }

    /// The next entry of a listing.
    ///
    /// # Errors
    ///
    /// [`Errno::BadDescriptor`] for what is no listing.
    pub fn next_entry(&mut self, number: u32) -> Result<Option<Entry>> {
        let Handle::Listing { node, after } = self.state.handles.get(number)? else {
            return Err(Errno::BadDescriptor.into());
        };
        let files = &mut self.state.files;
        let entry = files.entry_after(*node, after.as_deref(), &mut *self.inputs)?;
        if let (Some(entry), Ok(Handle::Listing { after, .. })) =
            (&entry, self.state.handles.get_mut(number))
        {
            *after = Some(entry.name.clone());
        }
        Ok(entry)
    }

    /// The entry of a directory that comes after `after`.
    ///
    /// # Errors
    ///
    /// [`Errno::NotDirectory`].
    pub fn entry_after(&mut self, number: u32, after: Option<&str>) -> Result<Option<Entry>> {
        let node = self.base(number)?;
        let files = &mut self.state.files;
        files.entry_after(node, after, &mut *self.inputs)
    }

    /// The directory that a directory is in, or itself for `/`.
    ///
    /// # Errors
    ///
    /// [`Errno::NotDirectory`].
    pub fn parent(&self, number: u32) -> Result<NodeId, Errno> {
        self.state.files.parent(self.base(number)?)
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

    /// Sets the times of what is open.
    ///
    /// # Errors
    ///
    /// [`Errno::ReadOnly`].
    pub fn set_times(&mut self, number: u32, accessed: NewTime, modified: NewTime) -> Result<()> {
        let (node, now) = (self.base(number)?, self.wall_now());
        let files = &mut self.state.files;
        files.set_times(node, accessed.value(now), modified.value(now), now)
    }

    /// Sets the times of what a path leads to.
    ///
    /// # Errors
    ///
    /// As `utimensat` has them.
    pub fn set_times_at(
        &mut self,
        number: u32,
        path: &str,
        follow: bool,
        accessed: NewTime,
        modified: NewTime,
    ) -> Result<()> {
        let (base, now) = (self.base(number)?, self.wall_now());
        let files = &mut self.state.files;
        let stat = files.stat_at(base, path, follow, &mut *self.inputs)?;
        files.set_times(stat.node, accessed.value(now), modified.value(now), now)
    }

    /// Makes a directory.
    ///
    /// # Errors
    ///
    /// As `mkdirat` has them.
    pub fn create_directory(&mut self, number: u32, path: &str) -> Result<()> {
        let (base, now) = (self.base(number)?, self.wall_now());
        let files = &mut self.state.files;
        files.create_directory(base, path, now, &mut *self.inputs)
    }

    /// Removes an empty directory.
    ///
    /// # Errors
    ///
    /// As `rmdir` has them.
    pub fn remove_directory(&mut self, number: u32, path: &str) -> Result<()> {
        let (base, now) = (self.base(number)?, self.wall_now());
        let files = &mut self.state.files;
        files.remove_directory(base, path, now, &mut *self.inputs)
    }

    /// Removes a file or link.
    ///
    /// # Errors
    ///
    /// As `unlinkat` has them.
    pub fn remove_file(&mut self, number: u32, path: &str) -> Result<()> {
        let (base, now) = (self.base(number)?, self.wall_now());
        let files = &mut self.state.files;
        files.remove_file(base, path, now, &mut *self.inputs)
    }

    /// Moves one thing over another.
    ///
    /// # Errors
    ///
    /// As `renameat` has them.
    pub fn rename(&mut self, old: (u32, &str), new: (u32, &str)) -> Result<()> {
        let old = (self.base(old.0)?, old.1);
        let new = (self.base(new.0)?, new.1);
        let now = self.wall_now();
        self.state.files.rename(old, new, now, &mut *self.inputs)
    }

    /// Gives a file another name. `follow` asks for what no path may have: the name of what a link
    /// points to.
    ///
    /// # Errors
    ///
    /// As `linkat` has them.
    pub fn link(&mut self, old: (u32, &str), follow: bool, new: (u32, &str)) -> Result<()> {
        if follow {
            return Err(Errno::Invalid.into());
        }
        let old = (self.base(old.0)?, old.1);
        let new = (self.base(new.0)?, new.1);
        let now = self.wall_now();
        self.state.files.link(old, new, now, &mut *self.inputs)
    }

    /// Makes a link.
    ///
    /// # Errors
    ///
    /// As `symlinkat` has them.
    pub fn symlink(&mut self, number: u32, target: &str, path: &str) -> Result<()> {
        let (base, now) = (self.base(number)?, self.wall_now());
        let files = &mut self.state.files;
        files.symlink(base, target, path, now, &mut *self.inputs)
    }

    /// What a link points to.
    ///
    /// # Errors
    ///
    /// As `readlinkat` has them.
    pub fn read_link(&mut self, number: u32, path: &str) -> Result<String> {
        let base = self.base(number)?;
        self.state.files.read_link(base, path, &mut *self.inputs)
    }
}
