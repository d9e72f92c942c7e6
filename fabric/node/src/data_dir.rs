//! The layout of a data directory, and the one process that may use it.

use crate::error::Error;
use mc_system::lock::{DirLock, LockError};
use mc_types::NodeId;
use serde::{Deserialize, Serialize};
use std::{
    fs,
    io::Write,
    os::unix::fs::{DirBuilderExt, OpenOptionsExt},
    path::{Path, PathBuf},
};

/// Longest `node.json` that is read, in bytes; a real one has some two hundred.
const MAX_NODE_FILE_BYTES: u64 = 4096;

/// A data directory that this process holds the lock of.
///
/// | entry | content |
/// |---|---|
/// | `lock` | the lock, with the process id of its holder |
/// | `identity.key` | the node's private key |
/// | `user.key` | the private key of whoever submits encrypted jobs from here |
/// | `blocks/` | the block store |
/// | `ledger/` | jobs and leases |
/// | `peers` | addresses of peers of earlier |
/// | `owed/` | endings of attempts that no coordinator has heard yet |
/// | `scratch/` | files of running attempts; emptied at start |
/// | `before/` | those of an earlier process that was killed |
/// | `node.json` | where the running node's API answers |
#[derive(Debug)]
pub(crate) struct DataDir {
    root: PathBuf,
    _lock: DirLock,
}

/// What a running node says about itself in `node.json`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NodeFile {
    /// Base URL of its HTTP API.
    pub api: String,
    /// Its process.
    pub pid: u32,
    /// Its id.
    pub id: NodeId,
    /// Whether it ends with the command that it was started for.
    #[serde(default)]
    pub is_embedded: bool,
}

impl NodeFile {
    /// The file in the data directory `root`, if there is a readable one. It may belong to a node that was killed: ask
    /// its API before trusting it.
    #[must_use]
    pub fn read(root: &Path) -> Option<Self> {
        let path = root.join("node.json");
        if fs::metadata(&path).ok()?.len() > MAX_NODE_FILE_BYTES {
            return None;
        }
        serde_json::from_slice(&fs::read(path).ok()?).ok()
    }
}

impl DataDir {
    /// Creates the directory if it is missing, locks it, and removes what a killed process left.
    ///
    /// # Errors
    ///
    /// [`Error::DataDirLocked`] when another process holds it, [`Error::Io`] otherwise.
    pub(crate) fn open(root: &Path) -> Result<Self, Error> {
        create_private_dir(root)?;
        let lock = DirLock::acquire(root).map_err(|source| match source {
            LockError::Held { pid, .. } => Error::DataDirLocked {
                path: root.to_owned(),
                pid,
            },
            source => Error::Lock {
                path: root.to_owned(),
                source,
            },
        })?;
        let dir = Self {
            root: root.to_owned(),
            _lock: lock,
        };
        dir.remove_node_file();
        create_private_dir(&dir.before())?;
        create_private_dir(&dir.scratch())?;
        dir.set_scratch_aside();
        remove_dir_if_present(&dir.scratch())?;
        create_private_dir(&dir.scratch())?;
        create_private_dir(&dir.outbox())?;
        Ok(dir)
    }

    /// The node's private key.
    #[must_use]
    pub(crate) fn identity(&self) -> PathBuf {
        self.root.join("identity.key")
    }

    /// The block store.
    #[must_use]
    pub(crate) fn blocks(&self) -> PathBuf {
        self.root.join("blocks")
    }

    /// Jobs and leases.
    #[must_use]
    pub(crate) fn ledger(&self) -> PathBuf {
        self.root.join("ledger")
    }

    /// Addresses of peers of earlier.
    #[must_use]
    pub(crate) fn peers(&self) -> PathBuf {
        self.root.join("peers")
    }

    /// Endings of attempts that no coordinator has heard yet.
    #[must_use]
    pub(crate) fn outbox(&self) -> PathBuf {
        self.root.join("owed")
    }

    /// Files of running attempts.
    #[must_use]
    pub(crate) fn scratch(&self) -> PathBuf {
        self.root.join("scratch")
    }

    /// Files of attempts that an earlier process was killed with.
    #[must_use]
    pub(crate) fn before(&self) -> PathBuf {
        self.root.join("before")
    }

    /// The files of a killed process are read before they are removed.
    fn set_scratch_aside(&self) {
        let Ok(entries) = fs::read_dir(self.scratch()) else {
            return;
        };
        for entry in entries.flatten() {
            // Files that cannot be moved are removed with the rest: only logs are lost.
            let _ = fs::rename(entry.path(), self.before().join(entry.file_name()));
        }
    }

