//! Compiled programs on disk.
//!
//! An entry is `code ‖ xxh3-128(key ‖ code) ‖ magic`, under a name made of the program's CID and what compiled it; the
//! code comes first so that it can be mapped instead of being read. Entries are written under a temporary name and
//! renamed, so processes share a directory without locks. The checksum catches damage and entries of another engine. It
//! cannot keep other users from writing entries; the directory's mode does, and it is checked.

use crate::Error;
use mc_types::Cid;
use std::{
    fs,
    io::{Read, Write},
    os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt},
    path::{Path, PathBuf},
    time::{Duration, SystemTime},
};
use xxhash_rust::xxh3::Xxh3;

const MAGIC: &[u8] = b"mc-code3";
const TRAILER_BYTES: usize = 16 + MAGIC.len();
/// Bytes that are read at a time.
const READ_BYTES: usize = 1 << 20;
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

    /// The file with the code of a program, and the end of the code in it, if there is an intact entry. Only entries of
    /// the engine `engine` are found.
    pub(crate) fn get(&self, cid: &Cid, engine: &str) -> Option<(PathBuf, fs::File, u64)> {
        let path = self.path(cid, engine);
        let mut file = fs::File::open(&path).ok()?;
        let Ok(Some(end)) = intact(&mut file, cid, engine) else {
            tracing::warn!(path = %path.display(), "damaged cache entry, compiling again");
            return None;
        };
        touch(&path);
        Some((path, file, end))
    }

    /// Adds an entry. A cache that cannot be written only costs time, so failure is logged.
    pub(crate) fn put(&self, cid: &Cid, engine: &str, code: &[u8]) {
        let written = (|| {
            let mut file = tempfile::NamedTempFile::new_in(&self.dir)?;
            file.write_all(code)?;
            let mut hasher = hasher(cid, engine);
            hasher.update(code);
            file.write_all(&hasher.digest128().to_le_bytes())?;
            file.write_all(MAGIC)?;
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

fn hasher(cid: &Cid, engine: &str) -> Xxh3 {
    let mut hasher = Xxh3::new();
    hasher.update(&cid.to_bytes());
    hasher.update(engine.as_bytes());
    hasher
}

/// Where the code of an entry ends, if the checksum that follows is that of what comes before it.
fn intact(file: &mut fs::File, cid: &Cid, engine: &str) -> std::io::Result<Option<u64>> {
    let length = file.metadata()?.len();
    let Some(code) = length.checked_sub(TRAILER_BYTES as u64) else {
        return Ok(None);
    };
    let mut hasher = hasher(cid, engine);
    let mut buffer = vec![0; READ_BYTES];
    let mut rest = file.take(code);
    loop {
        let read = rest.read(&mut buffer)?;
        match buffer.get(..read).filter(|bytes| !bytes.is_empty()) {
            Some(bytes) => hasher.update(bytes),
            None => break,
        }
    }
    let mut trailer = Vec::with_capacity(TRAILER_BYTES);
    rest.into_inner().read_to_end(&mut trailer)?;
    let sum = hasher.digest128().to_le_bytes();
    let is_intact = trailer.strip_prefix(sum.as_slice()) == Some(MAGIC);
    Ok(is_intact.then_some(code))
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
        let (path, _, end) = cache.get(&cid, "engine-a").unwrap();
        assert_eq!(end, 11);
        assert!(fs::read(path).unwrap().starts_with(b"native code"));
        let good = fs::read(cache.path(&cid, "engine-a")).unwrap();
        for position in 0..good.len() {
            let mut bad = good.clone();
            bad[position] ^= 1;
            fs::write(cache.path(&cid, "engine-a"), &bad).unwrap();
            assert!(cache.get(&cid, "engine-a").is_none(), "byte {position}");
            fs::write(cache.path(&cid, "engine-a"), &good[..position]).unwrap();
            assert!(cache.get(&cid, "engine-a").is_none(), "length {position}");
        }
        fs::write(cache.path(&cid, "engine-a"), &good).unwrap();
        assert!(cache.get(&cid, "engine-b").is_none());
        fs::write(cache.path(&cid, "engine-b"), &good).unwrap();
        let renamed = cache.get(&cid, "engine-b");
        assert!(renamed.is_none(), "renamed from another engine");
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
