//! The plan of a transaction for one host directory, as it lies on disk.
//!
//! JSON lines: first a [`Header`], then one [`Op`] a line.

use crate::{
    fingerprint::Fingerprint,
    place,
    staging::{JOURNAL, JOURNAL_DRAFT, Staging, is_reserved},
};
use serde::{Deserialize, Serialize};
use std::{
    fs::File,
    io::{self, BufRead, BufReader, BufWriter, Read, Write},
    path::PathBuf,
};

/// Most changes of one transaction. Each takes some 400 bytes of memory.
pub const MAX_CHANGES: usize = 4 << 20;
/// Longest journal of one host directory in bytes.
pub const MAX_JOURNAL_BYTES: u64 = 4 << 30;
/// Longest line: two places, each byte of which takes six at most, and fingerprints.
const MAX_LINE_BYTES: u64 = 64 << 10;
/// Most host directories of one transaction.
pub(crate) const MAX_DIRECTORIES: usize = 64;
/// Longest first line: the paths of all of them, each byte of which takes six at most.
const MAX_HEADER_BYTES: u64 = 2 << 20;
const VERSION: u32 = 1;

/// One host directory of a transaction.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Member {
    #[serde(with = "path")]
    pub(crate) path: PathBuf,
    /// Of the host directory, so that another one at its path is not taken for it.
    pub(crate) inode: u64,
    /// The name of the staging directory in it.
    pub(crate) staging: String,
}

/// What all changes of a journal have in common.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Header {
    version: u32,
    /// Which of the members this journal is of.
    pub(crate) member: usize,
    /// The first one has the mark that decides for all of them.
    pub(crate) members: Vec<Member>,
    /// Of the staging directory, so that a journal that was copied from elsewhere is not applied.
    inode: u64,
    /// The device of the host directory; devices get other numbers when a machine starts again.
    device: u64,
    changes: usize,
}

/// One change. What it puts in, and what it takes out, is in the slot of its number.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Op {
    pub(crate) slot: u32,
    pub(crate) action: Action,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Action {
    Remove {
        place: String,
        was: Fingerprint,
    },
    Rename {
        from: String,
        to: String,
        was: Fingerprint,
        replaces: Option<Fingerprint>,
    },
    /// What was made or changed: the entry in the slot.
    Put {
        place: String,
        made: Fingerprint,
        replaces: Option<Fingerprint>,
    },
}

impl Op {
    pub(crate) fn slot_name(&self) -> String {
        self.slot.to_string()
    }

    /// What is taken out of its place, and where that is.
    pub(crate) fn takes(&self) -> Option<(&str, &Fingerprint)> {
        match &self.action {
            Action::Remove { place, was } => Some((place, was)),
            Action::Rename { from, was, .. } => Some((from, was)),
            Action::Put { .. } => None,
        }
    }

    /// What is put in, where, and what it replaces.
    pub(crate) fn puts(&self) -> Option<(&str, &Fingerprint, Option<&Fingerprint>)> {
        match &self.action {
            Action::Remove { .. } => None,
            Action::Rename {
                to, was, replaces, ..
            } => Some((to, was, replaces.as_ref())),
            Action::Put {
                place,
                made,
                replaces,
            } => Some((place, made, replaces.as_ref())),
        }
    }

    /// The place to name to people.
    pub(crate) fn place(&self) -> &str {
        match &self.action {
            Action::Remove { place, .. } | Action::Put { place, .. } => place,
            Action::Rename { to, .. } => to,
        }
    }

    /// All that it names.
    fn places(&self) -> impl Iterator<Item = &str> {
        let taken = self.takes().map(|(place, _)| place);
        let put = self.puts().map(|(place, _, _)| place);
        taken.into_iter().chain(put)
    }

    fn prints(&mut self) -> impl Iterator<Item = &mut Fingerprint> {
        let (first, second) = match &mut self.action {
            Action::Remove { was, .. } => (was, None),
            Action::Rename { was, replaces, .. } => (was, replaces.as_mut()),
            Action::Put { made, replaces, .. } => (made, replaces.as_mut()),
        };
        std::iter::once(first).chain(second)
    }
}

/// A journal in memory.
#[derive(Debug)]
pub(crate) struct Journal {
    pub(crate) header: Header,
    pub(crate) ops: Vec<Op>,
}

impl Journal {
    /// Of the changes `ops` in the host directory of `staging`.
    pub(crate) fn new(
        staging: &Staging,
        members: &[Member],
        member: usize,
        ops: Vec<Op>,
    ) -> io::Result<Self> {
        let header = Header {
            version: VERSION,
            member,
            members: members.to_vec(),
            inode: staging.dir.print()?.inode(),
            device: staging.dir.print()?.dev,
            changes: ops.len(),
        };
        Ok(Self { header, ops })
    }

