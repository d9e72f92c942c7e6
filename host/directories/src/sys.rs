//! Directories by descriptor, and the calls on their entries.
//!
//! A name here is one component, never a path, so that no call leaves the directory.

use crate::{fingerprint::Fingerprint, steps::step};
use rustix::{
    fs::{
        AtFlags, CWD, Mode, OFlags, RawDir, RenameFlags, ResolveFlags, StatxFlags, chmodat, linkat,
        mkdirat, openat, openat2, renameat, renameat_with, statx, symlinkat, unlinkat,
    },
    io::Errno,
};
use std::{
    ffi::OsStr,
    fs::File,
    io,
    mem::MaybeUninit,
    os::{fd::OwnedFd, unix::ffi::OsStrExt},
    path::{Path, PathBuf},
};

/// Bytes of names that are asked for at once.
const LISTING_BYTES: usize = 8 << 10;
/// How often the kernel may ask to look once more while directories above are being moved.
const MAX_LOOKS: u32 = 16;

/// An entry, and how many names it has.
#[derive(Debug)]
pub(crate) struct Stat {
    pub(crate) print: Fingerprint,
    pub(crate) names: u32,
}

/// A directory that stays the same one whatever is done to its path.
#[derive(Debug)]
pub(crate) struct Dir(OwnedFd);

const DIRECTORY: OFlags = OFlags::PATH.union(OFlags::DIRECTORY).union(OFlags::CLOEXEC);

impl Dir {
    pub(crate) fn open(path: &Path) -> io::Result<Self> {
        step("open")?;
        Ok(Self(openat(CWD, path, DIRECTORY, Mode::empty())?))
    }

    pub(crate) fn try_clone(&self) -> io::Result<Self> {
        Ok(Self(self.0.try_clone()?))
    }

    /// The directory `name` in this one, not through a link.
    pub(crate) fn child(&self, name: &str) -> io::Result<Self> {
        step("open")?;
        let flags = DIRECTORY.union(OFlags::NOFOLLOW);
        Ok(Self(openat(&self.0, name, flags, Mode::empty())?))
    }

    /// The directory at `place` below this one, through no link whatsoever; "" is this one.
    pub(crate) fn beneath(&self, place: &str) -> io::Result<Self> {
        if place.is_empty() {
            return self.try_clone();
        }
        let resolve = ResolveFlags::BENEATH
            .union(ResolveFlags::NO_SYMLINKS)
            .union(ResolveFlags::NO_MAGICLINKS);
        for _ in 0..MAX_LOOKS {
            match step("open-beneath")
                .and_then(|()| Ok(openat2(&self.0, place, DIRECTORY, Mode::empty(), resolve)?))
            {
                Ok(found) => return Ok(Self(found)),
                Err(error) if is(&error, &[Errno::AGAIN]) => {}
                // Kernels before 5.6, and sandboxes that do not know the call.
                Err(error) if is(&error, &[Errno::NOSYS, Errno::PERM]) => break,
                Err(error) => return Err(error),
            }
        }
        let mut parts = place.split('/');
        let first = self.child(parts.next().unwrap_or_default())?;
        parts.try_fold(first, |dir, part| dir.child(part))
    }

