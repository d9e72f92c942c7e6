//! Files and directories by descriptor.

mod contents;
mod listing;
mod paths;

use crate::{
    Errno, FileKind, FileSystem, Handle, Host, NodeId, OpenFlags, Result, Stat,
    handles::{Descriptor, Status},
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

    fn stream(&mut self, node: NodeId, handle: Handle) -> Result<u32> {
        let number = self.state.handles.insert(handle)?;
        self.state.files.keep(node);
        Ok(number)
    }

    /// The directory that a directory is in, or itself for `/`.
    ///
    /// # Errors
    ///
    /// [`Errno::NotDirectory`].
    pub fn parent(&self, number: u32) -> Result<NodeId, Errno> {
        self.state.files.parent(self.base(number)?)
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
}
