//! Files of this machine as a task's inputs.
//!
//! They are read as they are when the task asks. The guest's world follows links itself, so that no
//! path that gets here has one on its way; what is neither file, directory nor link is refused.

use mc_wasi::{Given as Kind, Stop};
use std::{
    fs::{self, File},
    io::ErrorKind,
    os::unix::fs::FileExt,
    path::{Path, PathBuf},
};

/// Files that are kept open.
const MAX_OPEN: usize = 16;

fn failed(path: &Path, reason: impl std::fmt::Display) -> Stop {
    Stop::Host(format!("cannot read {}: {reason}", path.display()))
}

/// A path below a root, which is followed itself.
fn below(root: &Path, path: &str) -> PathBuf {
    if path.is_empty() {
        root.to_owned()
    } else {
        root.join(path)
    }
}

/// What is there; `note` is told what it looks like in all.
pub(super) fn look_up(
    root: &Path,
    path: &str,
    note: impl FnOnce(&fs::Metadata),
) -> Result<Option<Kind>, Stop> {
    // Changes lie there on their way into the directory.
    if path
        .rsplit('/')
        .next()
        .is_some_and(mc_directories::is_reserved)
    {
        return Ok(None);
    }
    let full = below(root, path);
    let metadata = if path.is_empty() {
        fs::metadata(&full)
    } else {
        fs::symlink_metadata(&full)
    };
    let metadata = match metadata {
        Ok(metadata) => metadata,
        Err(e) if matches!(e.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => {
            return Ok(None);
        }
        Err(e) => return Err(failed(&full, e)),
    };
    note(&metadata);
    if metadata.is_dir() {
        return Ok(Some(Kind::Directory));
    }
    if metadata.is_file() {
        let size = metadata.len();
        return Ok(Some(Kind::File { size }));
    }
    if metadata.is_symlink() {
        let target = fs::read_link(&full).map_err(|e| failed(&full, e))?;
        let target = target.into_os_string().into_string();
        let target = target.map_err(|_| failed(&full, "its target is not UTF-8"))?;
        return Ok(Some(Kind::Symlink { target }));
    }
    Err(failed(&full, "neither a file nor a directory"))
}

pub(super) fn list(root: &Path, path: &str) -> Result<Vec<String>, Stop> {
    let full = below(root, path);
    let entries = fs::read_dir(&full).map_err(|e| failed(&full, e))?;
    let mut names = Vec::new();
    for entry in entries {
        let entry = entry.map_err(|e| failed(&full, e))?;
        let name = entry.file_name().into_string();
        let name = name.map_err(|_| failed(&entry.path(), "its name is not UTF-8"))?;
        if !mc_directories::is_reserved(&name) {
            names.push(name);
        }
    }
    Ok(names)
}

/// Files that were read lately.
#[derive(Debug, Default)]
pub(super) struct Cache {
    /// The one read last comes last.
    open: Vec<(PathBuf, File)>,
}

impl Cache {
    pub(super) fn read(
        &mut self,
        root: &Path,
        path: &str,
        offset: u64,
        into: &mut [u8],
    ) -> Result<usize, Stop> {
        let full = below(root, path);
        let known = self.open.iter().position(|(open, _)| *open == full);
        let file = match known {
            Some(known) => self.open.remove(known).1,
            None => File::open(&full).map_err(|e| failed(&full, e))?,
        };
        let mut read = 0;
        while let Some(rest) = into.get_mut(read..).filter(|rest| !rest.is_empty()) {
            match file.read_at(rest, offset + read as u64) {
                Ok(0) => break,
                Ok(part) => read += part,
                Err(e) if e.kind() == ErrorKind::Interrupted => {}
                Err(e) => return Err(failed(&full, e)),
            }
        }
        if self.open.len() >= MAX_OPEN {
            self.open.remove(0);
        }
        self.open.push((full, file));
        Ok(read)
    }
}
