//! Putting one entry into its place.

use crate::{
    apply::{Applier, Stop, old_slot},
    fingerprint::Fingerprint,
    journal::{Action, Op},
    report::Reason,
    sys::{self, Dir},
};
use std::io;

/// What is put, and where.
struct Spot<'a> {
    slot: String,
    entry: &'a Fingerprint,
    place: &'a str,
    parent: Dir,
    name: &'a str,
    /// A directory that was made, not moved. If the host made one, too, that is as good.
    may_merge: bool,
}

impl Applier<'_> {
    pub(crate) fn put(&mut self, op: &Op) -> Result<(), Stop> {
        let Some((place, entry, replaces)) = op.puts() else {
            return Ok(());
        };
        let slot = op.slot_name();
        let Some(held) = self.staging.slots.stat(&slot)? else {
            // In place already, or never taken out.
            return Ok(());
        };
        let (parent, name) = self.parent(place)?;
        let spot = Spot {
            slot,
            entry,
            place,
            parent,
            name,
            may_merge: entry.is_directory() && matches!(op.action, Action::Put { .. }),
        };
        match replaces {
            None => self.put_new(&spot)?,
            Some(replaces) if held.print.is_entry(entry) => self.replace(&spot, replaces)?,
            Some(replaces) => self.confirm(&spot, replaces)?,
        }
        self.changed += 1;
        Ok(())
    }

    fn put_new(&mut self, spot: &Spot<'_>) -> Result<(), Stop> {
        let slots = &self.staging.slots;
        match slots.put(&spot.slot, &spot.parent, spot.name) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                let there = spot.parent.stat(spot.name)?.ok_or(Reason::Occupied)?;
                if there.print.is_entry(spot.entry) {
                    // It has both names since a kill.
                    return Ok(slots.remove_file(&spot.slot)?);
                }
                if spot.may_merge && there.print.is_directory() {
                    return Ok(slots.remove_dir(&spot.slot)?);
                }
                Err(Reason::Occupied.into())
            }
            put => Ok(put?),
        }
    }

    fn replace(&mut self, spot: &Spot<'_>, replaces: &Fingerprint) -> Result<(), Stop> {
        let slots = &self.staging.slots;
        let old = old_slot(&spot.slot);
        if slots.stat(&old)?.is_none() {
            let now = spot.parent.stat(spot.name)?.ok_or(Reason::Gone)?;
            self.check_unchanged(&now, replaces)?;
            if replaces.is_directory() && !spot.parent.child(spot.name)?.is_empty()? {
                return Err(Reason::NotEmpty.into());
            }
            match slots.exchange(&spot.slot, &spot.parent, spot.name) {
                Ok(()) => {
                    self.note_move(&now);
                    return self.confirm(spot, replaces);
                }
                Err(error) if sys::is_unsupported(&error) => {
                    spot.parent.take(spot.name, slots, &old)?;
                    self.note_move(&now);
                }
                Err(error) => return Err(error.into()),
            }
        }
        let put = match self.is_as_seen(&old, replaces)? {
            true => self.put_new(spot),
            false => Err(Reason::Edited.into()),
        };
        match put {
            Err(Stop::Conflict(reason)) => {
                self.put_back(&old, spot.place, spot.place, &reason)?;
                Err(Stop::Conflict(reason))
            }
            put => put,
        }
    }

    /// After an exchange: gives back what came out if the host had changed it.
    fn confirm(&mut self, spot: &Spot<'_>, replaces: &Fingerprint) -> Result<(), Stop> {
        if self.is_as_seen(&spot.slot, replaces)? {
            return Ok(());
        }
        let reason = match replaces.is_directory() {
            true => Reason::NotEmpty,
            false => Reason::Edited,
        };
        let slots = &self.staging.slots;
        let there = spot.parent.stat(spot.name)?;
        if there.is_some_and(|it| it.print.is_entry(spot.entry)) {
            slots.exchange(&spot.slot, &spot.parent, spot.name)?;
            let held = slots.stat(&spot.slot)?.ok_or(Reason::Gone)?;
            if !held.print.is_entry(spot.entry) {
                // Replaced on the host in that very moment: that is the newest version.
                slots.exchange(&spot.slot, &spot.parent, spot.name)?;
            }
        }
        Err(reason.into())
    }

    /// Whether what was taken out is what the guest saw; of a directory, the empty one.
    fn is_as_seen(&self, slot: &str, replaces: &Fingerprint) -> Result<bool, Stop> {
        let slots = &self.staging.slots;
        let held = slots.stat(slot)?.ok_or(Reason::Gone)?;
        Ok(held.print.is_unchanged_but_moved(replaces)
            && (!replaces.is_directory() || slots.child(slot)?.is_empty()?))
    }
}
