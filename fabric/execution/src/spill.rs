//! The files of one guest that exceed the room in memory, in one file on disk.

use mc_wasi::{PAGE_BYTES, Stop, Storage};
use std::{
    fs::File,
    os::unix::fs::FileExt,
    path::PathBuf,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

/// A bounded amount of disk. Dropping this returns what was taken.
pub trait Room: std::fmt::Debug + Send + Sync {
    /// Takes this many more bytes; returns whether they were available.
    fn take(&self, bytes: u64) -> bool;
}

/// All of a disk: it comes to an end when the system says so.
#[derive(Debug, Clone, Copy)]
pub struct WholeDisk;

impl Room for WholeDisk {
    fn take(&self, _: u64) -> bool {
        true
    }
}

/// A file without a name, so that the system removes it however the process ends.
#[derive(Debug)]
pub struct Spill {
    dir: PathBuf,
    /// The disk that it may take.
    room: Box<dyn Room>,
    pages: Mutex<Pages>,
}

#[derive(Debug, Default)]
struct Pages {
    /// Made with the first page: most guests write little.
    file: Option<Arc<File>>,
    /// Pages of the file that are free.
    free: Vec<u64>,
    /// How many the file has.
    count: u64,
}

impl Spill {
    /// In `dir`, of disk that is taken from `room`.
    #[must_use]
    pub fn new(dir: PathBuf, room: impl Room + 'static) -> Self {
        Self {
            dir,
            room: Box::new(room),
            pages: Mutex::default(),
        }
    }

    fn pages(&self) -> MutexGuard<'_, Pages> {
        // Every update is complete, or was not begun.
        self.pages.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn file(&self) -> Result<Arc<File>, Stop> {
        let mut pages = self.pages();
        if let Some(file) = &pages.file {
            return Ok(Arc::clone(file));
        }
        let file = tempfile::tempfile_in(&self.dir).map_err(|e| self.failed(&e))?;
        let file = Arc::new(file);
        pages.file = Some(Arc::clone(&file));
        Ok(file)
    }

    fn failed(&self, error: &std::io::Error) -> Stop {
        let dir = self.dir.display();
        Stop::Host(format!(
            "files of the task cannot be kept in {dir}: {error}"
        ))
    }
}

impl Storage for Spill {
    fn allocate(&self) -> Result<u64, Stop> {
        let mut pages = self.pages();
        if let Some(page) = pages.free.pop() {
            return Ok(page);
        }
        if !self.room.take(PAGE_BYTES) {
            let reason = "the node has no more room for files of tasks";
            return Err(Stop::Host(reason.to_owned()));
        }
        let page = pages.count;
        pages.count += 1;
        Ok(page)
    }

    fn release(&self, page: u64) {
        self.pages().free.push(page);
    }

    fn read(&self, page: u64, offset: usize, into: &mut [u8]) -> Result<(), Stop> {
        let file = self.file()?;
        file.read_exact_at(into, place(page, offset))
            .map_err(|e| self.failed(&e))
    }

    fn write(&self, page: u64, offset: usize, bytes: &[u8]) -> Result<(), Stop> {
        let file = self.file()?;
        file.write_all_at(bytes, place(page, offset))
            .map_err(|e| self.failed(&e))
    }
}

fn place(page: u64, offset: usize) -> u64 {
    let offset = u64::try_from(offset).unwrap_or(u64::MAX);
    page.saturating_mul(PAGE_BYTES).saturating_add(offset)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicU64, Ordering};

    /// So many bytes.
    #[derive(Debug)]
    struct Remaining(AtomicU64);

    impl Room for Remaining {
        fn take(&self, bytes: u64) -> bool {
            let less = |left: u64| left.checked_sub(bytes);
            let (set, get) = (Ordering::Relaxed, Ordering::Relaxed);
            self.0.fetch_update(set, get, less).is_ok()
        }
    }

    fn spill(dir: &tempfile::TempDir, bytes: u64) -> Spill {
        Spill::new(dir.path().to_owned(), Remaining(AtomicU64::new(bytes)))
    }

    #[test]
    fn pages_are_apart_and_taken_from_what_is_lent() {
        let dir = tempfile::tempdir().unwrap();
        let storage = spill(&dir, 2 * PAGE_BYTES + 1);
        let (one, other) = (storage.allocate().unwrap(), storage.allocate().unwrap());
        storage.write(other, 0, b"other").unwrap();
        storage.write(one, 65_530, b"at end").unwrap();
        let mut bytes = [0; 5];
        storage.read(other, 0, &mut bytes).unwrap();
        assert_eq!(&bytes, b"other");
        storage.read(one, 65_531, &mut bytes).unwrap();
        assert_eq!(&bytes, b"t end");
        let refused = storage.allocate();
        assert!(matches!(refused, Err(Stop::Host(_))), "{refused:?}");
        storage.release(other);
        assert_eq!(storage.allocate(), Ok(other), "it is there already");
        // No file remains, even without cleaning up.
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0);
    }

    #[test]
    fn a_disk_that_fails_is_the_machines_failure() {
        let dir = tempfile::tempdir().unwrap();
        let storage = spill(&dir, PAGE_BYTES);
        drop(dir);
        let page = storage.allocate().unwrap();
        let Err(Stop::Host(reason)) = storage.write(page, 0, b"x") else {
            panic!("the directory is gone");
        };
        let dir = storage.dir.display().to_string();
        assert!(reason.contains(&dir), "{reason}");
    }
}
