//! One host directory and the changes of a guest.

use crate::{host::listed, scratch};
use mc_directories::{Conflict, DirectoryId, Fingerprint, Reason, Transaction, steps::on_step};
use std::{
    fs,
    path::{Path, PathBuf},
};

/// A host directory, and a transaction for it.
pub(crate) struct Fixture {
    _base: tempfile::TempDir,
    pub(crate) root: PathBuf,
    pub(crate) transaction: Transaction,
    pub(crate) dir: DirectoryId,
}

impl Fixture {
    pub(crate) fn new(files: &[&str]) -> Self {
        let base = scratch();
        let root = base.path().join("root");
        fs::create_dir(&root).unwrap();
        for place in files {
            let path = root.join(place);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, format!("old {place}")).unwrap();
        }
        let mut transaction = Transaction::new();
        let dir = transaction.directory(&root).unwrap();
        Self {
            _base: base,
            root,
            transaction,
            dir,
        }
    }

    pub(crate) fn print(&self, place: &str) -> Fingerprint {
        Fingerprint::of(&self.root.join(place)).unwrap().unwrap()
    }

    pub(crate) fn make(&mut self, place: &str) {
        self.put(place, None);
    }

    pub(crate) fn change(&mut self, place: &str) {
        let seen = self.print(place);
        self.put(place, Some(&seen));
    }

    pub(crate) fn put(&mut self, place: &str, replaces: Option<&Fingerprint>) {
        let text = format!("new {place}");
        self.transaction
            .put_file(self.dir, Path::new(place), replaces, None, |file| {
                file.write_all(text.as_bytes())
            })
            .unwrap();
    }

    pub(crate) fn remove(&mut self, place: &str) {
        let seen = self.print(place);
        self.transaction
            .remove(self.dir, Path::new(place), &seen)
            .unwrap();
    }

    pub(crate) fn rename(&mut self, from: &str, to: &str) {
        let seen = self.print(from);
        self.transaction
            .rename(self.dir, Path::new(from), Path::new(to), &seen, None)
            .unwrap();
    }

    pub(crate) fn make_dir(&mut self, place: &str, replaces: Option<&Fingerprint>) {
        self.transaction
            .make_directory(self.dir, Path::new(place), replaces, None)
            .unwrap();
    }

    /// Commits, and gives the conflicts with paths below the host directory.
    pub(crate) fn commit(&mut self) -> Vec<(String, Option<String>, Reason)> {
        let report = std::mem::take(&mut self.transaction).commit().unwrap();
        on_step(None);
        let relative = |path: &Path| {
            let below = path.strip_prefix(self.root.canonicalize().unwrap());
            below.unwrap().to_str().unwrap().to_owned()
        };
        let conflicts = report.conflicts.into_iter();
        conflicts
            .map(
                |Conflict {
                     place,
                     kept,
                     reason,
                     ..
                 }| { (relative(&place), kept.as_deref().map(relative), reason) },
            )
            .collect()
    }

    pub(crate) fn text(&self, place: &str) -> String {
        fs::read_to_string(self.root.join(place)).unwrap()
    }

    pub(crate) fn places(&self) -> Vec<String> {
        listed(&self.root).into_keys().collect()
    }
}
