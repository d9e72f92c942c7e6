//! What is known of files, as it lies in a guest's memory.

use super::guest_memory::GuestMemory;
use mc_wasi::{Errno, FileKind, NewTime, Result, Stat};

const SET_ACCESSED: u16 = 1;
const SET_ACCESSED_NOW: u16 = 2;
const SET_MODIFIED: u16 = 4;
const SET_MODIFIED_NOW: u16 = 8;

/// What streams are, too.
pub(super) const CHARACTER_DEVICE: u8 = 2;

/// The number of a file's kind.
pub(super) const fn file_type(kind: FileKind) -> u8 {
    match kind {
        FileKind::Directory => 3,
        FileKind::File => 4,
        FileKind::Symlink => 7,
        FileKind::Device => CHARACTER_DEVICE,
    }
}

pub(super) fn write_stat(memory: &mut GuestMemory<'_>, at: u32, stat: Stat) -> Result<()> {
    memory.bytes(at, 64)?.fill(0);
    memory.write_u64(at, 1)?;
    memory.write_u64(at + 8, stat.node.0)?;
    memory.write_u8(at + 16, file_type(stat.kind))?;
    memory.write_u64(at + 24, stat.links)?;
    memory.write_u64(at + 32, stat.size)?;
    memory.write_u64(at + 40, stat.accessed)?;
    memory.write_u64(at + 48, stat.modified)?;
    Ok(memory.write_u64(at + 56, stat.changed)?)
}

pub(super) fn new_times(
    accessed: u64,
    modified: u64,
    flags: u32,
) -> Result<(NewTime, NewTime), Errno> {
    let flags = u16::try_from(flags).map_err(|_| Errno::Invalid)?;
    let one = |set: u16, now: u16, to: u64| match (flags & set != 0, flags & now != 0) {
        (true, true) => Err(Errno::Invalid),
        (true, false) => Ok(NewTime::To(to)),
        (false, true) => Ok(NewTime::Now),
        (false, false) => Ok(NewTime::Same),
    };
    Ok((
        one(SET_ACCESSED, SET_ACCESSED_NOW, accessed)?,
        one(SET_MODIFIED, SET_MODIFIED_NOW, modified)?,
    ))
}