    /// Records where the API answers. Written under a temporary name first, so readers see all or nothing.
    ///
    /// # Errors
    ///
    /// [`Error::Io`] when the file cannot be written.
    pub(crate) fn write_node_file(&self, file: &NodeFile) -> Result<(), Error> {
        let path = self.root.join("node.json");
        let temporary = self.root.join("node.json.new");
        let text = serde_json::to_vec_pretty(file).map_err(std::io::Error::from);
        let write = |text: Vec<u8>| {
            let mut options = fs::OpenOptions::new();
            options.write(true).create(true).truncate(true).mode(0o600);
            options.open(&temporary)?.write_all(&text)?;
            fs::rename(&temporary, &path)
        };
        text.and_then(write)
            .map_err(|source| Error::Io { path, source })
    }

    /// Takes the file away again: the API no longer answers.
    pub(crate) fn remove_node_file(&self) {
        // A file that is not there, or stays there, does no harm: readers ask the API.
        let _ = fs::remove_file(self.root.join("node.json"));
    }
}

/// Creates a directory, with its parents, that only its owner can enter.
///
/// # Errors
///
/// [`Error::Io`] names the path.
pub(crate) fn create_private_dir(path: &Path) -> Result<(), Error> {
    fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(path)
        .map_err(|source| Error::Io {
            path: path.to_owned(),
            source,
        })
}

fn remove_dir_if_present(path: &Path) -> Result<(), Error> {
    match fs::remove_dir_all(path) {
        Err(source) if source.kind() != std::io::ErrorKind::NotFound => Err(Error::Io {
            path: path.to_owned(),
            source,
        }),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use mc_types::ErrorCode;
    use std::os::unix::fs::PermissionsExt;

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).unwrap().permissions().mode() & 0o777
    }

    #[test]
    fn one_process_has_a_data_directory_and_nobody_else_looks_into_it() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().join("not/there/yet");
        let first = DataDir::open(&root).unwrap();
        for path in [
            root.clone(),
            first.scratch(),
            first.before(),
            first.outbox(),
        ] {
            assert_eq!(mode(&path), 0o700, "{}", path.display());
        }
        let refused = DataDir::open(&root).unwrap_err();
        let own = std::process::id();
        assert!(
            matches!(refused, Error::DataDirLocked { pid: Some(pid), .. } if pid == own),
            "{refused}"
        );
        drop(first);
        DataDir::open(&root).unwrap();
    }

    #[test]
    fn what_a_killed_process_left_is_set_aside() {
        let dir = tempfile::tempdir().unwrap();
        let attempt = dir.path().join("scratch/job-1");
        fs::create_dir_all(&attempt).unwrap();
        fs::write(attempt.join("stdout"), "said").unwrap();
        fs::write(dir.path().join("node.json"), "{}").unwrap();
        let opened = DataDir::open(dir.path()).unwrap();
        let said = fs::read(opened.before().join("job-1/stdout")).unwrap();
        assert_eq!(said, b"said");
        assert_eq!(fs::read_dir(opened.scratch()).unwrap().count(), 0);
        assert!(!dir.path().join("node.json").exists());
    }

    #[test]
    fn a_node_file_is_read_as_it_was_written_and_nothing_else_is() {
        let dir = tempfile::tempdir().unwrap();
        let opened = DataDir::open(dir.path()).unwrap();
        let file = NodeFile {
            api: "http://127.0.0.1:7780".to_owned(),
            pid: 7,
            id: "12D3KooWa".parse().unwrap(),
            is_embedded: true,
        };
        opened.write_node_file(&file).unwrap();
        assert_eq!(NodeFile::read(dir.path()), Some(file));
        let path = dir.path().join("node.json");
        assert_eq!(mode(&path), 0o600);
        let plain = r#"{"api":"http://127.0.0.1:1","pid":1,"id":"12D3KooWa"}"#;
        let long = format!("{plain}{}", " ".repeat(5000));
        for bad in ["", "{}", "no json", &long] {
            fs::write(&path, bad).unwrap();
            assert_eq!(NodeFile::read(dir.path()), None, "{bad}");
        }
        fs::write(&path, plain).unwrap();
        let read = NodeFile::read(dir.path());
        assert!(read.is_some_and(|file| !file.is_embedded));
        opened.remove_node_file();
        assert_eq!(NodeFile::read(dir.path()), None);
    }

    #[test]
    fn a_directory_that_cannot_be_made_is_named() {
        let refused = DataDir::open(Path::new("/dev/null/below")).unwrap_err();
        assert_eq!(refused.code(), ErrorCode::Path);
        assert!(refused.to_string().contains("/dev/null/below"), "{refused}");
    }
}
