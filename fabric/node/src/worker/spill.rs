//! Files of one guest that have no room in memory, in one file on disk.

use super::disk::Share;
use mc_wasi::{PAGE_BYTES, Stop, Storage};
use std::{
    fs::File,
    os::unix::fs::FileExt,
    path::PathBuf,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

/// A file without a name, so that the system removes it with the process, whatever that ends by.
#[derive(Debug)]
pub(super) struct Spill {
    dir: PathBuf,
    /// What it takes of the disk that the worker lends.
    share: Share,
    pages: Mutex<Pages>,
}

#[derive(Debug, Default)]
struct Pages {
    /// Made with the first page: most guests write little.
    file: Option<Arc<File>>,
    /// Pages of the file that nobody needs any more.
    free: Vec<u64>,
    /// How many the file has.
    count: u64,
}

impl Spill {
    /// In `dir`, of disk that is taken from `share`.
    pub(super) fn new(dir: PathBuf, share: Share) -> Self {
        Self {
            dir,
            share,
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
        let file = tempfile::tempfile_in(&self.dir).map_err(failed)?;
        let file = Arc::new(file);
        pages.file = Some(Arc::clone(&file));
        Ok(file)
    }
}

impl Storage for Spill {
    fn allocate(&self) -> Result<u64, Stop> {
        let mut pages = self.pages();
        if let Some(page) = pages.free.pop() {
            return Ok(page);
        }
        if !self.share.take(PAGE_BYTES) {
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
            .map_err(failed)
    }

    fn write(&self, page: u64, offset: usize, bytes: &[u8]) -> Result<(), Stop> {
        let file = self.file()?;
        file.write_all_at(bytes, place(page, offset))
            .map_err(failed)
    }
}

fn place(page: u64, offset: usize) -> u64 {
    let offset = u64::try_from(offset).unwrap_or(u64::MAX);
    page.saturating_mul(PAGE_BYTES).saturating_add(offset)
}

fn failed(error: std::io::Error) -> Stop {
    Stop::Host(format!("files of the task cannot be kept on disk: {error}"))
}

#[cfg(test)]
mod tests {
    use super::super::disk::{Disk, Purpose};
    use super::*;

    fn spill(dir: &tempfile::TempDir, disk: &Arc<Disk>) -> Spill {
        let share = Share::new(Arc::clone(disk), Purpose::Scratch);
        Spill::new(dir.path().to_owned(), share)
    }

    #[test]
    fn pages_are_apart_and_taken_from_what_is_lent() {
        let dir = tempfile::tempdir().unwrap();
        let disk = Arc::new(Disk::new(2 * PAGE_BYTES, 0, 2 * PAGE_BYTES + 1));
        let storage = spill(&dir, &disk);
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
        // Nothing is left of it, even if nobody cleans up.
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0);
        let second = spill(&dir, &disk);
        assert!(second.allocate().is_err());
        drop(storage);
        assert!(second.allocate().is_ok());
    }

    #[test]
    fn a_disk_that_fails_is_the_machines_failure() {
        let dir = tempfile::tempdir().unwrap();
        let disk = Arc::new(Disk::new(PAGE_BYTES, 0, PAGE_BYTES));
        let storage = spill(&dir, &disk);
        drop(dir);
        let page = storage.allocate().unwrap();
        let failed = storage.write(page, 0, b"x");
        assert!(matches!(failed, Err(Stop::Host(_))), "{failed:?}");
    }
}
