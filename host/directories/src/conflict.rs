//! What happens to the version that cannot be in place.

use crate::{
    fingerprint::Fingerprint,
    journal::{whole_lines, write_line},
    place,
    report::{Conflict, Reason, Report},
    staging::{CONFLICTS, Staging},
    sys::{Dir, is_no_directory},
};
use serde::{Deserialize, Serialize};
use std::{collections::BTreeMap, fs::File, io};

/// Where versions are kept, in the host directory; the letters of the transaction follow.
const KEPT_PREFIX: &str = "mc-wasm-conflict-";
/// Who may enter there: what is kept may have been in a directory that was closed to others.
const KEPT_MODE: u32 = 0o700;
/// Most names that are tried for one version.
const MAX_NAMES: u32 = 64;

/// A line of the list of conflicts. A later one for the same slot replaces an earlier one.
#[derive(Debug, Serialize, Deserialize)]
struct Note {
    slot: String,
    place: String,
    kept: Option<String>,
    reason: Reason,
}

/// The conflicts of one host directory, which outlive the process.
#[derive(Debug)]
pub(crate) struct Conflicts<'a> {
    staging: &'a Staging,
    notes: BTreeMap<String, Note>,
    file: Option<File>,
}

impl<'a> Conflicts<'a> {
    pub(crate) fn new(staging: &'a Staging) -> io::Result<Self> {
        let file = match staging.dir.open_file(CONFLICTS) {
            Ok(file) => Some(file),
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(error) => return Err(error),
        };
        let mut notes = BTreeMap::new();
        if let Some(file) = &file {
            let lines = whole_lines::<Note>(file.try_clone()?);
            notes.extend(lines.map(|note| (note.slot.clone(), note)));
        }
        Ok(Self {
            staging,
            notes,
            file,
        })
    }

    /// Notes that the change of `slot` is not made.
    pub(crate) fn note(
        &mut self,
        slot: &str,
        place: &str,
        kept: Option<String>,
        reason: Reason,
    ) -> io::Result<()> {
        let note = Note {
            slot: slot.to_owned(),
            place: place.to_owned(),
            kept,
            reason,
        };
        let mut line = Vec::new();
        write_line(&mut line, &note)?;
        let file = match self.file.take() {
            Some(file) => file,
            None => self.staging.dir.create(CONFLICTS, 0o600)?,
        };
        io::Write::write_all(&mut &file, &line)?;
        self.file = Some(file);
        self.notes.insert(note.slot.clone(), note);
        Ok(())
    }

    /// Moves what is in `slot` to where the user finds it. Returns the directory that it is in now.
    pub(crate) fn keep(
        &mut self,
        slot: &str,
        entry: &Fingerprint,
        place: &str,
        reason: &Reason,
    ) -> io::Result<Dir> {
        let top = format!("{KEPT_PREFIX}{}", self.staging.letters());
        let kept_root = made_dir(&self.staging.root, &top, KEPT_MODE)?;
        self.staging.root.sync()?;
        let (parent_place, name) = place::split(place);
        let (parent, first) = match made_path(&kept_root, parent_place) {
            Ok(parent) => (parent, place::joined(&top, place)),
            // A file is kept where a directory would have to be.
            Err(error) if is_no_directory(&error) => {
                return self.keep_numbered(slot, entry, place, reason, (&kept_root, &top));
            }
            Err(error) => return Err(error),
        };
        self.note(slot, place, Some(first), reason.clone())?;
        match self.moved(slot, entry, &parent, name)? {
            true => Ok(parent),
            false => self.keep_numbered(slot, entry, place, reason, (&kept_root, &top)),
        }
    }

    fn keep_numbered(
        &mut self,
        slot: &str,
        entry: &Fingerprint,
        place: &str,
        reason: &Reason,
        (dir, top): (&Dir, &str),
    ) -> io::Result<Dir> {
        for number in 0..MAX_NAMES {
            let name = format!("{slot}.{number}");
            self.note(slot, place, Some(place::joined(top, &name)), reason.clone())?;
            if self.moved(slot, entry, dir, &name)? {
                return dir.try_clone();
            }
        }
        Err(io::ErrorKind::AlreadyExists.into())
    }

    fn moved(&self, slot: &str, entry: &Fingerprint, dir: &Dir, name: &str) -> io::Result<bool> {
        match self.staging.slots.put(slot, dir, name) {
            Ok(()) => Ok(true),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                let there = dir.stat(name)?;
                let here = there.as_ref().is_some_and(|it| it.print.is_entry(entry));
                if here {
                    self.staging.slots.remove_file(slot)?;
                }
                // Two empty directories are as good as one.
                let merges = there.is_some_and(|it| it.print.is_directory())
                    && entry.is_directory()
                    && self.staging.slots.remove_dir(slot).is_ok();
                Ok(here || merges)
            }
            Err(error) => Err(error),
        }
    }

    pub(crate) fn report(self, report: &mut Report) {
        let root = &self.staging.root_path;
        report
            .conflicts
            .extend(self.notes.into_values().map(|note| Conflict {
                place: root.join(note.place),
                kept: note.kept.map(|kept| root.join(kept)),
                reason: note.reason,
            }));
    }
}

fn made_path(dir: &Dir, place: &str) -> io::Result<Dir> {
    let parts = place.split('/').filter(|part| !part.is_empty());
    parts
        .into_iter()
        .try_fold(dir.try_clone()?, |dir, part| made_dir(&dir, part, 0o777))
}

fn made_dir(dir: &Dir, name: &str, mode: u32) -> io::Result<Dir> {
    match dir.make_dir(name, mode) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(error),
        _ => dir.child(name),
    }
}