    /// The entry `name`, not what it may point to; `None` when nothing is there.
    pub(crate) fn stat(&self, name: &str) -> io::Result<Option<Stat>> {
        step("stat")?;
        let flags = AtFlags::SYMLINK_NOFOLLOW | AtFlags::NO_AUTOMOUNT;
        match statx(&self.0, name, flags, StatxFlags::BASIC_STATS) {
            Ok(stat) => Ok(Some(Stat {
                print: Fingerprint::from(&stat),
                names: stat.stx_nlink,
            })),
            Err(Errno::NOENT) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// This directory itself.
    pub(crate) fn print(&self) -> io::Result<Fingerprint> {
        step("stat")?;
        let stat = statx(&self.0, "", AtFlags::EMPTY_PATH, StatxFlags::BASIC_STATS)?;
        Ok(Fingerprint::from(&stat))
    }

    pub(crate) fn make_dir(&self, name: &str, mode: u32) -> io::Result<()> {
        step("make-dir")?;
        Ok(mkdirat(&self.0, name, Mode::from_raw_mode(mode))?)
    }

    /// For a directory that only we know.
    pub(crate) fn set_mode(&self, name: &str, mode: u32) -> io::Result<()> {
        step("set-mode")?;
        Ok(chmodat(
            &self.0,
            name,
            Mode::from_raw_mode(mode),
            AtFlags::empty(),
        )?)
    }

    /// A new file that only its creator writes to.
    pub(crate) fn create(&self, name: &str, mode: u32) -> io::Result<File> {
        step("create")?;
        let flags =
            OFlags::CREATE | OFlags::EXCL | OFlags::RDWR | OFlags::CLOEXEC | OFlags::NOFOLLOW;
        Ok(openat(&self.0, name, flags, Mode::from_raw_mode(mode))?.into())
    }

    /// A file that is there, to be read and added to.
    pub(crate) fn open_file(&self, name: &str) -> io::Result<File> {
        step("open")?;
        let flags = OFlags::RDWR | OFlags::APPEND | OFlags::CLOEXEC | OFlags::NOFOLLOW;
        Ok(openat(&self.0, name, flags, Mode::empty())?.into())
    }

    /// Where the link `name` points; `None` when it is none, or nothing is there.
    pub(crate) fn read_link(&self, name: &str) -> io::Result<Option<PathBuf>> {
        step("read-link")?;
        match rustix::fs::readlinkat(&self.0, name, Vec::new()) {
            Ok(target) => Ok(Some(OsStr::from_bytes(target.to_bytes()).into())),
            Err(Errno::INVAL | Errno::NOENT) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    pub(crate) fn make_link(&self, name: &str, target: &Path) -> io::Result<()> {
        step("symlink")?;
        Ok(symlinkat(target, &self.0, name)?)
    }

    /// Moves `name` to where nobody else makes entries, so that nothing there can be replaced.
    pub(crate) fn take(&self, name: &str, to: &Self, new_name: &str) -> io::Result<()> {
        step("take")?;
        Ok(renameat(&self.0, name, &to.0, new_name)?)
    }

    /// Moves `name`, which only we move, to where nothing is yet.
    ///
    /// # Errors
    ///
    /// `AlreadyExists` when something is there, and whatever the kernel says.
    pub(crate) fn put(&self, name: &str, to: &Self, new_name: &str) -> io::Result<()> {
        let moved = step("noreplace").and_then(|()| {
            let flags = RenameFlags::NOREPLACE;
            Ok(renameat_with(&self.0, name, &to.0, new_name, flags)?)
        });
        match moved {
            Err(error) if is(&error, &UNSUPPORTED) => self.put_by_link(name, to, new_name),
            moved => moved,
        }
    }

    /// [`Self::put`] where the file system cannot do it in one step. Between the two steps the entry
    /// has both names.
    fn put_by_link(&self, name: &str, to: &Self, new_name: &str) -> io::Result<()> {
        if self.stat(name)?.is_some_and(|it| it.print.is_directory()) {
            // Replaces an empty directory at most.
            return self.take(name, to, new_name).map_err(|error| {
                match is(&error, &[Errno::NOTEMPTY, Errno::NOTDIR]) {
                    true => Errno::EXIST.into(),
                    false => error,
                }
            });
        }
        let linked = step("link")
            .and_then(|()| Ok(linkat(&self.0, name, &to.0, new_name, AtFlags::empty())?));
        match linked {
            Ok(()) => self.remove_file(name),
            // No second names on this file system, as on FAT: an empty file holds the place.
            Err(error) if is(&error, &[Errno::PERM, Errno::MLINK, Errno::OPNOTSUPP]) => {
                drop(to.create(new_name, 0o600)?);
                self.take(name, to, new_name)
            }
            Err(error) => Err(error),
        }
    }

    /// Swaps two entries in one step.
    ///
    /// # Errors
    ///
    /// One that [`is_unsupported`] when the file system cannot.
    pub(crate) fn exchange(&self, name: &str, to: &Self, other: &str) -> io::Result<()> {
        step("exchange")?;
        let flags = RenameFlags::EXCHANGE;
        Ok(renameat_with(&self.0, name, &to.0, other, flags)?)
    }

    pub(crate) fn remove_file(&self, name: &str) -> io::Result<()> {
        step("unlink")?;
        Ok(unlinkat(&self.0, name, AtFlags::empty())?)
    }

    /// Only when it is empty.
    pub(crate) fn remove_dir(&self, name: &str) -> io::Result<()> {
        step("remove-dir")?;
        Ok(unlinkat(&self.0, name, AtFlags::REMOVEDIR)?)
    }

    /// A descriptor that can be listed and synchronised, which one of a path alone cannot.
    pub(crate) fn readable(&self) -> io::Result<File> {
        step("open")?;
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        Ok(openat(&self.0, ".", flags, Mode::empty())?.into())
    }

    /// Makes the names in it durable.
    pub(crate) fn sync(&self) -> io::Result<()> {
        let dir = self.readable()?;
        step("sync")?;
        dir.sync_all()
    }

    /// Makes all of its file system durable.
    pub(crate) fn sync_file_system(&self) -> io::Result<()> {
        let dir = self.readable()?;
        step("sync")?;
        Ok(rustix::fs::syncfs(&dir)?)
    }

    /// Calls `each` with every name in it until that says to stop.
    pub(crate) fn names(&self, mut each: impl FnMut(&OsStr) -> bool) -> io::Result<()> {
        let dir = self.readable()?;
        step("list")?;
        let mut buffer = [MaybeUninit::uninit(); LISTING_BYTES];
        let mut listing = RawDir::new(&dir, &mut buffer);
        while let Some(entry) = listing.next() {
            let entry = entry?;
            let name = OsStr::from_bytes(entry.file_name().to_bytes());
            if name != "." && name != ".." && !each(name) {
                break;
            }
        }
        Ok(())
    }

    pub(crate) fn is_empty(&self) -> io::Result<bool> {
        let mut empty = true;
        self.names(|_| {
            empty = false;
            false
        })?;
        Ok(empty)
    }
}

const UNSUPPORTED: [Errno; 3] = [Errno::INVAL, Errno::NOSYS, Errno::OPNOTSUPP];

/// Whether the file system cannot do what was asked, so that another way is needed.
pub(crate) fn is_unsupported(error: &io::Error) -> bool {
    is(error, &UNSUPPORTED)
}

/// Whether the call may succeed later, so that giving up on the change would be too early.
pub(crate) fn is_temporary(error: &io::Error) -> bool {
    Errno::from_io_error(error).is_none()
        || is(
            error,
            &[
                Errno::NOSPC,
                Errno::DQUOT,
                Errno::IO,
                Errno::NOMEM,
                Errno::NFILE,
                Errno::MFILE,
                Errno::INTR,
                Errno::AGAIN,
                Errno::STALE,
                Errno::TIMEDOUT,
            ],
        )
}

/// Whether no directory is where one was expected.
pub(crate) fn is_no_directory(error: &io::Error) -> bool {
    is(error, &[Errno::NOENT, Errno::NOTDIR, Errno::LOOP])
}

pub(crate) fn is(error: &io::Error, any: &[Errno]) -> bool {
    Errno::from_io_error(error).is_some_and(|errno| any.contains(&errno))
}
