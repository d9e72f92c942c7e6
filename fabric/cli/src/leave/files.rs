//! What a run changed, as the guest's own files tell it.

use super::{Directory, Fault, failed, register};
use crate::failure::Failure;
use mc_directories::{DirectoryId, Fingerprint, Report, Transaction};
use mc_execution::world::{Seen, from_root};
use mc_types::{ErrorCode, MAX_DIRECTORY_DEPTH};
use mc_wasi::{At, Change, Entry, FileKind, FileSystem, Host, Inputs, NodeId, Now};
use std::{
    collections::BTreeSet,
    io,
    path::{Path, PathBuf},
};

/// Bytes that are copied at a time.
const COPY_BYTES: usize = 1 << 20;

/// A directory of the user's that the guest was given.
#[derive(Debug, Clone)]
pub(crate) struct GivenDirectory {
    /// Its number among the mounts.
    pub(crate) mount: u32,
    /// Where the guest found it.
    pub(crate) guest: String,
    /// Where it is.
    pub(crate) host: PathBuf,
}

pub(super) struct Leaving<'a> {
    pub(super) files: &'a mut FileSystem,
    inputs: &'a mut dyn Inputs,
    seen: &'a Seen,
    pub(super) dirs: &'a [GivenDirectory],
    pub(super) faults: Vec<Fault>,
}

/// Why a file could not be copied.
pub(super) enum Broken {
    /// What it was made from cannot be read.
    Read(String),
    Write(io::Error),
}

impl<'a> Leaving<'a> {
    /// What is in a guest's `world`, which was given `dirs`.
    pub(super) fn new(world: &'a mut Host, dirs: &'a [GivenDirectory], seen: &'a Seen) -> Self {
        let (files, inputs) = world.files();
        Self {
            files,
            inputs,
            seen,
            dirs,
            faults: Vec::new(),
        }
    }

    pub(super) fn put(&mut self, out: Option<&Path>) -> Result<Report, Failure> {
        let mut transaction = Transaction::new();
        if let Some(out) = out {
            std::fs::create_dir_all(out).map_err(|e| Failure::path(out, &e))?;
        }
        let hosts = self.dirs.iter().map(|given| given.host.as_path());
        register(&mut transaction, hosts.chain(out))?;
        if let Some(out) = out {
            let id = transaction.directory(out).map_err(failed)?;
            let root = self.node("/out")?;
            self.whole(&mut transaction, (id, out), root, Path::new(""))?;
        }
        let mut removals = Vec::new();
        for given in self.dirs {
            let id = transaction.directory(&given.host).map_err(failed)?;
            let (removed, changes): (Vec<_>, Vec<_>) =
                (self.changes(given)?.into_iter()).partition(|change| change.now == Now::Removed);
            let renamed = changes.iter().filter_map(|change| match &change.now {
                Now::Renamed { from } => Some(from.clone()),
                _ => None,
            });
            let renamed: BTreeSet<_> = renamed.collect();
            let mut directory = self.directory(&mut transaction, id, given);
            for change in changes {
                self.change(&mut directory, change, &renamed)?;
            }
            removals.push((id, given, removed, renamed));
        }
        // What was moved into another directory is looked at while it is copied there.
        for (id, given, removed, renamed) in removals {
            let mut directory = self.directory(&mut transaction, id, given);
            for base in removed.iter().filter_map(|change| change.base.as_ref()) {
                directory.remove(base, &renamed)?;
            }
        }
        transaction.commit().map_err(failed)
    }

