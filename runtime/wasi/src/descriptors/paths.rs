//! What is made, moved and removed by path.

use crate::{Errno, Host, Result};

impl Host {
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
