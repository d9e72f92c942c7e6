//! What a guest saw of the user's own directories, so that its changes do not overwrite newer ones.

use mc_directories::Fingerprint;
use mc_wasi::At;
use std::{
    collections::BTreeMap,
    fs::Metadata,
    io,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

/// Entries by mount and path below it. Clones share them.
#[derive(Debug, Clone, Default)]
pub struct Seen(Arc<Mutex<Entries>>);

#[derive(Debug, Default)]
struct Entries {
    all: BTreeMap<(u32, String), Fingerprint>,
    /// Where those of them pointed that are links.
    targets: BTreeMap<(u32, String), String>,
}

impl Seen {
    fn entries(&self) -> MutexGuard<'_, Entries> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Records what an entry looks like now. Only the first look counts, since the guest acted on it.
    pub fn note(&self, at: &At, metadata: &Metadata) {
        let mut entries = self.entries();
        let entry = entries.all.entry((at.mount, at.path.clone()));
        entry.or_insert_with(|| Fingerprint::from(metadata));
    }

    /// Records where a link points now. Only the first look counts.
    pub fn note_target(&self, at: &At, target: &str) {
        let mut entries = self.entries();
        let entry = entries.targets.entry((at.mount, at.path.clone()));
        entry.or_insert_with(|| target.to_owned());
    }

    /// Looks at everything below `root` that a guest can see, at once: for a guest that gets a copy, or that looked
    /// before.
    ///
    /// # Errors
    ///
    /// What could not be read, the root or an entry below it, and why.
    pub fn walk(&self, mount: u32, root: &Path) -> Result<(), (PathBuf, io::Error)> {
        let mut directories = vec![(root.to_owned(), At::mount(mount))];
        while let Some((path, at)) = directories.pop() {
            let failed = |e| (path.clone(), e);
            for entry in std::fs::read_dir(&path).map_err(failed)? {
                let entry = entry.map_err(failed)?;
                // A guest cannot see a name that is not UTF-8.
                let Some(name) = entry.file_name().to_str().map(str::to_owned) else {
                    continue;
                };
                let metadata = match entry.metadata() {
                    Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                    metadata => metadata.map_err(|e| (entry.path(), e))?,
                };
                if mc_directories::is_reserved(&name) {
                    continue;
                }
                let at = at.child(&name);
                if metadata.is_symlink() {
                    let target = std::fs::read_link(entry.path()).ok();
                    let Some(target) = target.as_deref().and_then(Path::to_str) else {
                        continue;
                    };
                    self.note_target(&at, target);
                } else if metadata.is_dir() {
                    directories.push((entry.path(), at.clone()));
                } else if !metadata.is_file() {
                    continue;
                }
                self.note(&at, &metadata);
            }
        }
        Ok(())
    }

    /// What was at a path, if something was.
    #[must_use]
    pub fn get(&self, mount: u32, path: &str) -> Option<Fingerprint> {
        self.entries().all.get(&(mount, path.to_owned())).cloned()
    }

    /// Where the link at a path pointed, if one was there.
    #[must_use]
    pub fn target(&self, mount: u32, path: &str) -> Option<String> {
        let entries = self.entries();
        entries.targets.get(&(mount, path.to_owned())).cloned()
    }

    /// Everything seen below a directory; "" is the topmost one.
    #[must_use]
    pub fn below(&self, mount: u32, directory: &str) -> Vec<(String, Fingerprint)> {
        let start = match directory {
            "" => String::new(),
            _ => format!("{directory}/"),
        };
        let entries = self.entries();
        let below = entries.all.range((mount, start.clone())..);
        below
            .take_while(|((number, path), _)| *number == mount && path.starts_with(&start))
            .map(|((_, path), seen)| (path.clone(), seen.clone()))
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{
        ffi::OsStr,
        fs::Permissions,
        os::unix::{
            ffi::OsStrExt,
            fs::{PermissionsExt, symlink},
            net::UnixListener,
        },
    };

    #[test]
    fn the_first_look_counts_and_neighbours_are_not_below() {
        let dir = tempfile::tempdir().unwrap();
        for name in ["a", "a-b"] {
            std::fs::create_dir(dir.path().join(name)).unwrap();
            std::fs::write(dir.path().join(name).join("file"), "1").unwrap();
        }
        let seen = Seen::default();
        seen.walk(3, dir.path()).unwrap();
        let first = seen.get(3, "a/file").unwrap();
        std::fs::write(dir.path().join("a/file"), "another length").unwrap();
        seen.walk(3, dir.path()).unwrap();
        assert_eq!(seen.get(3, "a/file"), Some(first.clone()));
        assert_eq!(seen.below(3, "a"), [("a/file".to_owned(), first)]);
        let all: Vec<_> = seen
            .below(3, "")
            .into_iter()
            .map(|(path, _)| path)
            .collect();
        assert_eq!(all, ["a", "a-b", "a-b/file", "a/file"]);
        assert_eq!(seen.get(2, "a/file"), None);
    }

    #[test]
    fn what_guests_have_no_words_for_is_not_seen() {
        let dir = tempfile::tempdir().unwrap();
        let _socket = UnixListener::bind(dir.path().join("socket")).unwrap();
        symlink(OsStr::from_bytes(b"\xff"), dir.path().join("no-text")).unwrap();
        symlink("file", dir.path().join("link")).unwrap();
        let seen = Seen::default();
        seen.walk(0, dir.path()).unwrap();
        assert!(seen.get(0, "link").is_some());
        assert_eq!(
            (seen.get(0, "socket"), seen.get(0, "no-text")),
            (None, None)
        );
    }

    #[test]
    fn what_cannot_be_looked_at_is_named() {
        let dir = tempfile::tempdir().unwrap();
        let closed = dir.path().join("open/closed");
        std::fs::create_dir_all(&closed).unwrap();
        std::fs::set_permissions(&closed, Permissions::from_mode(0o000)).unwrap();
        // To some users nothing is closed.
        if std::fs::read_dir(&closed).is_err() {
            let (path, error) = Seen::default().walk(0, dir.path()).unwrap_err();
            assert_eq!(
                (path, error.kind()),
                (closed, io::ErrorKind::PermissionDenied)
            );
        }
    }
}
