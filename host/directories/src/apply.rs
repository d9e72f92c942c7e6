//! Applying the changes of one host directory.
//!
//! Every step finds out from the disk whether it has been done, so that all of it can be done again
//! after a kill:
//!
//! * an empty slot: what was to be put in is in place, or nothing has been taken out yet;
//! * a slot with the entry that the change puts in: it is not in place yet;
//! * a slot with another entry: that is what was in its place. It is compared with what the guest
//!   saw before it is given up, and goes back if it is not that.

use crate::{
    conflict::Conflicts,
    fingerprint::Fingerprint,
    journal::{Action, Journal, Op},
    place, plan,
    report::{Reason, Report},
    staging::{Mark, OLD, Staging},
    sys::{self, Dir, Stat, is},
    touched::Touched,
};
use rustix::io::Errno;
use std::{collections::HashSet, io};

/// Why a change ends early.
#[derive(Debug)]
pub(crate) enum Stop {
    /// It will never be made.
    Conflict(Reason),
    /// Nothing more can be done now.
    Io(io::Error),
}

impl From<io::Error> for Stop {
    fn from(error: io::Error) -> Self {
        if sys::is_temporary(&error) {
            return Self::Io(error);
        }
        Self::Conflict(match error.kind() {
            io::ErrorKind::NotFound => Reason::Gone,
            io::ErrorKind::DirectoryNotEmpty => Reason::NotEmpty,
            io::ErrorKind::AlreadyExists => Reason::Occupied,
            _ => Reason::Refused(error.to_string()),
        })
    }
}

impl From<Reason> for Stop {
    fn from(reason: Reason) -> Self {
        Self::Conflict(reason)
    }
}

pub(crate) struct Applier<'a> {
    pub(crate) staging: &'a Staging,
    pub(crate) changed: u64,
    ops: &'a [Op],
    conflicts: Conflicts<'a>,
    touched: Touched,
    /// Inodes with several names, one of which we have moved: for the other names, that changes the time of the last
    /// change.
    moved: HashSet<u64>,
}

/// Does everything of `journal` that has not been done. When it returns, the slots are empty.
pub(crate) fn finish(
    staging: &Staging,
    journal: &Journal,
    report: &mut Report,
) -> Result<(), io::Error> {
    let mut applier = Applier {
        staging,
        changed: 0,
        ops: &journal.ops,
        conflicts: Conflicts::new(staging)?,
        touched: Touched::default(),
        moved: HashSet::new(),
    };
    if !staging.has(Mark::Taken)? {
        applier.take_all()?;
        // From now on a slot may hold an entry that was replaced, instead of one that was to be taken out.
        staging.mark(Mark::Taken)?;
        staging.dir.sync()?;
    }
    applier.put_all()?;
    // What was replaced is not given up before its replacement is there for good.
    applier.touched.sync(&staging.root)?;
    staging.slots.sync()?;
    applier.empty_slots()?;
    applier.touched.sync(&staging.root)?;
    report.changed += applier.changed;
    applier.conflicts.report(report);
    Ok(())
}

