//! Writing to disk what a task left in its directories.

use crate::failure::Failure;
use mc_types::ErrorCode;
use mc_wasi::{At, FileKind, FileSystem, Host, Inputs, NodeId, Stat};
use std::{
    collections::BTreeSet,
    fs::{self, File},
    io::Write,
    path::{Path, PathBuf},
};

/// Bytes that are copied at a time.
const COPY_BYTES: usize = 1 << 20;

/// Writes what is in the guest's directory `guest` to `host`. Where it was made from `mount`, what the
/// guest did not change is left alone, and what it removed is removed.
///
/// Everything is written beside its place first, since a file may be made from what another replaces.
pub(crate) fn leave(
    world: &mut Host,
    guest: &str,
    host: &Path,
    mount: Option<u32>,
) -> Result<(), Failure> {
    fs::create_dir_all(host).map_err(|e| Failure::path(host, &e))?;
    let staging = tempfile::tempdir_in(host).map_err(|e| Failure::path(host, &e))?;
    let (files, inputs) = world.files();
    let stat = files.stat_at(
        FileSystem::ROOT,
        guest.trim_start_matches('/'),
        false,
        inputs,
    );
    let stat = stat.map_err(|e| unreadable(&guest, &e))?;
    let mut leaving = Leaving {
        files,
        inputs,
        host,
        mount,
        staging: staging.path(),
        staged: Vec::new(),
        kept: BTreeSet::new(),
    };
    leaving.directory(stat.node, Path::new(""))?;
    let Leaving { staged, kept, .. } = leaving;
    if mount.is_some() {
        remove_others(host, Path::new(""), &kept, staging.path())?;
    }
    for (place, temporary) in staged {
        let target = host.join(place);
        match temporary {
            None => make_directory(&target)?,
            Some(temporary) => put(&temporary, &target)?,
        }
    }
    Ok(())
}

/// Makes `host` what `new` is, without touching `staging`, which lies in it.
pub(crate) fn replace(new: &Path, host: &Path, staging: &Path) -> Result<(), Failure> {
    for entry in read_dir(host)? {
        if entry != staging {
            remove(&entry)?;
        }
    }
    for entry in read_dir(new)? {
        let name = entry.file_name().unwrap_or_default();
        let target = host.join(name);
        fs::rename(&entry, &target).map_err(|e| Failure::path(&target, &e))?;
    }
    Ok(())
}

struct Leaving<'a> {
    files: &'a mut FileSystem,
    inputs: &'a mut dyn Inputs,
    host: &'a Path,
    mount: Option<u32>,
    staging: &'a Path,
    /// Places below the host's directory, parents first, and the temporary file that belongs there;
    /// none for a directory.
    staged: Vec<(PathBuf, Option<PathBuf>)>,
    /// Places where there is something.
    kept: BTreeSet<PathBuf>,
}

impl Leaving<'_> {
    fn directory(&mut self, node: NodeId, place: &Path) -> Result<(), Failure> {
        let mut after: Option<String> = None;
        loop {
            let next = self.files.entry_after(node, after.as_deref(), self.inputs);
            let Some(entry) = next.map_err(|e| unreadable(&place.display(), &e))? else {
                return Ok(());
            };
            let path = place.join(&entry.name);
            self.kept.insert(path.clone());
            match entry.kind {
                FileKind::Directory => {
                    self.staged.push((path.clone(), None));
                    self.directory(entry.node, &path)?;
                }
                _ if self.is_as_given(entry.node, &path) => {}
                FileKind::File => {
                    let stat = self.files.stat(entry.node);
                    let stat = stat.map_err(|e| unreadable(&path.display(), &e))?;
                    let temporary = self.temporary();
                    self.copy(stat, &temporary)?;
                    self.staged.push((path, Some(temporary)));
                }
                FileKind::Symlink => {
                    let target = self.files.read_link(node, &entry.name, self.inputs);
                    let target = target.map_err(|e| unreadable(&path.display(), &e))?;
                    let temporary = self.temporary();
                    std::os::unix::fs::symlink(target, &temporary)
                        .map_err(|e| Failure::path(&path, &e))?;
                    self.staged.push((path, Some(temporary)));
                }
            }
            after = Some(entry.name);
        }
    }

    fn temporary(&self) -> PathBuf {
        self.staging.join(self.staged.len().to_string())
    }

    /// Whether it is what was given in this very place.
    fn is_as_given(&self, node: NodeId, path: &Path) -> bool {
        let (Some(mount), Some(path)) = (self.mount, path.to_str()) else {
            return false;
        };
        let at = At {
            mount,
            path: path.to_owned(),
        };
        self.files.as_given(node) == Some(&at)
    }

    fn copy(&mut self, stat: Stat, to: &Path) -> Result<(), Failure> {
        let failed = |e: std::io::Error| Failure::path(self.host, &e);
        let mut file = File::create_new(to).map_err(failed)?;
        let (mut offset, mut buffer) = (0, vec![0; COPY_BYTES]);
        loop {
            let read = self.files.read(stat.node, offset, &mut buffer, self.inputs);
            let read = read.map_err(|e| unreadable(&to.display(), &e))?;
            let Some(bytes) = buffer.get(..read).filter(|bytes| !bytes.is_empty()) else {
                return Ok(());
            };
            file.write_all(bytes)
                .map_err(|e| Failure::path(self.host, &e))?;
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

fn read_dir(dir: &Path) -> Result<Vec<PathBuf>, Failure> {
    let entries = fs::read_dir(dir).and_then(|entries| {
        entries
            .map(|entry| Ok(entry?.path()))
            .collect::<std::io::Result<_>>()
    });
    entries.map_err(|e| Failure::path(dir, &e))
}

fn is_directory(path: &Path) -> bool {
    path.symlink_metadata()
        .is_ok_and(|metadata| metadata.is_dir())
}

fn remove(path: &Path) -> Result<(), Failure> {
    let removed = if is_directory(path) {
        fs::remove_dir_all(path)
    } else {
        fs::remove_file(path)
    };
    removed.map_err(|e| Failure::path(path, &e))
}

/// Removes what is below `place` and not among what is to be kept.
fn remove_others(
    host: &Path,
    place: &Path,
    kept: &BTreeSet<PathBuf>,
    staging: &Path,
) -> Result<(), Failure> {
    for entry in read_dir(&host.join(place))? {
        if entry == staging {
            continue;
        }
        let inner = place.join(entry.file_name().unwrap_or_default());
        if !kept.contains(&inner) {
            remove(&entry)?;
        } else if is_directory(&entry) {
            remove_others(host, &inner, kept, staging)?;
        }
    }
    Ok(())
}

fn make_directory(target: &Path) -> Result<(), Failure> {
    if is_directory(target) {
        return Ok(());
    }
    if target.symlink_metadata().is_ok() {
        remove(target)?;
    }
    fs::create_dir(target).map_err(|e| Failure::path(target, &e))
}

fn put(temporary: &Path, target: &Path) -> Result<(), Failure> {
    if is_directory(target) {
        remove(target)?;
    }
    fs::rename(temporary, target).map_err(|e| Failure::path(target, &e))
}
