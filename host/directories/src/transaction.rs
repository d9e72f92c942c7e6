//! Collecting changes, and committing to them.

use crate::{
    Error, Fingerprint, Report, apply,
    journal::{Action, Journal, MAX_CHANGES, MAX_DIRECTORIES, Member, Op},
    links::Gone,
    place, plan,
    root::{Root, fill},
    staging::{Mark, Staging},
    steps::step,
    sys::Dir,
};
use std::{
    io,
    path::{Path, PathBuf},
};

/// A host directory of a [`Transaction`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DirectoryId(usize);

/// Changes that are made all together or not at all, see the [crate].
#[derive(Debug, Default)]
pub struct Transaction {
    roots: Vec<Root>,
    /// For each id its root, and where below that it is.
    ids: Vec<(usize, String)>,
    changes: usize,
}

impl Transaction {
    /// One without changes.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a host directory. `host` is resolved once: what it or a link in it names later does not
    /// matter. A directory that is added twice, and one inside of another, are the same to the
    /// places below them.
    ///
    /// # Errors
    ///
    /// [`Error::Directory`] when there is none, [`Error::Nested`] when one inside of it was added
    /// before.
    pub fn directory(&mut self, host: &Path) -> Result<DirectoryId, Error> {
        let refused = |source| Error::Directory {
            path: host.to_owned(),
            source,
        };
        let path = host.canonicalize().map_err(refused)?;
        let dir = Dir::open(&path).map_err(refused)?;
        let print = dir.print().map_err(refused)?;
        let found = match self.find_root(&path, &print)? {
            Some(found) => found,
            None if self.roots.len() >= MAX_DIRECTORIES => {
                return Err(Error::TooMany {
                    limit: "host directories",
                });
            }
            None => {
                self.roots.push(Root::new(path, dir, print));
                (self.roots.len().saturating_sub(1), String::new())
            }
        };
        self.ids.push(found);
        Ok(DirectoryId(self.ids.len().saturating_sub(1)))
    }

    /// The root that `path` is, or is in.
    fn find_root(
        &self,
        path: &Path,
        print: &Fingerprint,
    ) -> Result<Option<(usize, String)>, Error> {
        for (index, root) in self.roots.iter().enumerate() {
            if root.print.is_entry(print) {
                return Ok(Some((index, String::new())));
            }
            if root.print.dev != print.dev {
                // A mount: nothing can be moved between the two.
                continue;
            }
            if root.path.starts_with(path) {
                return Err(Error::Nested {
                    outer: path.to_owned(),
                    inner: root.path.clone(),
                });
            }
            if let Ok(below) = path.strip_prefix(&root.path) {
                return Ok(Some((index, place::checked("", below)?)));
            }
        }
        Ok(None)
    }

    /// A file that was made, or changed when it `replaces` something. It gets the mode and the owner of `like`, from
    /// which the guest made it, or else of what it replaces. `content` writes it.
    ///
    /// # Errors
    ///
    /// [`Error::Place`] for a place outside of the directory, [`Error::Prepare`] when the content
    /// could not be written. The change is then not part of the transaction.
    pub fn put_file(
        &mut self,
        dir: DirectoryId,
        place: &Path,
        replaces: Option<&Fingerprint>,
        like: Option<&Fingerprint>,
        content: impl FnOnce(&mut dyn io::Write) -> io::Result<()>,
    ) -> Result<(), Error> {
        self.put(dir, place, replaces, |slots, slot, synced| {
            let file = slots.create(slot, 0o666)?;
            let written = fill(&file, like.or(replaces), synced, content);
            if written.is_err() {
                slots.remove_file(slot)?;
            }
            written
        })
    }

    /// A symbolic link that was made, or changed when it `replaces` something.
    ///
    /// # Errors
    ///
    /// As [`Self::put_file`].
    pub fn put_link(
        &mut self,
        dir: DirectoryId,
        place: &Path,
        target: &Path,
        replaces: Option<&Fingerprint>,
    ) -> Result<(), Error> {
        self.put(dir, place, replaces, |slots, slot, _| {
            slots.make_link(slot, target)
        })
    }