impl Applier<'_> {
    fn take_all(&mut self) -> io::Result<()> {
        for index in plan::taking(self.ops).map_err(io::Error::other)? {
            let Some(op) = self.ops.get(index) else {
                continue;
            };
            match self.take(op) {
                Ok(()) => {}
                Err(Stop::Io(error)) => return Err(error),
                Err(Stop::Conflict(reason)) => self.leave(op, reason)?,
            }
        }
        Ok(())
    }

    fn take(&mut self, op: &Op) -> Result<(), Stop> {
        let Some((place, was)) = op.takes() else {
            return Ok(());
        };
        let slot = op.slot_name();
        if self.staging.slots.stat(&slot)?.is_none() {
            let (parent, name) = self.parent(place)?;
            let now = parent.stat(name)?.ok_or(Reason::Gone)?;
            self.check_unchanged(&now, was)?;
            if was.is_directory() && matches!(op.action, Action::Remove { .. }) {
                parent.remove_dir(name)?;
                self.changed += 1;
                return Ok(());
            }
            parent.take(name, &self.staging.slots, &slot)?;
            self.note_move(&now);
        }
        let taken = self.staging.slots.stat(&slot)?.ok_or(Reason::Gone)?;
        if !taken.print.is_unchanged_but_moved(was) {
            return Err(Reason::Edited.into());
        }
        if matches!(op.action, Action::Remove { .. }) {
            self.changed += 1;
        }
        Ok(())
    }

    /// Leaves to the host what was to be taken out of its place.
    fn leave(&mut self, op: &Op, reason: Reason) -> io::Result<()> {
        let Some((from, _)) = op.takes() else {
            return Ok(());
        };
        let slot = op.slot_name();
        let is_removal = matches!(op.action, Action::Remove { .. });
        // At its new place there is nothing to be found.
        let kept = (!is_removal).then(|| from.to_owned());
        if self.staging.slots.stat(&slot)?.is_some() {
            self.conflicts
                .note(&slot, op.place(), kept, reason.clone())?;
            return self.put_back(&slot, from, op.place(), &reason);
        }
        let is_gone = matches!(reason, Reason::Gone | Reason::NoDirectory);
        if is_removal && is_gone {
            // As the guest wanted it.
            return Ok(());
        }
        let kept = kept.filter(|_| !is_gone);
        self.conflicts.note(&slot, op.place(), kept, reason)
    }

    fn put_all(&mut self) -> io::Result<()> {
        let mut homeless = Vec::new();
        for index in plan::putting(self.ops).map_err(io::Error::other)? {
            let Some(op) = self.ops.get(index) else {
                continue;
            };
            let reason = match self.put(op) {
                Ok(()) => continue,
                Err(Stop::Io(error)) => return Err(error),
                Err(Stop::Conflict(reason)) => reason,
            };
            let slot = op.slot_name();
            let Some(left) = self.staging.slots.stat(&slot)? else {
                self.conflicts.note(&slot, op.place(), None, reason)?;
                continue;
            };
            match &op.action {
                // Its old place may be another change's new one, so that it has to wait.
                Action::Rename { from, was, .. } if left.print.is_entry(was) => {
                    homeless.push((slot, from, op.place(), reason));
                }
                _ => self.keep(&slot, &left.print, op.place(), &reason)?,
            }
        }
        for (slot, from, to, reason) in homeless {
            let kept = Some(from.clone());
            self.conflicts.note(&slot, to, kept, reason.clone())?;
            self.put_back(&slot, from, to, &reason)?;
        }
        Ok(())
    }

    /// Puts what is in `slot` back to where it was. If that place is taken, keeps it where the user finds it.
    pub(crate) fn put_back(
        &mut self,
        slot: &str,
        from: &str,
        place: &str,
        reason: &Reason,
    ) -> io::Result<()> {
        let back = self
            .parent(from)
            .and_then(|(parent, name)| Ok(self.staging.slots.put(slot, &parent, name)?));
        match back {
            Ok(()) => Ok(()),
            Err(Stop::Io(error)) => Err(error),
            Err(Stop::Conflict(_)) => match self.staging.slots.stat(slot)? {
                Some(entry) => self.keep(slot, &entry.print, place, reason),
                None => Ok(()),
            },
        }
    }

    pub(crate) fn keep(
        &mut self,
        slot: &str,
        entry: &Fingerprint,
        place: &str,
        reason: &Reason,
    ) -> io::Result<()> {
        let dir = self.conflicts.keep(slot, entry, place, reason)?;
        self.touched.add(&dir)
    }

    /// Removes what has been taken out, if it was as the guest saw it.
    fn empty_slots(&mut self) -> io::Result<()> {
        for op in self.ops {
            let expected = match &op.action {
                Action::Remove { was, .. } => Some(was),
                Action::Rename { replaces, .. } | Action::Put { replaces, .. } => replaces.as_ref(),
            };
            let slot = op.slot_name();
            self.empty_slot(&slot, op.place(), expected)?;
            if op.puts().is_some() && expected.is_some() {
                self.empty_slot(&old_slot(&slot), op.place(), expected)?;
            }
        }
        Ok(())
    }

    /// A process that had the file open may have written to it after it was taken out.
    fn empty_slot(
        &mut self,
        slot: &str,
        place: &str,
        expected: Option<&Fingerprint>,
    ) -> io::Result<()> {
        let Some(found) = self.staging.slots.stat(slot)? else {
            return Ok(());
        };
        let expected = expected.is_some_and(|it| found.print.is_unchanged_but_moved(it));
        if !expected {
            return self.keep(slot, &found.print, place, &Reason::Edited);
        }
        if !found.print.is_directory() {
            return self.staging.slots.remove_file(slot);
        }
        match self.staging.slots.remove_dir(slot) {
            Err(error) if is(&error, &[Errno::NOTEMPTY, Errno::EXIST]) => {
                self.keep(slot, &found.print, place, &Reason::NotEmpty)
            }
            removed => removed,
        }
    }

    /// The directory of a place, and the name in it.
    pub(crate) fn parent<'p>(&mut self, place: &'p str) -> Result<(Dir, &'p str), Stop> {
        let (parent, name) = place::split(place);
        let dir = match self.staging.root.beneath(parent) {
            Err(error) if sys::is_no_directory(&error) => return Err(Reason::NoDirectory.into()),
            dir => dir?,
        };
        self.touched.add(&dir)?;
        Ok((dir, name))
    }

    pub(crate) fn check_unchanged(&self, now: &Stat, was: &Fingerprint) -> Result<(), Stop> {
        let unchanged = match self.moved.contains(&now.print.inode()) {
            true => now.print.is_unchanged_but_moved(was),
            false => now.print.is_unchanged(was),
        };
        match unchanged {
            true => Ok(()),
            false => Err(Reason::Edited.into()),
        }
    }

    pub(crate) fn note_move(&mut self, entry: &Stat) {
        if entry.names > 1 && !entry.print.is_directory() {
            self.moved.insert(entry.print.inode());
        }
    }
}

/// Where the replaced entry waits when the file system cannot exchange two.
pub(crate) fn old_slot(slot: &str) -> String {
    format!("{slot}{OLD}")
}
