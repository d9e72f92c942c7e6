//! Files of this machine as a task's inputs.
//!
//! They are read when the task asks. The guest's world follows links itself, so no path that gets here contains one.
//! The guest does not see what WASI cannot express: sockets, devices, and names or link targets that are not UTF-8.

use mc_wasi::{InputEntry, Stop};
use std::{
    fs::{self, File},
    io::ErrorKind,
    os::unix::fs::FileExt,
    path::{Path, PathBuf},
};

/// Files that are kept open.
const MAX_OPEN: usize = 16;

fn failed(path: &Path, reason: impl std::fmt::Display) -> Stop {
    Stop::Unreadable(format!("cannot read {}: {reason}", path.display()))
}

/// A path below a root, which is followed itself.
fn below(root: &Path, path: &str) -> PathBuf {
    if path.is_empty() {
        root.to_owned()
    } else {
        root.join(path)
    }
}

/// The entry; `note` gets the full metadata. Entries that the guest does not see are not noted: they stay as they are,
/// whatever the guest does with their name or directory.
pub(super) fn look_up(
    root: &Path,
    path: &str,
    note: impl FnOnce(&fs::Metadata),
) -> Result<Option<InputEntry>, Stop> {
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
    let found = kind(&full, &metadata)?;
    if found.is_some() {
        note(&metadata);
    } else if path.is_empty() {
        return Err(failed(&full, "neither a file nor a directory"));
    }
    Ok(found)
}

/// What a guest has a word for.
fn kind(full: &Path, metadata: &fs::Metadata) -> Result<Option<InputEntry>, Stop> {
    if metadata.is_dir() {
        return Ok(Some(InputEntry::Directory));
    }
    if metadata.is_file() {
        let size = metadata.len();
        return Ok(Some(InputEntry::File { size }));
    }
    if metadata.is_symlink() {
        let target = fs::read_link(full).map_err(|e| failed(full, e))?;
        let target = target.into_os_string().into_string().ok();
        return Ok(target.map(|target| InputEntry::Symlink { target }));
    }
    Ok(None)
}

pub(super) fn list(root: &Path, path: &str) -> Result<Vec<String>, Stop> {
    let full = below(root, path);
    let entries = fs::read_dir(&full).map_err(|e| failed(&full, e))?;
    let mut names = Vec::new();
    for entry in entries {
        let entry = entry.map_err(|e| failed(&full, e))?;
        if let Ok(name) = entry.file_name().into_string()
            && !mc_directories::is_reserved(&name)
        {
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

#[cfg(test)]
mod tests {
    use super::*;
    use std::{
        ffi::OsStr,
        os::unix::{ffi::OsStrExt, fs::symlink, net::UnixListener},
    };

    #[test]
    fn what_a_guest_has_no_words_for_is_not_there() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("file"), "text").unwrap();
        fs::write(dir.path().join(OsStr::from_bytes(b"\xff")), "text").unwrap();
        symlink(OsStr::from_bytes(b"\xff"), dir.path().join("link")).unwrap();
        let _socket = UnixListener::bind(dir.path().join("socket")).unwrap();
        let mut names = list(dir.path(), "").unwrap();
        names.sort();
        assert_eq!(names, ["file", "link", "socket"]);
        let mut noted = 0;
        let mut look_up = |name| look_up(dir.path(), name, |_| noted += 1).unwrap();
        assert_eq!(look_up("file"), Some(InputEntry::File { size: 4 }));
        assert_eq!((look_up("link"), look_up("socket")), (None, None));
        assert_eq!(noted, 1, "what is not there may not be replaced");
    }
}