    /// A directory that was made; it `replaces` what was no directory, and gets the permissions of `like`. Its owner may
    /// always write to it, because its entries follow.
    ///
    /// # Errors
    ///
    /// As [`Self::put_file`].
    pub fn make_directory(
        &mut self,
        dir: DirectoryId,
        place: &Path,
        replaces: Option<&Fingerprint>,
        like: Option<&Fingerprint>,
    ) -> Result<(), Error> {
        self.put(dir, place, replaces, |slots, slot, _| {
            slots.make_dir(slot, 0o777)?;
            match like.filter(|like| like.is_directory()) {
                Some(like) => slots.set_mode(slot, like.permissions() | 0o700),
                None => Ok(()),
            }
        })
    }

    /// An entry that `was` at `from`, a directory with everything in it too, and is now at `to`.
    ///
    /// What is taken away (here and in [`Self::remove`]) is named as the guest found it, what is put
    /// in as the guest left it: below a directory that moved, under its new name.
    ///
    /// # Errors
    ///
    /// As [`Self::put_file`].
    pub fn rename(
        &mut self,
        dir: DirectoryId,
        from: &Path,
        to: &Path,
        was: &Fingerprint,
        replaces: Option<&Fingerprint>,
    ) -> Result<(), Error> {
        let (_, from) = self.target(dir, from)?;
        self.add(dir, to, |_, to| {
            Ok(Action::Rename {
                from,
                to,
                was: was.clone(),
                replaces: replaces.cloned(),
            })
        })
    }

    /// An entry that was removed; a directory stays when something is in it in the end.
    ///
    /// # Errors
    ///
    /// As [`Self::put_file`].
    pub fn remove(
        &mut self,
        dir: DirectoryId,
        place: &Path,
        was: &Fingerprint,
    ) -> Result<(), Error> {
        let was = was.clone();
        self.add(dir, place, |_, place| Ok(Action::Remove { place, was }))
    }

    fn put(
        &mut self,
        dir: DirectoryId,
        place: &Path,
        replaces: Option<&Fingerprint>,
        make: impl FnOnce(&Dir, &str, bool) -> io::Result<()>,
    ) -> Result<(), Error> {
        self.add(dir, place, |root, place| {
            let slot = root.ops.len().to_string();
            let synced = root.syncs_singly();
            let slots = &root.staging()?.slots;
            make(slots, &slot, synced)?;
            let made = slots.stat(&slot)?.ok_or(io::ErrorKind::NotFound)?.print;
            Ok(Action::Put {
                place,
                made,
                replaces: replaces.cloned(),
            })
        })
    }

    fn add(
        &mut self,
        dir: DirectoryId,
        place: &Path,
        make: impl FnOnce(&mut Root, String) -> io::Result<Action>,
    ) -> Result<(), Error> {
        let (index, place) = self.target(dir, place)?;
        if self.changes >= MAX_CHANGES {
            return Err(Error::TooMany { limit: "changes" });
        }
        let root = self.roots.get_mut(index).ok_or(Error::UnknownDirectory)?;
        let slot =
            u32::try_from(root.ops.len()).map_err(|_| Error::TooMany { limit: "changes" })?;
        let made = root.staging().map(drop).and_then(|()| make(root, place));
        let action = made.map_err(|source| root.prepare_failed(source))?;
        root.ops.push(Op { slot, action });
        self.changes += 1;
        Ok(())
    }

    fn target(&self, dir: DirectoryId, place: &Path) -> Result<(usize, String), Error> {
        let (root, prefix) = self.ids.get(dir.0).ok_or(Error::UnknownDirectory)?;
        Ok((*root, place::checked(prefix, place)?))
    }

    /// Makes all changes. If the process is killed meanwhile, [`crate::recover`] completes them.
    ///
    /// # Errors
    ///
    /// [`Error::Unfinished`] when the changes stand but could not all be made yet. After any other
    /// error the host directories are as they were.
    pub fn commit(mut self) -> Result<Report, Error> {
        let left_out = self.leave_out_links()?;
        let journals = self.prepare()?;
        let mut parts = Vec::new();
        // From here on nothing is to be discarded when `self` goes, except what has no changes.
        for (index, journal) in journals {
            let root = self.roots.get_mut(index).ok_or(Error::UnknownDirectory)?;
            parts.extend(root.staging.take().map(|staging| (staging, journal)));
        }
        let Some((first, _)) = parts.first() else {
            return Ok(Report {
                left_out,
                ..Report::default()
            });
        };
        if let Err(source) = first.mark(Mark::Commit) {
            let error = Error::Prepare {
                directory: first.root_path.clone(),
                source,
            };
            for (staging, _) in &parts {
                // What cannot be removed now, a recovery removes.
                let _ = staging.discard();
            }
            return Err(error);
        }
        // The moment after which all of it happens, for tests that end the process here.
        let marked = step("committed");
        let report = apply_all(&parts, marked)?;
        Ok(Report { left_out, ..report })
    }

