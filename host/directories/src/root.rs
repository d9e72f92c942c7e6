//! One host directory of a transaction, before the commit.

use crate::{
    Error, Fingerprint,
    journal::{Journal, Member, Op},
    links::{self, Gone},
    staging::Staging,
    steps::step,
    sys::Dir,
};
use rustix::fs::{Gid, Mode, Uid, fchmod, fchown};
use std::{
    fs::File,
    io::{self, BufWriter, Write},
    path::PathBuf,
};

/// Files that are made durable one by one in each directory; with more, the whole file system is at
/// the end, which is faster.
const MAX_SINGLE_SYNCS: usize = 128;

#[derive(Debug)]
pub(crate) struct Root {
    pub(crate) path: PathBuf,
    dir: Dir,
    pub(crate) print: Fingerprint,
    /// Made with the first change, so that a directory that is only read may be read-only.
    pub(crate) staging: Option<Staging>,
    pub(crate) ops: Vec<Op>,
    unsynced: bool,
}

impl Root {
    pub(crate) fn new(path: PathBuf, dir: Dir, print: Fingerprint) -> Self {
        Self {
            path,
            dir,
            print,
            staging: None,
            ops: Vec::new(),
            unsynced: false,
        }
    }

    /// Whether the next file is to be made durable at once.
    pub(crate) fn syncs_singly(&mut self) -> bool {
        let singly = self.ops.len() < MAX_SINGLE_SYNCS;
        self.unsynced |= !singly;
        singly
    }

    pub(crate) fn staging(&mut self) -> io::Result<&Staging> {
        let staging = match self.staging.take() {
            Some(staging) => staging,
            None => Staging::create(&self.dir, &self.path)?,
        };
        Ok(self.staging.insert(staging))
    }

    pub(crate) fn sync(&mut self) -> io::Result<()> {
        let unsynced = self.unsynced;
        let staging = self.staging()?;
        match unsynced {
            true => staging.slots.sync_file_system(),
            false => staging.slots.sync(),
        }
    }

    /// Adds the links of the user's that the changes take away.
    pub(crate) fn note_gone(&self, gone: &mut Gone) {
        gone.add(&self.dir, &self.ops);
    }

    /// Takes those links out of the changes that lead out of the directory, except for the user's own, which are `gone`
    /// from where they were. Returns where the links would have been.
    pub(crate) fn leave_out_links(&mut self, gone: &mut Gone) -> io::Result<Vec<PathBuf>> {
        let Some(staging) = &self.staging else {
            return Ok(Vec::new());
        };
        let found = links::leading_out(&self.dir, &staging.slots, &self.ops, gone)?;
        let (mut kept, mut left_out) = (Vec::new(), Vec::new());
        for (index, op) in std::mem::take(&mut self.ops).into_iter().enumerate() {
            if found.binary_search(&index).is_err() {
                kept.push(op);
                continue;
            }
            staging.slots.remove_file(&op.slot_name())?;
            left_out.push(self.path.join(op.place()));
        }
        self.ops = kept;
        Ok(left_out)
    }

    pub(crate) fn write_journal(
        &mut self,
        members: &[Member],
        member: usize,
    ) -> io::Result<Journal> {
        let ops = std::mem::take(&mut self.ops);
        let staging = self.staging()?;
        let journal = Journal::new(staging, members, member, ops)?;
        journal.write(staging)?;
        staging.root.sync()?;
        Ok(journal)
    }

    pub(crate) fn prepare_failed(&self, source: io::Error) -> Error {
        Error::Prepare {
            directory: self.path.clone(),
            source,
        }
    }
}

/// Writes the content of a file, which gets the mode and the owner of another.
pub(crate) fn fill(
    file: &File,
    like: Option<&Fingerprint>,
    synced: bool,
    content: impl FnOnce(&mut dyn io::Write) -> io::Result<()>,
) -> io::Result<()> {
    let mut writer = BufWriter::new(file);
    content(&mut writer)?;
    writer.flush()?;
    if let Some(like) = like.filter(|it| it.is_file()) {
        let (user, group) = like.owner();
        // Only the superuser may give a file to somebody else.
        let _ = fchown(file, Some(Uid::from_raw(user)), Some(Gid::from_raw(group)));
        fchmod(file, Mode::from_raw_mode(like.permissions()))?;
    }
    if synced {
        step("sync")?;
        file.sync_all()?;
    }
    Ok(())
}