    /// Writes it, so that it is there as a whole or not at all, and for good.
    pub(crate) fn write(&self, staging: &Staging) -> io::Result<()> {
        let file = staging.dir.create(JOURNAL_DRAFT, 0o600)?;
        let mut writer = Bounded {
            inner: BufWriter::new(&file),
            left: MAX_JOURNAL_BYTES,
        };
        write_line(&mut writer, &self.header)?;
        for op in &self.ops {
            write_line(&mut writer, op)?;
        }
        writer.inner.flush()?;
        crate::steps::step("sync")?;
        file.sync_all()?;
        staging.dir.take(JOURNAL_DRAFT, &staging.dir, JOURNAL)?;
        staging.dir.sync()
    }

    /// Reads the journal of `staging`; `None` when there is none.
    ///
    /// # Errors
    ///
    /// `InvalidData` when it is not one that was written here, whatever else the system says.
    pub(crate) fn read(staging: &Staging) -> io::Result<Option<Self>> {
        let file = match staging.dir.open_file(JOURNAL) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error),
        };
        let mut reader = BufReader::new(file.take(MAX_JOURNAL_BYTES));
        let header: Header =
            read_line(&mut reader, MAX_HEADER_BYTES)?.ok_or(io::ErrorKind::InvalidData)?;
        let own = staging.dir.print()?;
        let mut journal = Self {
            header,
            ops: Vec::new(),
        };
        journal.check(own.inode())?;
        while let Some(mut op) = read_line::<Op>(&mut reader, MAX_LINE_BYTES)? {
            // A stranger's content may contain a journal that names places elsewhere.
            if !op.places().all(place::is_checked) {
                return Err(io::ErrorKind::InvalidData.into());
            }
            for print in op.prints().filter(|it| it.dev == journal.header.device) {
                print.dev = own.dev;
            }
            journal.ops.push(op);
        }
        match journal.ops.len() == journal.header.changes {
            true => Ok(Some(journal)),
            false => Err(io::ErrorKind::InvalidData.into()),
        }
    }

    fn check(&self, inode: u64) -> io::Result<()> {
        let header = &self.header;
        let sound = header.version == VERSION
            && header.inode == inode
            && header.changes <= MAX_CHANGES
            && header.members.len() <= MAX_DIRECTORIES
            // What is named here is locked, marked and removed.
            && header.members.iter().all(|it| is_reserved(&it.staging))
            && header.member < header.members.len();
        match sound {
            true => Ok(()),
            false => Err(io::ErrorKind::InvalidData.into()),
        }
    }
}

/// The lines of a file in which the last one may have been cut off.
pub(crate) fn whole_lines<T: for<'a> Deserialize<'a>>(file: File) -> impl Iterator<Item = T> {
    let mut reader = BufReader::new(file.take(MAX_JOURNAL_BYTES));
    std::iter::from_fn(move || read_line(&mut reader, MAX_LINE_BYTES).ok().flatten())
}

pub(crate) fn write_line(writer: &mut impl Write, value: &impl Serialize) -> io::Result<()> {
    serde_json::to_writer(&mut *writer, value)?;
    writer.write_all(b"\n")
}

fn read_line<T: for<'a> Deserialize<'a>>(
    reader: &mut impl BufRead,
    max_bytes: u64,
) -> io::Result<Option<T>> {
    let mut line = Vec::new();
    if reader.take(max_bytes).read_until(b'\n', &mut line)? == 0 {
        return Ok(None);
    }
    Ok(Some(serde_json::from_slice(&line)?))
}

/// Paths: as text, or as the numbers of their bytes where they are not UTF-8.
mod path {
    use serde::{Deserialize, Deserializer, Serialize, Serializer};
    use std::{
        ffi::OsString,
        os::unix::ffi::{OsStrExt, OsStringExt},
        path::{Path, PathBuf},
    };

    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Written {
        Text(String),
        Bytes(Vec<u8>),
    }

    pub(super) fn serialize<S: Serializer>(path: &Path, to: S) -> Result<S::Ok, S::Error> {
        match path.to_str() {
            Some(text) => to.serialize_str(text),
            None => path.as_os_str().as_bytes().serialize(to),
        }
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<PathBuf, D::Error> {
        Ok(match Written::deserialize(from)? {
            Written::Text(text) => text.into(),
            Written::Bytes(bytes) => OsString::from_vec(bytes).into(),
        })
    }
}

/// Refuses to write more than it may.
struct Bounded<W> {
    inner: W,
    left: u64,
}

impl<W: Write> Write for Bounded<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.inner.write(bytes)?;
        let length = u64::try_from(written).unwrap_or(u64::MAX);
        self.left = self
            .left
            .checked_sub(length)
            .ok_or(io::ErrorKind::FileTooLarge)?;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}
