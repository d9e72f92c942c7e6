//! The directory of one attempt.

use crate::Error;
use mc_types::{FencingToken, JobId};
use std::{
    fs,
    os::unix::fs::DirBuilderExt,
    path::{Path, PathBuf},
};

/// A directory of one attempt's files, removed with everything in it when dropped.
#[derive(Debug)]
pub(crate) struct Scratch(PathBuf);

impl Scratch {
    /// The directory of an attempt below `scratch`, created on first use.
    pub(crate) fn new(scratch: &Path, job: JobId, token: FencingToken) -> Self {
        Self(dir(scratch, job, token))
    }

    /// Where it is.
    pub(crate) fn path(&self) -> &Path {
        &self.0
    }

    /// Creates it; only its owner can enter.
    pub(crate) fn create(&self) -> Result<(), Error> {
        let mut private = fs::DirBuilder::new();
        let created = private.recursive(true).mode(0o700).create(&self.0);
        created.map_err(|source| Error::Io {
            path: self.0.clone(),
            source,
        })
    }
}

/// Where an attempt has its directory.
pub(crate) fn dir(scratch: &Path, job: JobId, token: FencingToken) -> PathBuf {
    scratch.join(format!("{job}-{token}"))
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // Files that cannot be removed now are removed when the node starts again.
        let _ = fs::remove_dir_all(&self.0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use mc_types::Timestamp;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn files_of_an_attempt_go_with_it() {
        let dir = tempfile::tempdir().unwrap();
        let job = JobId::new(Timestamp::from_millis(1), 1);
        let scratch = Scratch::new(dir.path(), job, FencingToken(3));
        let path = scratch.path().to_owned();
        assert!(!path.exists(), "most attempts need none");
        scratch.create().unwrap();
        fs::write(path.join("stdout"), "said").unwrap();
        let mode = fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o700);
        drop(scratch);
        assert!(!path.exists());
        // Nor is it an error that there is nothing.
        drop(Scratch::new(dir.path(), job, FencingToken(4)));
    }
}
