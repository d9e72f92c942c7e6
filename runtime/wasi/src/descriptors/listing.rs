//! What is in directories.

use crate::{Entry, Errno, FileKind, Handle, Host, Result};

impl Host {
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
}
