//! The lock of a data directory.

use rustix::fs::{FlockOperation, flock};
use std::{
    fs::File,
    io::{Read, Seek, Write},
    os::unix::fs::OpenOptionsExt,
    path::Path,
};

/// Holds a directory for this process. Released when dropped, and by the kernel however the process ends.
#[derive(Debug)]
pub struct DirLock {
    file: File,
}

/// Why a directory could not be locked.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LockError {
    /// Another process holds it.
    #[error("another process holds the lock")]
    Held {
        /// The process, if it wrote its id.
        pid: Option<u32>,
    },
    /// The lock file cannot be used.
    #[error("the lock file cannot be used")]
    Io(#[from] std::io::Error),
}

impl DirLock {
    /// Locks the directory `dir` through the file `lock` in it.
    ///
    /// # Errors
    ///
    /// [`LockError::Held`] at once when another process holds it.
    pub fn acquire(dir: &Path) -> Result<Self, LockError> {
        let mut options = File::options();
        let mut file = options
            .read(true)
            .write(true)
            .create(true)
            .mode(0o600)
            .open(dir.join("lock"))?;
        if flock(&file, FlockOperation::NonBlockingLockExclusive).is_err() {
            let mut text = String::new();
            let read = file.take(16).read_to_string(&mut text);
            return Err(LockError::Held {
                pid: read.ok().and_then(|_| text.trim().parse().ok()),
            });
        }
        file.set_len(0)?;
        file.rewind()?;
        writeln!(file, "{}", std::process::id())?;
        Ok(Self { file })
    }
}

impl Drop for DirLock {
    /// Closing the file is not enough: a process that another thread is just starting has a copy of it
    /// until it executes its own program, and would hold the lock until then.
    fn drop(&mut self) {
        // It does not fail for a file that is open; if it did, closing would be what is left to do.
        let _ = flock(&self.file, FlockOperation::Unlock);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn second_holder_is_told_of_the_first_until_that_lets_go() {
        let dir = tempfile::tempdir().unwrap();
        let first = DirLock::acquire(dir.path()).unwrap();
        let refused = DirLock::acquire(dir.path()).unwrap_err();
        let own = std::process::id();
        assert!(
            matches!(refused, LockError::Held { pid: Some(pid) } if pid == own),
            "{refused}"
        );
        // What a process being started holds for a moment.
        let copy = first.file.try_clone().unwrap();
        drop(first);
        DirLock::acquire(dir.path()).unwrap();
        drop(copy);
    }
}
