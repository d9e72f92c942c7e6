//! The directory of a transaction inside each host directory.
//!
//! ```text
//! .mc-wasm-staging-XXXXXX/     mode 0700
//!   lock               locked while a process works on it
//!   slots/N            what change N puts in, or what it has taken out
//!   journal            all changes of this host directory
//!   commit             a mark: the changes stand
//!   taken              a mark: everything that is to be taken out has been
//!   conflicts          what has not been done, and why
//! ```

use crate::sys::{Dir, is, is_no_directory};
use rustix::{
    fs::{FlockOperation, flock},
    io::Errno,
};
use std::{
    collections::hash_map::RandomState,
    fs::File,
    hash::{BuildHasher, Hasher},
    io,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
};

pub(crate) const PREFIX: &str = ".mc-wasm-staging-";
/// Random letters after it.
const LETTERS: usize = 6;
const LOCK: &str = "lock";
const SLOTS: &str = "slots";
pub(crate) const JOURNAL: &str = "journal";
/// The journal while it is being written.
pub(crate) const JOURNAL_DRAFT: &str = "journal.new";
pub(crate) const CONFLICTS: &str = "conflicts";
/// The files that there may be in a staging directory.
const FILES: [&str; 6] = [LOCK, JOURNAL, JOURNAL_DRAFT, CONFLICTS, "commit", "taken"];

/// What the name of a slot ends with in which a replaced entry waits.
pub(crate) const OLD: &str = ".old";

/// Most names that are tried for one staging directory.
const MAX_NAMES: u32 = 16;
/// Slots that are removed between two looks at what is left.
const SLOTS_PER_LOOK: usize = 4096;

/// How far a transaction has come. Each is a file of that name.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Mark {
    Commit,
    Taken,
}

impl Mark {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Commit => "commit",
            Self::Taken => "taken",
        }
    }
}

/// What was found where a staging directory may be.
#[derive(Debug)]
pub(crate) enum Found {
    /// One that is now locked by us.
    Ours(Staging),
    /// One that another process works on.
    Busy,
    /// None, or one of somebody else's.
    Nothing,
}

/// A staging directory that this process has locked.
#[derive(Debug)]
pub(crate) struct Staging {
    /// The host directory that it is in.
    pub(crate) root: Dir,
    pub(crate) root_path: PathBuf,
    pub(crate) name: String,
    pub(crate) dir: Dir,
    pub(crate) slots: Dir,
    _lock: Lock,
}

/// A lock that this process holds.
#[derive(Debug)]
struct Lock(File);

/// Whether an entry of that name may be a staging directory: `.mc-wasm-staging-` and six letters or digits. Guests may
/// neither see nor make such a name.
#[must_use]
pub fn is_reserved(name: &str) -> bool {
    let letters = name.strip_prefix(PREFIX);
    letters.is_some_and(|letters| {
        letters.len() == LETTERS && letters.bytes().all(|letter| letter.is_ascii_alphanumeric())
    })
}

impl Staging {
    /// Makes one in `root`, under a name that nobody has.
    pub(crate) fn create(root: &Dir, path: &Path) -> io::Result<Self> {
        for _ in 0..MAX_NAMES {
            let name = format!("{PREFIX}{}", random_letters());
            match root.make_dir(&name, 0o700) {
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => continue,
                made => made?,
            }
            let locked = Self::furnish(root, path, &name);
            match locked {
                Ok(Some(staging)) => return Ok(staging),
                // A recovery took it for a dead one, before it was locked.
                Ok(None) => {}
                Err(error) => {
                    let dir = root.child(&name)?;
                    let _ = discard(root, &name, &dir);
                    return Err(error);
                }
            }
        }
        Err(io::ErrorKind::AlreadyExists.into())
    }

    fn furnish(root: &Dir, path: &Path, name: &str) -> io::Result<Option<Self>> {
        let lock = root
            .child(name)
            .and_then(|dir| Ok((dir.create(LOCK, 0o600)?, dir)));
        let (lock, dir) = match lock {
            Ok(made) => made,
            Err(error) if is_no_directory(&error) => return Ok(None),
            Err(error) => return Err(error),
        };
        let Some(lock) = Lock::hold(&dir, lock)? else {
            return Ok(None);
        };
        dir.make_dir(SLOTS, 0o700)?;
        let slots = dir.child(SLOTS)?;
        Self::locked((root, path, name), (dir, slots), lock).map(Some)
    }