    /// All changes are known, so that it can be told where links lead.
    fn leave_out_links(&mut self) -> Result<Vec<PathBuf>, Error> {
        let mut gone = Gone::default();
        for root in self.roots.iter_mut().filter(|root| !root.ops.is_empty()) {
            root.ops = plan::settled(std::mem::take(&mut root.ops))?;
            root.note_gone(&mut gone);
        }
        let mut left_out = Vec::new();
        for root in self.roots.iter_mut().filter(|root| !root.ops.is_empty()) {
            let links = root.leave_out_links(&mut gone);
            left_out.extend(links.map_err(|source| root.prepare_failed(source))?);
        }
        Ok(left_out)
    }

    fn prepare(&mut self) -> Result<Vec<(usize, Journal)>, Error> {
        let mut members = Vec::new();
        for root in self.roots.iter_mut().filter(|root| !root.ops.is_empty()) {
            root.sync().map_err(|source| root.prepare_failed(source))?;
            members.push(Member {
                path: root.path.clone(),
                inode: root.print.inode(),
                staging: root
                    .staging
                    .as_ref()
                    .map_or_else(String::new, |it| it.name.clone()),
            });
        }
        let mut journals: Vec<(usize, Journal)> = Vec::new();
        for (index, root) in self.roots.iter_mut().enumerate() {
            if !root.ops.is_empty() {
                let journal = root.write_journal(&members, journals.len());
                journals.push((
                    index,
                    journal.map_err(|source| root.prepare_failed(source))?,
                ));
            }
        }
        Ok(journals)
    }
}

impl Drop for Transaction {
    fn drop(&mut self) {
        for staging in self.roots.iter().filter_map(|root| root.staging.as_ref()) {
            // What cannot be removed now, a recovery removes.
            let _ = staging.discard();
        }
    }
}

/// Applies what the first of `parts` has just been marked for.
fn apply_all(parts: &[(Staging, Journal)], marked: io::Result<()>) -> Result<Report, Error> {
    let unfinished = |staging: &Staging, source| Error::Unfinished {
        directory: staging.root_path.clone(),
        staging: staging.path(),
        source,
    };
    let mut marked = marked;
    for (staging, _) in parts {
        // The first one has it already.
        marked
            .and_then(|()| staging.mark(Mark::Commit))
            .and_then(|()| staging.dir.sync())
            .map_err(|source| unfinished(staging, source))?;
        marked = Ok(());
    }
    let mut report = Report::default();
    let mut failed = None;
    for (staging, journal) in parts {
        if let Err(source) = apply::finish(staging, journal, &mut report) {
            failed.get_or_insert_with(|| unfinished(staging, source));
        }
    }
    if let Some(failed) = failed {
        // All of them stay, because each leads a recovery to the others.
        return Err(failed);
    }
    for (staging, _) in parts {
        staging
            .close()
            .map_err(|source| unfinished(staging, source))?;
    }
    Ok(report)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_directory_and_one_inside_of_it_share_a_root() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir(dir.path().join("sub")).unwrap();
        let mut transaction = Transaction::new();
        let outer = transaction.directory(dir.path()).unwrap();
        let again = transaction.directory(&dir.path().join("sub/..")).unwrap();
        let inner = transaction.directory(&dir.path().join("sub")).unwrap();
        let place = Path::new("a");
        assert_eq!(transaction.target(outer, place).unwrap().1, "a");
        assert_eq!(transaction.target(again, place).unwrap().1, "a");
        assert_eq!(transaction.target(inner, place).unwrap().1, "sub/a");
        assert_eq!(transaction.roots.len(), 1);
        let mut wrong_order = Transaction::new();
        wrong_order.directory(&dir.path().join("sub")).unwrap();
        let refused = wrong_order.directory(dir.path()).unwrap_err();
        assert!(matches!(refused, Error::Nested { .. }), "{refused}");
    }

    #[test]
    fn a_directory_that_is_only_read_is_not_written_to() {
        let dir = tempfile::tempdir().unwrap();
        let mut transaction = Transaction::new();
        transaction.directory(dir.path()).unwrap();
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0);
        assert_eq!(transaction.commit().unwrap(), Report::default());
    }
}
