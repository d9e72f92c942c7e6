//! What a run changed, as the guest's own files tell it.

use super::{Directory, failed, register};
use crate::failure::Failure;
use mc_directories::{DirectoryId, Report, Transaction};
use mc_node::world::Seen;
use mc_types::ErrorCode;
use mc_wasi::{At, Change, FileKind, FileSystem, Host, Inputs, NodeId, Now, Stat};
use std::{
    collections::BTreeSet,
    io,
    path::{Path, PathBuf},
};

/// Bytes that are copied at a time.
const COPY_BYTES: usize = 1 << 20;

/// A directory of the user's that the guest was given.
#[derive(Debug, Clone)]
pub(crate) struct Given {
    /// Its number among the mounts.
    pub(crate) mount: u32,
    /// Where the guest found it.
    pub(crate) guest: String,
    /// Where it is.
    pub(crate) host: PathBuf,
}

/// Writes `/out` to `out`, and changes the directories that were given as the guest did.
pub(crate) fn leave_run(
    world: &mut Host,
    out: Option<&Path>,
    dirs: Vec<Given>,
    seen: &Seen,
) -> Result<Report, Failure> {
    let mut transaction = Transaction::new();
    let (files, inputs) = world.files();
    let mut leaving = Leaving {
        files,
        inputs,
        seen,
    };
    if let Some(out) = out {
        std::fs::create_dir_all(out).map_err(|e| Failure::path(out, &e))?;
    }
    let hosts = dirs.iter().map(|given| given.host.as_path()).chain(out);
    register(&mut transaction, hosts)?;
    if let Some(out) = out {
        let id = transaction.directory(out).map_err(failed)?;
        let root = leaving.node("/out")?;
        leaving.whole(&mut transaction, id, root, Path::new(""))?;
    }
    let mut removed = Vec::new();
    for given in dirs {
        let id = transaction.directory(&given.host).map_err(failed)?;
        let root = leaving.node(&given.guest)?;
        let changes = leaving.files.changes(root, &At::mount(given.mount));
        let changes = changes.map_err(|e| unreadable(&given.guest, &e))?;
        let renamed = changes.iter().filter_map(|change| match &change.now {
            Now::Renamed { from } => Some(from.clone()),
            _ => None,
        });
        let renamed: BTreeSet<_> = renamed.collect();
        for change in changes {
            if change.now == Now::Removed {
                // What was moved into another directory is looked at while it is copied there.
                removed.push((id, given.mount, change, renamed.clone()));
                continue;
            }
            let mut directory = Directory {
                transaction: &mut transaction,
                id,
                seen,
                mount: given.mount,
            };
            leaving.change(&mut directory, &given.host, change, &renamed)?;
        }
    }
    for (id, mount, change, renamed) in removed {
        let mut directory = Directory {
            transaction: &mut transaction,
            id,
            seen,
            mount,
        };
        if let Some(base) = &change.base {
            directory.remove(base, &renamed)?;
        }
    }
    transaction.commit().map_err(failed)
}

struct Leaving<'a> {
    files: &'a mut FileSystem,
    inputs: &'a mut dyn Inputs,
    seen: &'a Seen,
}

impl Leaving<'_> {
    fn node(&mut self, guest: &str) -> Result<NodeId, Failure> {
        let path = guest.trim_start_matches('/');
        let stat = self
            .files
            .stat_at(FileSystem::ROOT, path, false, self.inputs);
        Ok(stat.map_err(|e| unreadable(&guest, &e))?.node)
    }

    fn change(
        &mut self,
        directory: &mut Directory<'_>,
        host: &Path,
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
                let stat = self.files.stat(node);
                let stat = stat.map_err(|e| unreadable(&change.place, &e))?;
                let copy = |file: &mut dyn io::Write| self.copy(stat, file);
                let (id, replaces) = (directory.id, replaces.as_ref());
                let put = directory.transaction.put_file(id, &place, replaces, copy);
                put.map_err(failed)
            }
            Now::Symlink(target) => {
                let there = base.map(|base| host.join(base).read_link());
                if there.is_some_and(|there| there.is_ok_and(|there| there == Path::new(&target))) {
                    return Ok(());
                }
                let replaces = directory.replaced(base, renamed, false)?;
                directory.put_link(&place, &target, replaces.as_ref())
            }
            Now::Directory => self.emptied(directory, &change, renamed),
            Now::Foreign(node) => {
                self.emptied(directory, &change, renamed)?;
                self.whole(directory.transaction, directory.id, node, &place)
            }
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
        directory.make_directory(Path::new(&change.place), replaces.as_ref())
    }

    /// Everything in a directory, in a place where there was nothing.
    fn whole(
        &mut self,
        transaction: &mut Transaction,
        id: DirectoryId,
        node: NodeId,
        place: &Path,
    ) -> Result<(), Failure> {
        let mut after: Option<String> = None;
        loop {
            let next = self.files.entry_after(node, after.as_deref(), self.inputs);
            let Some(entry) = next.map_err(|e| unreadable(&place.display(), &e))? else {
                return Ok(());
            };
            let here = place.join(&entry.name);
            match entry.kind {
                FileKind::Directory => {
                    let made = transaction.make_directory(id, &here, None);
                    made.map_err(failed)?;
                    self.whole(transaction, id, entry.node, &here)?;
                }
                FileKind::File => {
                    let stat = self.files.stat(entry.node);
                    let stat = stat.map_err(|e| unreadable(&here.display(), &e))?;
                    let copy = |file: &mut dyn io::Write| self.copy(stat, file);
                    let put = transaction.put_file(id, &here, None, copy);
                    put.map_err(failed)?;
                }
                FileKind::Symlink => {
                    let target = self.files.read_link(node, &entry.name, self.inputs);
                    let target = target.map_err(|e| unreadable(&here.display(), &e))?;
                    let put = transaction.put_link(id, &here, Path::new(&target), None);
                    put.map_err(failed)?;
                }
            }
            after = Some(entry.name);
        }
    }

    fn copy(&mut self, stat: Stat, to: &mut dyn io::Write) -> io::Result<()> {
        let (mut offset, mut buffer) = (0, vec![0; COPY_BYTES]);
        loop {
            let read = self.files.read(stat.node, offset, &mut buffer, self.inputs);
            let read = read.map_err(|e| io::Error::other(e.to_string()))?;
            let Some(bytes) = buffer.get(..read).filter(|bytes| !bytes.is_empty()) else {
                return Ok(());
            };
            to.write_all(bytes)?;
            offset += read as u64;
        }
    }
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
