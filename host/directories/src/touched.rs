//! Directories whose names have changed and are not durable yet.

use crate::{steps::step, sys::Dir};
use std::{collections::HashMap, fs::File, io};

/// Most directories that are kept open; with more, all are made durable at once.
const MAX_OPEN: usize = 128;

/// They are held by descriptor, because their paths may change before the end.
#[derive(Debug, Default)]
pub(crate) struct Touched {
    dirs: HashMap<u64, File>,
    /// One of them may be changed but not be read, so that it cannot be synchronised by itself.
    unreadable: bool,
}

impl Touched {
    pub(crate) fn add(&mut self, dir: &Dir) -> io::Result<()> {
        let inode = dir.print()?.inode();
        if self.dirs.contains_key(&inode) {
            return Ok(());
        }
        if self.dirs.len() >= MAX_OPEN {
            self.sync_open()?;
        }
        match dir.readable() {
            Ok(file) => {
                self.dirs.insert(inode, file);
            }
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => self.unreadable = true,
            Err(error) => return Err(error),
        }
        Ok(())
    }

    /// Makes everything durable that was changed below `root`.
    pub(crate) fn sync(&mut self, root: &Dir) -> io::Result<()> {
        self.sync_open()?;
        match std::mem::take(&mut self.unreadable) {
            true => root.sync_file_system(),
            false => Ok(()),
        }
    }

    fn sync_open(&mut self) -> io::Result<()> {
        for (_, dir) in self.dirs.drain() {
            step("sync")?;
            dir.sync_all()?;
        }
        Ok(())
    }
}