    /// The one called `name` in `root`, which is at `path`.
    fn locked(
        (root, path, name): (&Dir, &Path, &str),
        (dir, slots): (Dir, Dir),
        lock: Lock,
    ) -> io::Result<Self> {
        Ok(Self {
            root: root.try_clone()?,
            root_path: path.to_owned(),
            name: name.to_owned(),
            dir,
            slots,
            _lock: lock,
        })
    }

    /// Looks at `name` in `root`, which may be one that a killed process left.
    pub(crate) fn find(root: &Dir, path: &Path, name: &str) -> io::Result<Found> {
        let dir = match root.child(name) {
            Ok(dir) => dir,
            Err(error) if is_no_directory(&error) => return Ok(Found::Nothing),
            Err(error) => return Err(error),
        };
        // What another user left is that user's, and may be made to mislead us.
        if dir.print()?.owner().0 != rustix::process::geteuid().as_raw() {
            return Ok(Found::Nothing);
        }
        // Nor is everything ours that has such a name: content of strangers may have it.
        if !is_furnished(&dir)? {
            return Ok(Found::Nothing);
        }
        let lock = match dir.open_file(LOCK) {
            Ok(lock) => lock,
            Err(error) if is_no_directory(&error) => {
                // Killed before there was a lock or after there was anything else. If it is not
                // empty, it is not ours and stays.
                let _ = root.remove_dir(name);
                return Ok(Found::Nothing);
            }
            Err(error) => return Err(error),
        };
        let Some(lock) = Lock::hold(&dir, lock)? else {
            return Ok(Found::Busy);
        };
        let has_journal = dir.stat(JOURNAL)?.is_some();
        let slots = match dir.child(SLOTS) {
            Ok(slots) => slots,
            Err(error) if is_no_directory(&error) => {
                // Ours has no journal before there are slots, nor when they are gone.
                if !has_journal {
                    forget_journal(&dir)?;
                    discard(root, name, &dir)?;
                }
                return Ok(Found::Nothing);
            }
            Err(error) => return Err(error),
        };
        if !has_journal && !are_numbered(&slots)? {
            return Ok(Found::Nothing);
        }
        Self::locked((root, path, name), (dir, slots), lock).map(Found::Ours)
    }

    /// Where it is, for people.
    pub(crate) fn path(&self) -> PathBuf {
        self.root_path.join(&self.name)
    }

    /// The part of its name that no other one has.
    pub(crate) fn letters(&self) -> &str {
        self.name.strip_prefix(PREFIX).unwrap_or(&self.name)
    }

    pub(crate) fn has(&self, mark: Mark) -> io::Result<bool> {
        Ok(self.dir.stat(mark.name())?.is_some())
    }

    /// Sets a mark; it is durable after [`Dir::sync`] of the staging directory.
    pub(crate) fn mark(&self, mark: Mark) -> io::Result<()> {
        match self.dir.create(mark.name(), 0o600) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
            made => made.map(drop),
        }
    }

    /// Removes what was prepared and never committed.
    pub(crate) fn discard(&self) -> io::Result<()> {
        forget_journal(&self.dir)?;
        self.clear_slots()?;
        discard(&self.root, &self.name, &self.dir)
    }

    /// Removes what is left of a transaction that is complete. Something in a slot would be the
    /// user's: then this fails.
    pub(crate) fn close(&self) -> io::Result<()> {
        if !self.slots.is_empty()? {
            return Err(Errno::NOTEMPTY.into());
        }
        forget_journal(&self.dir)?;
        discard(&self.root, &self.name, &self.dir)?;
        self.root.sync()
    }

    /// Directories in slots are empty before the commit.
    fn clear_slots(&self) -> io::Result<()> {
        loop {
            let mut found = Vec::new();
            self.slots.names(|name| {
                found.push(name.to_string_lossy().into_owned());
                found.len() < SLOTS_PER_LOOK
            })?;
            if found.is_empty() {
                return Ok(());
            }
            for name in found {
                match self.slots.remove_file(&name) {
                    Err(error) if is(&error, &[Errno::ISDIR, Errno::PERM]) => {
                        self.slots.remove_dir(&name)?;
                    }
                    removed => removed?,
                }
            }
        }
    }
}

