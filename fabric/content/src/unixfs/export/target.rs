//! Where a tree is written before it is in its place.

use crate::{Error, unixfs::add::path_error};
use rustix::fs::{CWD, RenameFlags, renameat_with};
use std::{
    fs,
    io::{self, ErrorKind},
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
};
use tempfile::TempDir;

/// How the names of temporary directories begin.
const PREFIX: &str = ".mc-wasm-";
/// What is being written, in the temporary directory.
const TREE: &str = "tree";

/// A target, and a directory of our own for the incomplete tree: on the same file system, closed to others, with a
/// secret name.
#[derive(Debug)]
pub(super) struct ExportTarget {
    target: PathBuf,
    staging: TempDir,
    /// Whether the place is an empty directory, which takes what is in the tree.
    is_directory: bool,
}

impl ExportTarget {
    /// # Errors
    ///
    /// [`Error::Path`] when there is anything at `target` but an empty directory.
    pub(super) fn new(target: &Path) -> Result<Self, Error> {
        let failed = |e| path_error(target, e);
        let is_directory = is_empty_directory(target).map_err(failed)?;
        let around = if is_directory {
            target
        } else {
            let parent = target.parent().filter(|p| !p.as_os_str().is_empty());
            let parent = parent.unwrap_or_else(|| Path::new("."));
            fs::create_dir_all(parent).map_err(|e| path_error(parent, e))?;
            parent
        };
        let staging = tempfile::Builder::new()
            .prefix(PREFIX)
            .permissions(fs::Permissions::from_mode(0o700))
            .tempdir_in(around);
        Ok(Self {
            target: target.to_owned(),
            staging: staging.map_err(|e| path_error(around, e))?,
            is_directory,
        })
    }

    pub(super) const fn is_directory(&self) -> bool {
        self.is_directory
    }

    /// Where to write.
    pub(super) fn tree(&self) -> PathBuf {
        self.staging.path().join(TREE)
    }

    /// Moves the tree into its place. Replaces nothing that appeared there meanwhile.
    ///
    /// # Errors
    ///
    /// [`Error::Path`].
    pub(super) fn take(self) -> Result<(), Error> {
        let failed = |e| path_error(&self.target, e);
        let tree = self.tree();
        if self.is_directory {
            self.take_entries(&tree).map_err(failed)?;
        } else {
            move_to_free(&tree, &self.target).map_err(failed)?;
        }
        self.staging.close().map_err(failed)
    }

    fn take_entries(&self, tree: &Path) -> io::Result<()> {
        if !fs::symlink_metadata(tree)?.is_dir() {
            return Err(ErrorKind::AlreadyExists.into());
        }
        for entry in fs::read_dir(tree)? {
            let entry = entry?;
            move_to_free(&entry.path(), &self.target.join(entry.file_name()))?;
        }
        Ok(())
    }
}

/// Whether there is an empty directory, or nothing; an error when there is anything else.
fn is_empty_directory(path: &Path) -> io::Result<bool> {
    match fs::read_dir(path) {
        Ok(mut listing) => match listing.next().transpose()? {
            None => Ok(true),
            Some(_) => Err(ErrorKind::DirectoryNotEmpty.into()),
        },
        // A link that leads nowhere is something too.
        Err(e) if e.kind() == ErrorKind::NotFound => match fs::symlink_metadata(path) {
            Ok(_) => Err(ErrorKind::AlreadyExists.into()),
            Err(e) if e.kind() == ErrorKind::NotFound => Ok(false),
            Err(e) => Err(e),
        },
        Err(e) if e.kind() == ErrorKind::NotADirectory => Err(ErrorKind::AlreadyExists.into()),
        Err(e) => Err(e),
    }
}

fn move_to_free(from: &Path, to: &Path) -> io::Result<()> {
    match renameat_with(CWD, from, CWD, to, RenameFlags::NOREPLACE) {
        // Not every file system can refuse to replace.
        Err(rustix::io::Errno::INVAL | rustix::io::Errno::NOSYS) => {
            if fs::symlink_metadata(to).is_ok() {
                return Err(ErrorKind::AlreadyExists.into());
            }
            fs::rename(from, to)
        }
        moved => Ok(moved?),
    }
}
