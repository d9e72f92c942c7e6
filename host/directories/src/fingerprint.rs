//! What an entry looked like, so that a later edit of it is noticed.

use rustix::fs::{Statx, makedev};
use serde::{Deserialize, Serialize};
use std::{fs::Metadata, io, os::unix::fs::MetadataExt, path::Path};

/// The part of a mode that says what kind of entry it is.
const KIND_BITS: u32 = 0o170_000;
const DIRECTORY: u32 = 0o040_000;
const FILE: u32 = 0o100_000;
const LINK: u32 = 0o120_000;
const PERMISSION_BITS: u32 = 0o777;
const OTHERS_BITS: u32 = 0o077;

/// One entry of a directory as somebody saw it: kind, inode, size, times, mode and owner.
///
/// Of a directory only its kind and inode count, because its times change with what is in it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fingerprint {
    mode: u32,
    pub(crate) dev: u64,
    ino: u64,
    size: u64,
    uid: u32,
    gid: u32,
    modified: (i64, u32),
    changed: (i64, u32),
}

impl Fingerprint {
    /// The entry at `path` itself, not what a link points to; `None` when nothing is there.
    ///
    /// # Errors
    ///
    /// When the path cannot be looked at.
    pub fn of(path: &Path) -> io::Result<Option<Self>> {
        match std::fs::symlink_metadata(path) {
            Ok(metadata) => Ok(Some(Self::from(&metadata))),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Whether it is of a directory.
    #[must_use]
    pub fn is_directory(&self) -> bool {
        self.mode & KIND_BITS == DIRECTORY
    }

    pub(crate) fn is_file(&self) -> bool {
        self.mode & KIND_BITS == FILE
    }

    pub(crate) fn is_link(&self) -> bool {
        self.mode & KIND_BITS == LINK
    }

    /// Whether nobody but its owner may do anything with it.
    #[must_use]
    pub fn is_private(&self) -> bool {
        self.mode & OTHERS_BITS == 0
    }

    pub(crate) fn inode(&self) -> u64 {
        self.ino
    }

    /// Permissions without setuid, setgid and sticky, which nobody gets from a guest.
    pub(crate) fn permissions(&self) -> u32 {
        self.mode & PERMISSION_BITS
    }

    pub(crate) fn owner(&self) -> (u32, u32) {
        (self.uid, self.gid)
    }

    /// Whether both are of the same inode, whatever has been done to it since.
    pub(crate) fn is_entry(&self, other: &Self) -> bool {
        (self.dev, self.ino, self.mode & KIND_BITS)
            == (other.dev, other.ino, other.mode & KIND_BITS)
    }

    /// Whether the entry is as it was, for all that can be known.
    #[must_use]
    pub fn is_unchanged(&self, since: &Self) -> bool {
        self.is_unchanged_but_moved(since) && (self.is_directory() || self.changed == since.changed)
    }

    /// Like [`Self::is_unchanged`], for an entry that we have moved: a rename sets the time of the
    /// last change of the inode on most file systems, so that one does not count.
    pub(crate) fn is_unchanged_but_moved(&self, since: &Self) -> bool {
        self.is_entry(since)
            && (self.is_directory()
                || (self.mode, self.size, self.uid, self.gid, self.modified)
                    == (since.mode, since.size, since.uid, since.gid, since.modified))
    }
}

impl From<&Metadata> for Fingerprint {
    fn from(metadata: &Metadata) -> Self {
        Self {
            mode: metadata.mode(),
            dev: metadata.dev(),
            ino: metadata.ino(),
            size: metadata.size(),
            uid: metadata.uid(),
            gid: metadata.gid(),
            modified: (metadata.mtime(), nanoseconds(metadata.mtime_nsec())),
            changed: (metadata.ctime(), nanoseconds(metadata.ctime_nsec())),
        }
    }
}

impl From<&Statx> for Fingerprint {
    fn from(stat: &Statx) -> Self {
        Self {
            mode: u32::from(stat.stx_mode),
            dev: makedev(stat.stx_dev_major, stat.stx_dev_minor),
            ino: stat.stx_ino,
            size: stat.stx_size,
            uid: stat.stx_uid,
            gid: stat.stx_gid,
            modified: (stat.stx_mtime.tv_sec, stat.stx_mtime.tv_nsec),
            changed: (stat.stx_ctime.tv_sec, stat.stx_ctime.tv_nsec),
        }
    }
}

/// The kernel keeps them below a thousand million.
fn nanoseconds(value: i64) -> u32 {
    u32::try_from(value).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys::Dir;

    #[test]
    fn both_ways_to_look_at_an_entry_agree() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("file"), "text").unwrap();
        let by_path = Fingerprint::of(&dir.path().join("file")).unwrap().unwrap();
        let by_descriptor = Dir::open(dir.path())
            .unwrap()
            .stat("file")
            .unwrap()
            .unwrap();
        assert_eq!(by_path, by_descriptor.print);
        assert_eq!(Fingerprint::of(&dir.path().join("none")).unwrap(), None);
    }

    #[test]
    fn an_edit_is_noticed_and_a_new_entry_in_a_directory_is_not_one() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("file");
        std::fs::write(&file, "text").unwrap();
        let before = Fingerprint::of(&file).unwrap().unwrap();
        let of_dir = Fingerprint::of(dir.path()).unwrap().unwrap();
        std::fs::write(&file, "longer text").unwrap();
        std::fs::write(dir.path().join("other"), "").unwrap();
        let after = Fingerprint::of(&file).unwrap().unwrap();
        assert!(!after.is_unchanged(&before) && !after.is_unchanged_but_moved(&before));
        let of_dir_after = Fingerprint::of(dir.path()).unwrap().unwrap();
        assert!(of_dir_after.is_unchanged(&of_dir));
    }

    #[test]
    fn a_move_is_a_change_unless_it_is_known() {
        let dir = tempfile::tempdir().unwrap();
        let (from, to) = (dir.path().join("from"), dir.path().join("to"));
        std::fs::write(&from, "text").unwrap();
        let before = Fingerprint::of(&from).unwrap().unwrap();
        std::fs::rename(&from, &to).unwrap();
        let after = Fingerprint::of(&to).unwrap().unwrap();
        assert!(after.is_unchanged_but_moved(&before));
    }
}
