//! Compiled components on disk.
//!
//! An entry is `magic ‖ sha2-256(key ‖ code) ‖ code`, under a name made of the component's CID and
//! the engine's fingerprint. Entries are written under a temporary name and renamed, so processes
//! share a directory without locks. The checksum catches damage and entries of another engine; that
//! nobody else writes entries is ensured by the directory's mode, which is checked.

use crate::Error;
use mc_types::Cid;
use sha2::{Digest, Sha256};
use std::{
    fs,
    io::Write,
    os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt},
    path::{Path, PathBuf},
    time::{Duration, SystemTime},
};

const MAGIC: &[u8] = b"mc-code1";
const HEADER_BYTES: usize = MAGIC.len() + 32;
const EXTENSION: &str = "cwasm";
/// How old the time of an entry may be before a use renews it: a use every hour is recent enough.
const TOUCH_AFTER: Duration = Duration::from_secs(3600);

/// A directory of compiled components.
#[derive(Debug)]
pub(crate) struct Cache {
    dir: PathBuf,
    max_bytes: u64,
}

impl Cache {
    pub(crate) fn open(dir: &Path, max_bytes: u64) -> Result<Self, Error> {
        let failed = |source| Error::Cache {
            path: dir.to_owned(),
            source,
        };
        fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(dir)
            .map_err(failed)?;
        let metadata = fs::metadata(dir).map_err(failed)?;
        if metadata.permissions().mode() & 0o022 != 0 {
            let reason = "others may write to it; chmod 700 it";
            return Err(failed(std::io::Error::other(reason)));
        }
        Ok(Self {
            dir: dir.to_owned(),
            max_bytes,
        })
    }

    /// The code of a program, if there is an intact entry. `engine` names what made it: code of another
    /// one is not found.
    pub(crate) fn get(&self, cid: &Cid, engine: &str) -> Option<Vec<u8>> {
        let path = self.path(cid, engine);
        let mut entry = fs::read(&path).ok()?;
        let (header, code) = entry.split_at_checked(HEADER_BYTES)?;
        if header.strip_prefix(MAGIC)? != checksum(cid, engine, code) {
            tracing::warn!(path = %path.display(), "damaged cache entry, compiling again");
            return None;
        }
        touch(&path);
        entry.drain(..HEADER_BYTES);
        Some(entry)
    }

    /// Adds an entry. A cache that cannot be written only costs time, so failure is logged.
    pub(crate) fn put(&self, cid: &Cid, engine: &str, code: &[u8]) {
        let written = (|| {
            let mut file = tempfile::NamedTempFile::new_in(&self.dir)?;
            file.write_all(MAGIC)?;
            file.write_all(&checksum(cid, engine, code))?;
            file.write_all(code)?;
            file.persist(self.path(cid, engine)).map_err(|e| e.error)?;
            self.evict()
        })();
        if let Err(error) = written {
            tracing::warn!(%error, dir = %self.dir.display(), "compiled code was not cached");
        }
    }

    fn path(&self, cid: &Cid, engine: &str) -> PathBuf {
        self.dir.join(format!("{cid}-{engine}.{EXTENSION}"))
    }

    /// Removes the least recently used entries until the rest fits.
    fn evict(&self) -> std::io::Result<()> {
        let mut entries = Vec::new();
        let mut total = 0;
        for entry in fs::read_dir(&self.dir)? {
            let path = entry?.path();
            if path
                .extension()
                .is_none_or(|extension| extension != EXTENSION)
            {
                continue;
            }
            // An entry that another process removes in the meantime needs no removing.
            let Ok(metadata) = fs::metadata(&path) else {
                continue;
            };
            total += metadata.size();
            entries.push((
                metadata.mtime(),
                metadata.mtime_nsec(),
                metadata.size(),
                path,
            ));
        }
        entries.sort_unstable();
        for (_, _, size, path) in entries {
            if total <= self.max_bytes {
                break;
            }
            if fs::remove_file(path).is_ok() {
                total -= size;
            }
        }
        Ok(())
    }
}

fn checksum(cid: &Cid, engine: &str, code: &[u8]) -> [u8; 32] {
    Sha256::new()
        .chain_update(format!("{cid}{engine}"))
        .chain_update(code)
        .finalize()
        .into()
}

/// Marks an entry as used.
fn touch(path: &Path) {
    #[expect(
        clippy::disallowed_methods,
        reason = "compared with times of the file system"
    )]
    let now = SystemTime::now();
    let stale = fs::metadata(path)
        .and_then(|metadata| metadata.modified())
        .is_ok_and(|modified| {
            now.duration_since(modified)
                .is_ok_and(|age| age > TOUCH_AFTER)
        });
    if stale {
        // An entry whose time cannot be renewed is only evicted earlier.
        let _ = fs::File::options()
            .write(true)
            .open(path)
            .and_then(|file| file.set_modified(now));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use mc_types::cid;

    fn cache(dir: &Path, max_bytes: u64) -> Cache {
        fs::set_permissions(dir, fs::Permissions::from_mode(0o700)).unwrap();
        Cache::open(dir, max_bytes).unwrap()
    }

    #[test]
    fn damaged_truncated_and_foreign_entries_are_not_found() {
        let dir = tempfile::tempdir().unwrap();
        let cache = cache(dir.path(), 1 << 20);
        let cid = cid::of(cid::RAW, b"component");
        cache.put(&cid, "engine-a", b"native code");
        assert_eq!(
            cache.get(&cid, "engine-a").as_deref(),
            Some(&b"native code"[..])
        );
        let good = fs::read(cache.path(&cid, "engine-a")).unwrap();
        for position in 0..good.len() {
            let mut bad = good.clone();
            bad[position] ^= 1;
            fs::write(cache.path(&cid, "engine-a"), &bad).unwrap();
            assert_eq!(cache.get(&cid, "engine-a"), None, "byte {position}");
            fs::write(cache.path(&cid, "engine-a"), &good[..position]).unwrap();
            assert_eq!(cache.get(&cid, "engine-a"), None, "length {position}");
        }
        fs::write(cache.path(&cid, "engine-a"), &good).unwrap();
        assert_eq!(cache.get(&cid, "engine-b"), None);
        fs::write(cache.path(&cid, "engine-b"), &good).unwrap();
        let renamed = cache.get(&cid, "engine-b");
        assert_eq!(renamed, None, "renamed from another engine");
    }

    #[test]
    fn least_recently_used_entries_make_room() {
        let dir = tempfile::tempdir().unwrap();
        let cache = cache(dir.path(), 3_000);
        let cids: Vec<_> = (0..5u8).map(|n| cid::of(cid::RAW, &[n])).collect();
        for (n, cid) in (0u64..).zip(&cids) {
            cache.put(cid, "engine-a", &[0; 900]);
            let time = SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000 + n);
            fs::File::options()
                .write(true)
                .open(cache.path(cid, "engine-a"))
                .unwrap()
                .set_modified(time)
                .unwrap();
        }
        let there: Vec<_> = cids
            .iter()
            .map(|cid| cache.get(cid, "engine-a").is_some())
            .collect();
        assert_eq!(there, [false, false, true, true, true]);
    }

    #[test]
    fn directory_that_others_may_write_to_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o777)).unwrap();
        assert!(matches!(
            Cache::open(dir.path(), 1),
            Err(Error::Cache { .. })
        ));
    }
}
