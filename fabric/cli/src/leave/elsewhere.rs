//! Keeps the results of a run that cannot be put in their place, so that no work of the guest is lost.

use super::files::{Broken, Leaving, is_too_deep};
use crate::failure::Failure;
use mc_wasi::{Change, FileKind, NodeId, Now};
use std::{
    fs::{self, OpenOptions, Permissions},
    io::{self, ErrorKind, Write},
    os::unix::fs::{PermissionsExt, symlink},
    path::{Path, PathBuf},
};
use tempfile::NamedTempFile;

const PREFIX: &str = "mc-wasm-left-";
/// What cannot be told by files: what was removed and renamed, and what could not be read any more.
const LIST: &str = "changes.txt";
/// How many other names are tried for it, since the guest may have files of these names.
const MAX_LIST_NAMES: u32 = 64;

/// Puts what the guest changed into a new directory, each file where the guest had it, and adds to `failure` which.
pub(super) fn keep(leaving: &mut Leaving<'_>, out: bool, failure: Failure) -> Failure {
    let mut reasons = Vec::new();
    for above in [PathBuf::from("."), std::env::temp_dir()] {
        match kept_in(leaving, out, &above) {
            Ok(Some(dir)) => {
                let hint = format!("what the task left is in {}", dir.display());
                return failure.with_hint(hint);
            }
            Ok(None) => return failure,
            Err(error) => reasons.push(format!("{}: {error}", above.display())),
        }
    }
    let reasons = reasons.join("; ");
    failure.with_hint(format!("nor could it be kept elsewhere: {reasons}"))
}

/// The new directory in `above`; none if there is nothing to be kept.
fn kept_in(leaving: &mut Leaving<'_>, out: bool, above: &Path) -> io::Result<Option<PathBuf>> {
    let above = above.canonicalize()?;
    // Removed again unless it is complete.
    let dir = tempfile::Builder::new()
        .prefix(PREFIX)
        .permissions(Permissions::from_mode(0o700))
        .tempdir_in(above)?;
    let list = NamedTempFile::with_prefix_in(PREFIX, dir.path())?;
    let mut keeping = Keeping {
        leaving,
        dir: dir.path(),
        list,
        is_empty: true,
    };
    if out {
        let root = keeping.leaving.node("/out").map_err(unreadable)?;
        keeping.tree(root, Path::new("out"))?;
    }
    for given in keeping.leaving.dirs {
        let changes = keeping.leaving.changes(given).map_err(unreadable)?;
        let place = Path::new(given.guest.trim_start_matches('/'));
        for change in changes {
            keeping.change(place, change)?;
        }
    }
    let Keeping { list, is_empty, .. } = keeping;
    list.as_file().sync_all()?;
    name(list, dir.path())?;
    Ok((!is_empty).then(|| dir.keep()))
}

/// Gives the list its name, or one like it where a file of the guest's has that.
fn name(mut list: NamedTempFile, dir: &Path) -> io::Result<()> {
    let others = (1..MAX_LIST_NAMES).map(|number| format!("changes-{number}.txt"));
    for name in std::iter::once(LIST.to_owned()).chain(others) {
        match list.persist_noclobber(dir.join(name)) {
            Ok(_) => return Ok(()),
            Err(taken) if taken.error.kind() == ErrorKind::AlreadyExists => list = taken.file,
            Err(failed) => return Err(failed.error),
        }
    }
    list.keep().map(drop).map_err(|failed| failed.error)
}

#[expect(clippy::needless_pass_by_value, reason = "for map_err")]
fn unreadable(failure: Failure) -> io::Error {
    io::Error::other(failure.message().to_owned())
}

struct Keeping<'k, 'l> {
    leaving: &'k mut Leaving<'l>,
    dir: &'k Path,
    list: NamedTempFile,
    is_empty: bool,
}