impl Lock {
    /// Locks `file` unless another process has, and if it is the one in `dir` still.
    fn hold(dir: &Dir, file: File) -> io::Result<Option<Self>> {
        match flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Err(Errno::WOULDBLOCK) => return Ok(None),
            locked => locked?,
        }
        let lock = Self(file);
        let inode = lock.0.metadata()?.ino();
        let found = dir.stat(LOCK)?;
        Ok(found
            .is_some_and(|found| found.print.inode() == inode)
            .then_some(lock))
    }
}

impl Drop for Lock {
    /// Closing the file is not enough: a process that another thread is just starting has a copy of
    /// it until it executes its own program.
    fn drop(&mut self) {
        let _ = flock(&self.0, FlockOperation::Unlock);
    }
}

/// Whether a directory holds what a staging directory may hold, and nothing else. If there is a journal, other things
/// may be there, too: the journal says by itself whether it is ours, and some program that keeps an index of all files
/// may have put its own there.
fn is_furnished(dir: &Dir) -> io::Result<bool> {
    let (mut known, mut others) = (Vec::new(), false);
    let listed = dir.names(|name| {
        match name.to_str().filter(|name| is_furniture(name)) {
            Some(name) => known.push(name.to_owned()),
            None => others = true,
        }
        true
    });
    match listed {
        // We can read ours. One that is no longer there is done.
        Err(error) if is_no_directory(&error) || is(&error, &[Errno::ACCESS]) => return Ok(false),
        listed => listed?,
    }
    for name in &known {
        let fits = dir.stat(name)?.is_none_or(|found| match name.as_str() {
            SLOTS => found.print.is_directory(),
            _ => found.print.is_file(),
        });
        if !fits {
            return Ok(false);
        }
    }
    Ok(!others || known.iter().any(|name| name == JOURNAL))
}

fn is_furniture(name: &str) -> bool {
    name == SLOTS || FILES.contains(&name)
}

/// Whether everything in `slots` has a name such as we give.
fn are_numbered(slots: &Dir) -> io::Result<bool> {
    let mut are_numbered = true;
    slots.names(|name| {
        let name = name.to_str().unwrap_or_default();
        let number = name.strip_suffix(OLD).unwrap_or(name);
        are_numbered = number.parse::<u32>().is_ok();
        are_numbered
    })?;
    Ok(are_numbered)
}

/// From here on there is nothing to be done but to remove the rest.
fn forget_journal(dir: &Dir) -> io::Result<()> {
    absent_is_fine(dir.remove_file(JOURNAL_DRAFT))?;
    absent_is_fine(dir.remove_file(JOURNAL))
}

fn discard(root: &Dir, name: &str, dir: &Dir) -> io::Result<()> {
    absent_is_fine(dir.remove_dir(SLOTS))?;
    for mark in [Mark::Taken, Mark::Commit] {
        absent_is_fine(dir.remove_file(mark.name()))?;
    }
    absent_is_fine(dir.remove_file(CONFLICTS))?;
    absent_is_fine(dir.remove_file(LOCK))?;
    absent_is_fine(root.remove_dir(name))
}

fn absent_is_fine(removed: io::Result<()>) -> io::Result<()> {
    match removed {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        removed => removed,
    }
}

/// Six letters and digits. They need to be new, not secret.
fn random_letters() -> String {
    const LETTERS: u64 = 36;
    let mut number = RandomState::new().build_hasher().finish();
    let letter = || {
        let digit = u32::try_from(number % LETTERS).ok();
        number /= LETTERS;
        digit.and_then(|digit| char::from_digit(digit, 36))
    };
    std::iter::repeat_with(letter).take(6).flatten().collect()
}