    fn directory<'d>(
        &self,
        transaction: &'d mut Transaction,
        id: DirectoryId,
        given: &'d GivenDirectory,
    ) -> Directory<'d>
    where
        'a: 'd,
    {
        Directory {
            transaction,
            id,
            seen: self.seen,
            mount: given.mount,
            host: &given.host,
        }
    }

    /// What the guest changed in one of the directories.
    pub(super) fn changes(&mut self, given: &GivenDirectory) -> Result<Vec<Change>, Failure> {
        let root = self.node(&given.guest)?;
        let changes = self.files.changes(root, &At::mount(given.mount));
        let mut changes = changes.map_err(|e| unreadable(&given.guest, &e))?;
        changes.retain(|change| !self.is_as_given(given, change));
        Ok(changes)
    }

    /// Whether it is a link that points where it did when the guest saw it. What the user has done to it since is no
    /// matter then: the guest's files only tell that it was looked at.
    fn is_as_given(&self, given: &GivenDirectory, change: &Change) -> bool {
        let (Now::Symlink(target), Some(base)) = (&change.now, &change.base) else {
            return false;
        };
        self.seen.target(given.mount, base).as_ref() == Some(target)
    }

    pub(super) fn node(&mut self, guest: &str) -> Result<NodeId, Failure> {
        let (root, path) = (FileSystem::ROOT, from_root(guest));
        let stat = self.files.stat_at(root, path, false, self.inputs);
        Ok(stat.map_err(|e| unreadable(&guest, &e))?.node)
    }

    fn change(
        &mut self,
        directory: &mut Directory<'_>,
        change: Change,
        renamed: &BTreeSet<String>,
    ) -> Result<(), Failure> {
        let place = PathBuf::from(&change.place);
        let base = change.base.as_deref();
        match change.now.clone() {
            Now::Removed => Ok(()),
            Now::Renamed { from } => {
                let Some(was) = self.seen.get(directory.mount, &from) else {
                    return Err(unseen(&from));
                };
                let replaces = directory.replaced(base, renamed, false)?;
                let (from, replaces) = (Path::new(&from), replaces.as_ref());
                let id = directory.id;
                let moved = directory
                    .transaction
                    .rename(id, from, &place, &was, replaces);
                moved.map_err(failed)
            }
            Now::File(node) => {
                let replaces = directory.replaced(base, renamed, false)?;
                let to = (directory.id, directory.host);
                self.file(directory.transaction, to, node, &place, replaces.as_ref())
            }
            Now::Symlink(target) => {
                let there = base.map(|base| directory.host.join(base).read_link());
                if there.is_some_and(|there| there.is_ok_and(|there| there == Path::new(&target))) {
                    return Ok(());
                }
                let replaces = directory.replaced(base, renamed, false)?;
                directory.put_link(&place, &target, replaces.as_ref())
            }
            Now::Directory => self.emptied(directory, &change, renamed),
            Now::Foreign(node) => {
                self.emptied(directory, &change, renamed)?;
                let to = (directory.id, directory.host);
                self.whole(directory.transaction, to, node, &place)
            }
            Now::TooDeep => Err(too_deep()),
        }
    }

    /// An empty directory, where one may have been before.
    fn emptied(
        &self,
        directory: &mut Directory<'_>,
        change: &Change,
        renamed: &BTreeSet<String>,
    ) -> Result<(), Failure> {
        let base = change.base.as_deref();
        let base = base.filter(|base| !renamed.contains(*base));
        let was = base.and_then(|base| self.seen.get(directory.mount, base));
        let replaces = directory.replaced(base, renamed, true)?;
        if was.is_some_and(|was| was.is_directory()) {
            return Ok(());
        }
        let like = match change.now {
            Now::Foreign(node) => self.origin(node).map(|(_, seen)| seen),
            _ => None,
        };
        let place = Path::new(&change.place);
        directory.make_directory(place, replaces.as_ref(), like.as_ref())
    }

    /// Where the user has what a directory, or bytes of a file, were given from, and what the guest saw there.
    fn origin(&self, node: NodeId) -> Option<(PathBuf, Fingerprint)> {
        let at = self.files.origin(node)?;
        let given = self.dirs.iter().find(|given| given.mount == at.mount)?;
        Some((
            given.host.join(&at.path),
            self.seen.get(at.mount, &at.path)?,
        ))
    }

    /// A file that was made or changed.
    fn file(
        &mut self,
        transaction: &mut Transaction,
        (id, host): (DirectoryId, &Path),
        node: NodeId,
        place: &Path,
        replaces: Option<&Fingerprint>,
    ) -> Result<(), Failure> {
        let origin = self.origin(node);
        let like = origin.as_ref().map(|(_, seen)| seen);
        let mut unread = None;
        let copy = |file: &mut dyn io::Write| {
            self.copy(node, file).map_err(|broken| match broken {
                Broken::Write(error) => error,
                Broken::Read(reason) => io::Error::other(unread.insert(reason).clone()),
            })
        };
        let put = transaction.put_file(id, place, replaces, like, copy);
        let reason = match (put, unread, &origin) {
            (_, Some(reason), _) => format!("cannot be made: {reason}"),
            (put, None, Some((source, seen))) => {
                put.map_err(failed)?;
                let now = Fingerprint::of(source).ok().flatten();
                if now.is_some_and(|now| now.is_unchanged(seen)) {
                    return Ok(());
                }
                let source = source.display();
                format!(
                    "{source} was changed meanwhile; bytes of it that the task neither read nor changed are the new ones"
                )
            }
            (put, None, None) => return put.map_err(failed),
        };
        self.faults.push(Fault {
            place: host.join(place),
            reason,
        });
        Ok(())
    }

    /// Everything in a directory, in a place where there was nothing.
    fn whole(
        &mut self,
        transaction: &mut Transaction,
        (id, host): (DirectoryId, &Path),
        node: NodeId,
        place: &Path,
    ) -> Result<(), Failure> {
        if is_too_deep(place) {
            return Err(too_deep());
        }
        let mut after: Option<String> = None;
        loop {
            let next = self.entry_after(node, after.as_deref());
            let Some(entry) = next.map_err(|e| unreadable(&place.display(), &e))? else {
                return Ok(());
            };
            let here = place.join(&entry.name);
            match entry.kind {
                FileKind::Directory => {
                    let like = self.origin(entry.node).map(|(_, seen)| seen);
                    let made = transaction.make_directory(id, &here, None, like.as_ref());
                    made.map_err(failed)?;
                    self.whole(transaction, (id, host), entry.node, &here)?;
                }
                FileKind::File => self.file(transaction, (id, host), entry.node, &here, None)?,
                FileKind::Symlink => {
                    let target = self.target(node, &entry.name);
                    let target = target.map_err(|e| unreadable(&here.display(), &e))?;
                    let put = transaction.put_link(id, &here, Path::new(&target), None);
                    put.map_err(failed)?;
                }
                // None is anywhere but in `/dev`.
                FileKind::Device => {}
            }
            after = Some(entry.name);
        }
    }

    pub(super) fn entry_after(
        &mut self,
        directory: NodeId,
        after: Option<&str>,
    ) -> mc_wasi::Result<Option<Entry>> {
        self.files.entry_after(directory, after, self.inputs)
    }

    /// What a link in a directory points to.
    pub(super) fn target(&mut self, directory: NodeId, name: &str) -> mc_wasi::Result<String> {
        self.files.read_link(directory, name, self.inputs)
    }

    pub(super) fn copy(&mut self, file: NodeId, to: &mut dyn io::Write) -> Result<(), Broken> {
        let (mut offset, mut buffer) = (0, vec![0; COPY_BYTES]);
        loop {
            let read = self.files.read(file, offset, &mut buffer, self.inputs);
            let read = read.map_err(|e| Broken::Read(e.to_string()))?;
            let Some(bytes) = buffer.get(..read).filter(|bytes| !bytes.is_empty()) else {
                return Ok(());
            };
            to.write_all(bytes).map_err(Broken::Write)?;
            offset += read as u64;
        }
    }
}

/// Whether what is in a directory lies too deep to be written.
pub(super) fn is_too_deep(place: &Path) -> bool {
    place.components().count() > MAX_DIRECTORY_DEPTH
}

pub(super) fn too_deep() -> Failure {
    let message =
        format!("the task left directories that are more than {MAX_DIRECTORY_DEPTH} deep");
    Failure::new(ErrorCode::Path, message)
}

fn unreadable(place: &dyn std::fmt::Display, error: &dyn std::error::Error) -> Failure {
    Failure::new(
        ErrorCode::Infrastructure,
        format!("what the component left in {place} cannot be read: {error}"),
    )
}

fn unseen(place: &str) -> Failure {
    Failure::internal(format!("{place} was renamed without having been seen"))
}
