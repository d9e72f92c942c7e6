//! CIDs of files that were hashed before.
//!
//! A file is known by what the file system says of it: device, inode, length, and the times of its last
//! changes. A file that was changed a moment ago is not remembered, since it could change again without
//! any of these changing.

use mc_types::Cid;
use std::{
    fs::{self, Metadata},
    os::unix::fs::{DirBuilderExt, MetadataExt},
    path::{Path, PathBuf},
    time::{Duration, SystemTime},
};

/// How old the last change of a file must be: longer than the ticks of any file system's clock.
const SETTLED_AFTER: Duration = Duration::from_secs(3);
/// Most files that are remembered.
const MAX_KNOWN: usize = 4096;

/// The CIDs that are remembered in a directory.
#[derive(Debug)]
pub(crate) struct KnownFiles {
    /// None are, if there is no such directory.
    dir: Option<PathBuf>,
}

impl KnownFiles {
    /// Those below the directory of the cache.
    pub(crate) fn below(cache: Option<&Path>) -> Self {
        Self {
            dir: cache.map(|cache| cache.join("files")),
        }
    }

    /// The CID of a file, if it is known.
    pub(crate) fn get(&self, metadata: &Metadata) -> Option<Cid> {
        let text = fs::read_to_string(self.path(metadata)?).ok()?;
        text.trim().parse().ok()
    }

    /// Remembers the CID of a file. What cannot be remembered is only hashed again.
    pub(crate) fn put(&self, metadata: &Metadata, cid: &Cid) {
        let (Some(dir), Some(path)) = (&self.dir, self.path(metadata)) else {
            return;
        };
        if !is_settled(metadata) {
            return;
        }
        let _ = fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(dir);
        let written = (|| {
            let mut file = tempfile::NamedTempFile::new_in(dir)?;
            std::io::Write::write_all(&mut file, cid.to_string().as_bytes())?;
            file.persist(path).map_err(|e| e.error)?;
            forget_some(dir)
        })();
        let _: std::io::Result<()> = written;
    }

    fn path(&self, metadata: &Metadata) -> Option<PathBuf> {
        let name = format!(
            "{:x}-{:x}-{:x}-{:x}.{:x}-{:x}.{:x}",
            metadata.dev(),
            metadata.ino(),
            metadata.size(),
            metadata.mtime(),
            metadata.mtime_nsec(),
            metadata.ctime(),
            metadata.ctime_nsec(),
        );
        Some(self.dir.as_ref()?.join(name))
    }
}

/// Makes room, by forgetting all: it happens rarely, and costs one hash a file.
fn forget_some(dir: &Path) -> std::io::Result<()> {
    if fs::read_dir(dir)?.count() > MAX_KNOWN {
        fs::remove_dir_all(dir)?;
    }
    Ok(())
}

#[expect(
    clippy::disallowed_methods,
    reason = "compared with times of the file system"
)]
fn is_settled(metadata: &Metadata) -> bool {
    let changed = u64::try_from(metadata.ctime()).unwrap_or_default();
    let changed = SystemTime::UNIX_EPOCH + Duration::from_secs(changed);
    let age = SystemTime::now().duration_since(changed);
    age.is_ok_and(|age| age > SETTLED_AFTER)
}

#[cfg(test)]
mod tests {
    use super::*;
    use mc_types::cid;

    #[test]
    fn file_is_known_until_it_changes() {
        let dir = tempfile::tempdir().unwrap();
        let known = KnownFiles::below(Some(dir.path()));
        // An old file: this program.
        let program = std::env::current_exe().unwrap();
        let metadata = fs::metadata(&program).unwrap();
        let cid = cid::of(cid::RAW, b"program");
        assert_eq!(known.get(&metadata), None);
        if is_settled(&metadata) {
            known.put(&metadata, &cid);
            assert_eq!(known.get(&metadata), Some(cid));
        }
        let other = dir.path().join("other");
        fs::write(&other, "new").unwrap();
        let metadata = fs::metadata(&other).unwrap();
        known.put(&metadata, &cid);
        assert_eq!(known.get(&metadata), None, "it may change in this moment");
    }
}