impl Keeping<'_, '_> {
    fn change(&mut self, above: &Path, change: Change) -> io::Result<()> {
        let place = above.join(&change.place);
        match change.now {
            Now::Removed => self.tell(format_args!("removed {place:?}")),
            Now::Renamed { from } => {
                let from = above.join(from);
                self.tell(format_args!("renamed {from:?} to {place:?}"))
            }
            Now::File(node) => self.file(node, &place),
            Now::Symlink(target) => self.link(&target, &place),
            Now::Directory => self.directory(&place).map(drop),
            Now::Foreign(node) => self.tree(node, &place),
            Now::TooDeep => self.too_long(&place),
        }
    }

    fn too_long(&mut self, place: &Path) -> io::Result<()> {
        self.tell(format_args!(
            "not kept, since its path is too long: {place:?}"
        ))
    }

    /// Whether something was made. What has a longer path than there can be here is only told of: all else is kept.
    fn unless_too_long(&mut self, place: &Path, made: io::Result<()>) -> io::Result<bool> {
        match made {
            Err(error) if error.kind() == ErrorKind::InvalidFilename => {
                self.too_long(place)?;
                Ok(false)
            }
            made => made.map(|()| true),
        }
    }

    fn tell(&mut self, line: std::fmt::Arguments<'_>) -> io::Result<()> {
        self.is_empty = false;
        writeln!(self.list, "{line}")
    }

    /// Where it goes, with what it is in: that may be a directory that was not changed itself.
    fn made(
        &mut self,
        place: &Path,
        make: impl FnOnce(&Path) -> io::Result<()>,
    ) -> io::Result<bool> {
        self.is_empty = false;
        let path = self.dir.join(place);
        let made = path.parent().map_or(Ok(()), fs::create_dir_all);
        self.unless_too_long(place, made.and_then(|()| make(&path)))
    }

    fn directory(&mut self, place: &Path) -> io::Result<bool> {
        let all = |path: &Path| fs::DirBuilder::new().recursive(true).create(path);
        self.made(place, all)
    }

    fn link(&mut self, target: &str, place: &Path) -> io::Result<()> {
        self.made(place, |path| symlink(target, path)).map(drop)
    }

    fn file(&mut self, node: NodeId, place: &Path) -> io::Result<()> {
        let mut file = None;
        let made = self.made(place, |path| {
            let mut options = OpenOptions::new();
            file = Some(options.write(true).create_new(true).open(path)?);
            Ok(())
        });
        let (true, Some(mut file)) = (made?, file) else {
            return Ok(());
        };
        match self.leaving.copy(node, &mut file) {
            Ok(()) => file.sync_all(),
            Err(Broken::Write(error)) => Err(error),
            Err(Broken::Read(reason)) => self.tell(format_args!("incomplete {place:?}: {reason}")),
        }
    }

    fn tree(&mut self, node: NodeId, place: &Path) -> io::Result<()> {
        if is_too_deep(place) {
            return self.too_long(place);
        }
        let mut after: Option<String> = None;
        loop {
            let next = self.leaving.entry_after(node, after.as_deref());
            let Some(entry) = next.map_err(|e| io::Error::other(e.to_string()))? else {
                return Ok(());
            };
            let here = place.join(&entry.name);
            match entry.kind {
                FileKind::Directory => {
                    if self.directory(&here)? {
                        self.tree(entry.node, &here)?;
                    }
                }
                FileKind::File => self.file(entry.node, &here)?,
                FileKind::Symlink => {
                    let target = self.leaving.target(node, &entry.name);
                    let target = target.map_err(|e| io::Error::other(e.to_string()))?;
                    self.link(&target, &here)?;
                }
                // None is anywhere but in `/dev`.
                FileKind::Device => {}
            }
            after = Some(entry.name);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_list_takes_no_name_that_a_file_of_the_guests_has() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join(LIST), "the guest's").unwrap();
        for number in 1..3 {
            let mut list = NamedTempFile::new_in(dir.path()).unwrap();
            writeln!(list, "removed").unwrap();
            name(list, dir.path()).unwrap();
            let named = dir.path().join(format!("changes-{number}.txt"));
            assert_eq!(fs::read_to_string(named).unwrap(), "removed\n");
        }
        let guests = fs::read_to_string(dir.path().join(LIST)).unwrap();
        assert_eq!(guests, "the guest's");
    }
}
