//! What is known of files, as it lies in a guest's memory.

use super::{
    call::{C, call},
    guest_memory::GuestMemory,
};
use crate::guest::Guest;
use mc_wasi::{Errno, FileKind, Handle, NewTime, Result, Stat};
use wasmtime::Linker;

pub(super) const FOLLOW: u32 = 1;
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

/// Where the number of links to a file lies.
#[derive(Clone, Copy)]
pub(super) enum Links {
    /// As preview 1 has it: 64 bits, before the size.
    Wide,
    /// As the snapshot before it has it: 32 bits, where preview 1 has a gap.
    Narrow,
}

/// Adds the calls to `module` that tell what is known of a file.
pub(super) fn add(linker: &mut Linker<Guest>, module: &str, links: Links) -> wasmtime::Result<()> {
    linker.func_wrap(
        module,
        "fd_filestat_get",
        move |caller: C<'_>, fd: u32, at: u32| {
            call(caller, |host, memory| match host.handle(fd)? {
                Handle::Stdin | Handle::Standard(_) => {
                    memory.bytes(at, size_at(links) + 32)?.fill(0);
                    Ok(memory.write_u8(at + 16, CHARACTER_DEVICE)?)
                }
                _ => write_stat(memory, links, at, host.stat(fd)?),
            })
        },
    )?;
    linker.func_wrap(
        module,
        "path_filestat_get",
        move |caller: C<'_>, fd: u32, lookup: u32, path: u32, length: u32, at: u32| {
            call(caller, |host, memory| {
                let path = memory.text(path, length)?;
                let stat = host.stat_at(fd, &path, lookup & FOLLOW != 0)?;
                write_stat(memory, links, at, stat)
            })
        },
    )?;
    Ok(())
}

/// Where the size lies, after which three times follow, of 64 bits each.
const fn size_at(links: Links) -> u32 {
    match links {
        Links::Wide => 32,
        Links::Narrow => 24,
    }
}

fn write_stat(memory: &mut GuestMemory<'_>, links: Links, at: u32, stat: Stat) -> Result<()> {
    let size = size_at(links);
    memory.bytes(at, size + 32)?.fill(0);
    memory.write_u64(at, 1)?;
    memory.write_u64(at + 8, stat.node.0)?;
    memory.write_u8(at + 16, file_type(stat.kind))?;
    match links {
        Links::Wide => memory.write_u64(at + 24, stat.links)?,
        Links::Narrow => {
            memory.write_u32(at + 20, u32::try_from(stat.links).unwrap_or(u32::MAX))?;
        }
    }
    let size = at + size;
    memory.write_u64(size, stat.size)?;
    memory.write_u64(size + 8, stat.accessed)?;
    memory.write_u64(size + 16, stat.modified)?;
    Ok(memory.write_u64(size + 24, stat.changed)?)
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
