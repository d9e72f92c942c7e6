//! Descriptors and paths.

use super::{MODULE, call, guest_memory::GuestMemory};
use crate::guest::Guest;
use mc_wasi::{Errno, FileKind, Handle, Host, NewTime, OpenFlags, Opening, Result, Stat, Stream};
use wasmtime::{Caller, Linker};

/// All rights that there are. They are ignored, as later previews have none.
const ALL_RIGHTS: u64 = (1 << 30) - 1;
const RIGHT_READ: u64 = 1 << 1;
const RIGHT_WRITE: u64 = 1 << 6;
const RIGHT_ALLOCATE: u64 = 1 << 8;
const RIGHT_READ_DIRECTORY: u64 = 1 << 14;
const FLAG_APPEND: u16 = 1;
/// Synchronising, and not blocking: both hold for everything that is only memory.
const FLAGS_IGNORED: u16 = 0b1_1110;
const OPEN_CREATE: u16 = 1;
const OPEN_DIRECTORY: u16 = 2;
const OPEN_EXCLUSIVE: u16 = 4;
const OPEN_TRUNCATE: u16 = 8;
const FOLLOW: u32 = 1;
const SET_ACCESSED: u16 = 1;
const SET_ACCESSED_NOW: u16 = 2;
const SET_MODIFIED: u16 = 4;
const SET_MODIFIED_NOW: u16 = 8;
/// The only directory that is open in the beginning.
const ROOT: &[u8] = b"/";
const DIRENT_BYTES: usize = 24;

const CHARACTER_DEVICE: u8 = 2;

const fn file_type(kind: FileKind) -> u8 {
    match kind {
        FileKind::Directory => 3,
        FileKind::File => 4,
        FileKind::Symlink => 7,
    }
}

type C<'a> = Caller<'a, Guest>;

pub(super) fn add(linker: &mut Linker<Guest>) -> wasmtime::Result<()> {
    descriptors(linker)?;
    reading(linker)?;
    writing(linker)?;
    metadata(linker)?;
    linker.func_wrap(
        MODULE,
        "fd_readdir",
        |caller: C<'_>, fd: u32, at: u32, length: u32, cookie: u64, used: u32| {
            call(caller, |host, memory| {
                let number = read_directory(host, memory.bytes(at, length)?, fd, cookie)?;
                Ok(memory.write_u32(used, number)?)
            })
        },
    )?;
    Ok(())
}

fn descriptors(linker: &mut Linker<Guest>) -> wasmtime::Result<()> {
    linker.func_wrap(MODULE, "fd_close", |caller: C<'_>, fd: u32| {
        call(caller, |host, _| Ok(host.close(fd)?))
    })?;
    linker.func_wrap(
        MODULE,
        "fd_renumber",
        |caller: C<'_>, from: u32, to: u32| call(caller, |host, _| Ok(host.renumber(from, to)?)),
    )?;
    linker.func_wrap(
        MODULE,
        "fd_prestat_get",
        |caller: C<'_>, fd: u32, at: u32| {
            call(caller, |host, memory| {
                check_preopen(host, fd)?;
                memory.write_u32(at, 0)?;
                Ok(memory.write_u32(at.saturating_add(4), 1)?)
            })
        },
    )?;
    linker.func_wrap(
        MODULE,
        "fd_prestat_dir_name",
        |caller: C<'_>, fd: u32, at: u32, length: u32| {
            call(caller, |host, memory| {
                check_preopen(host, fd)?;
                if length == 0 {
                    return Err(Errno::NameTooLong.into());
                }
                Ok(memory.write(at, ROOT)?)
            })
        },
    )?;
    for name in ["fd_sync", "fd_datasync"] {
        linker.func_wrap(MODULE, name, |caller: C<'_>, fd: u32| {
            call(caller, |host, _| Ok(host.handle(fd).map(drop)?))
        })?;
    }
    linker.func_wrap(
        MODULE,
        "fd_advise",
        |caller: C<'_>, fd: u32, _: u64, _: u64, advice: u32| {
            call(caller, |host, _| {
                host.descriptor(fd)?;
                if advice > 5 {
                    return Err(Errno::Invalid.into());
                }
                Ok(())
            })
        },
    )?;
    Ok(())
}

/// Descriptor 3 is the one that is open in the beginning, unless it was closed or renumbered.
fn check_preopen(host: &Host, fd: u32) -> Result<()> {
    let descriptor = host.descriptor(fd)?;
    if fd == 3 && descriptor.node == mc_wasi::FileSystem::ROOT {
        Ok(())
    } else {
        Err(Errno::BadDescriptor.into())
    }
}

fn reading(linker: &mut Linker<Guest>) -> wasmtime::Result<()> {
    linker.func_wrap(
        MODULE,
        "fd_read",
        |caller: C<'_>, fd: u32, buffers: u32, count: u32, read: u32| {
            call(caller, |host, memory| {
                let number = match host.handle(fd)? {
                    Handle::Stdin => read_stdin(host, memory, buffers, count)?,
                    Handle::Descriptor(descriptor) => {
                        let offset = descriptor.offset;
                        let number = read_at(host, memory, fd, offset, buffers, count)?;
                        host.descriptor_mut(fd)?.offset = offset.saturating_add(number.into());
                        number
                    }
                    _ => return Err(Errno::BadDescriptor.into()),
                };
                Ok(memory.write_u32(read, number)?)
            })
        },
    )?;
    linker.func_wrap(
        MODULE,
        "fd_pread",
        |caller: C<'_>, fd: u32, buffers: u32, count: u32, offset: u64, read: u32| {
            call(caller, |host, memory| {
                check_seekable(host, fd)?;
                let number = read_at(host, memory, fd, offset, buffers, count)?;
                Ok(memory.write_u32(read, number)?)
            })
        },
    )?;
    linker.func_wrap(
        MODULE,
        "fd_seek",
        |caller: C<'_>, fd: u32, by: i64, whence: u32, at: u32| {
            call(caller, |host, memory| {
                check_seekable(host, fd)?;
                let from = match whence {
                    0 => 0,
                    1 => host.descriptor(fd)?.offset,
                    2 => host.stat(fd)?.size,
                    _ => return Err(Errno::Invalid.into()),
                };
                let offset = from.checked_add_signed(by);
                let offset = offset.filter(|offset| i64::try_from(*offset).is_ok());
                let offset = offset.ok_or(Errno::Invalid)?;
                host.descriptor_mut(fd)?.offset = offset;
                Ok(memory.write_u64(at, offset)?)
            })
        },
    )?;
    linker.func_wrap(MODULE, "fd_tell", |caller: C<'_>, fd: u32, at: u32| {
        call(caller, |host, memory| {
            check_seekable(host, fd)?;
            Ok(memory.write_u64(at, host.descriptor(fd)?.offset)?)
        })
    })?;
    Ok(())
}

/// Refuses what has no offset.
fn check_seekable(host: &Host, fd: u32) -> Result<()> {
    match host.handle(fd)? {
        Handle::Stdin | Handle::Standard(_) => Err(Errno::InvalidSeek.into()),
        Handle::Descriptor(_) if host.stat(fd)?.kind == FileKind::Directory => {
            Err(Errno::IsDirectory.into())
        }
        Handle::Descriptor(_) => Ok(()),
        _ => Err(Errno::BadDescriptor.into()),
    }
}

fn read_stdin(
    host: &mut Host,
    memory: &mut GuestMemory<'_>,
    buffers: u32,
    count: u32,
) -> Result<u32> {
    for range in memory.buffers(buffers, count)? {
        let buffer = memory.buffer(range)?;
        if !buffer.is_empty() {
            let read = host.read_stdin(buffer)?;
            return Ok(u32::try_from(read).map_err(|_| Errno::Overflow)?);
        }
    }
    Ok(0)
}

fn read_at(
    host: &mut Host,
    memory: &mut GuestMemory<'_>,
    fd: u32,
    offset: u64,
    buffers: u32,
    count: u32,
) -> Result<u32> {
    let mut number = 0_u64;
    // A call without any room still says what is wrong with the descriptor.
    host.read_at(fd, offset, &mut [])?;
    for range in memory.buffers(buffers, count)? {
        let buffer = memory.buffer(range)?;
        let at = offset.checked_add(number).ok_or(Errno::Invalid)?;
        let read = host.read_at(fd, at, buffer)?;
        number += read as u64;
        if read < buffer.len() {
            break;
        }
    }
    Ok(u32::try_from(number).map_err(|_| Errno::Overflow)?)
}

fn writing(linker: &mut Linker<Guest>) -> wasmtime::Result<()> {
    linker.func_wrap(
        MODULE,
        "fd_write",
        |caller: C<'_>, fd: u32, buffers: u32, count: u32, written: u32| {
            call(caller, |host, memory| {
                let number = match host.handle(fd)? {
                    Handle::Standard(stream) => print(host, memory, *stream, buffers, count)?,
                    Handle::Descriptor(descriptor) => {
                        let offset = (!descriptor.append).then_some(descriptor.offset);
                        let (number, end) = write_at(host, memory, fd, offset, buffers, count)?;
                        host.descriptor_mut(fd)?.offset = end;
                        number
                    }
                    _ => return Err(Errno::BadDescriptor.into()),
                };
                Ok(memory.write_u32(written, number)?)
            })
        },
    )?;
    linker.func_wrap(
        MODULE,
        "fd_pwrite",
        |caller: C<'_>, fd: u32, buffers: u32, count: u32, offset: u64, written: u32| {
            call(caller, |host, memory| {
                check_seekable(host, fd)?;
                let (number, _) = write_at(host, memory, fd, Some(offset), buffers, count)?;
                Ok(memory.write_u32(written, number)?)
            })
        },
    )?;
    linker.func_wrap(
        MODULE,
        "fd_allocate",
        |caller: C<'_>, fd: u32, offset: u64, length: u64| {
            call(caller, |host, _| {
                check_seekable(host, fd)?;
                let end = offset.checked_add(length).ok_or(Errno::FileTooLarge)?;
                if length == 0 {
                    return Err(Errno::Invalid.into());
                }
                if end > host.stat(fd)?.size {
                    host.set_size(fd, end)?;
                }
                Ok(())
            })
        },
    )?;
    linker.func_wrap(
        MODULE,
        "fd_filestat_set_size",
        |caller: C<'_>, fd: u32, size: u64| {
            call(caller, |host, _| {
                check_seekable(host, fd)?;
                host.set_size(fd, size)
            })
        },
    )?;
    Ok(())
}

fn print(
    host: &mut Host,
    memory: &mut GuestMemory<'_>,
    stream: Stream,
    buffers: u32,
    count: u32,
) -> Result<u32> {
    let mut number = 0_usize;
    for range in memory.buffers(buffers, count)? {
        let buffer = memory.buffer(range)?;
        host.print(stream, buffer)?;
        number = number.saturating_add(buffer.len());
    }
    Ok(u32::try_from(number).map_err(|_| Errno::Overflow)?)
}

/// Writes all buffers one after the other; returns how much that was and where it ended. An error after
/// the first one is not told, as what was written before it is.
fn write_at(
    host: &mut Host,
    memory: &mut GuestMemory<'_>,
    fd: u32,
    offset: Option<u64>,
    buffers: u32,
    count: u32,
) -> Result<(u32, u64)> {
    let mut number = 0_u64;
    let mut end = match offset {
        Some(offset) => offset,
        None => host.stat(fd)?.size,
    };
    let ranges = memory.buffers(buffers, count)?;
    host.write_at(fd, end, &[])?;
    for range in ranges {
        let buffer = memory.buffer(range)?;
        let written = match offset {
            Some(_) => host.write_at(fd, end, buffer),
            None => host.append(fd, buffer).map(drop),
        };
        match written {
            Err(mc_wasi::Error::Guest(_)) if number > 0 => break,
            written => written?,
        }
        number += buffer.len() as u64;
        end = end
            .checked_add(buffer.len() as u64)
            .ok_or(Errno::FileTooLarge)?;
    }
    let number = u32::try_from(number).map_err(|_| Errno::Overflow)?;
    Ok((number, end))
}

fn metadata(linker: &mut Linker<Guest>) -> wasmtime::Result<()> {
    linker.func_wrap(
        MODULE,
        "fd_fdstat_get",
        |caller: C<'_>, fd: u32, at: u32| {
            call(caller, |host, memory| {
                let (kind, flags) = match host.handle(fd)? {
                    Handle::Stdin | Handle::Standard(_) => (CHARACTER_DEVICE, 0),
                    Handle::Descriptor(descriptor) => {
                        let flags = if descriptor.append { FLAG_APPEND } else { 0 };
                        (file_type(host.stat(fd)?.kind), flags)
                    }
                    _ => return Err(Errno::BadDescriptor.into()),
                };
                memory.bytes(at, 24)?.fill(0);
                memory.write_u8(at, kind)?;
                memory.write_u16(at + 2, flags)?;
                memory.write_u64(at + 8, ALL_RIGHTS)?;
                Ok(memory.write_u64(at + 16, ALL_RIGHTS)?)
            })
        },
    )?;
    linker.func_wrap(
        MODULE,
        "fd_fdstat_set_flags",
        |caller: C<'_>, fd: u32, flags: u32| {
            call(caller, |host, _| {
                let flags = u16::try_from(flags).map_err(|_| Errno::Invalid)?;
                if flags & !(FLAG_APPEND | FLAGS_IGNORED) != 0 {
                    return Err(Errno::Invalid.into());
                }
                match host.handle(fd)? {
                    Handle::Stdin | Handle::Standard(_) => {}
                    _ => host.descriptor_mut(fd)?.append = flags & FLAG_APPEND != 0,
                }
                Ok(())
            })
        },
    )?;
    linker.func_wrap(
        MODULE,
        "fd_fdstat_set_rights",
        |caller: C<'_>, fd: u32, _: u64, _: u64| {
            call(caller, |host, _| Ok(host.handle(fd).map(drop)?))
        },
    )?;
    linker.func_wrap(
        MODULE,
        "fd_filestat_get",
        |caller: C<'_>, fd: u32, at: u32| {
            call(caller, |host, memory| match host.handle(fd)? {
                Handle::Stdin | Handle::Standard(_) => {
                    memory.bytes(at, 64)?.fill(0);
                    Ok(memory.write_u8(at + 16, CHARACTER_DEVICE)?)
                }
                _ => write_stat(memory, at, host.stat(fd)?),
            })
        },
    )?;
    linker.func_wrap(
        MODULE,
        "fd_filestat_set_times",
        |caller: C<'_>, fd: u32, accessed: u64, modified: u64, flags: u32| {
            call(caller, |host, _| {
                let (accessed, modified) = new_times(accessed, modified, flags)?;
                host.set_times(fd, accessed, modified)
            })
        },
    )?;
    Ok(())
}

fn write_stat(memory: &mut GuestMemory<'_>, at: u32, stat: Stat) -> Result<()> {
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

fn new_times(accessed: u64, modified: u64, flags: u32) -> Result<(NewTime, NewTime), Errno> {
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

/// Fills a buffer with entries; the last one is cut off where the buffer ends, by which a guest can tell
/// that there are more. Cookies are numbers of entries; the names behind those of the last call are
/// remembered, so that a listing goes on where it was although entries were removed.
fn read_directory(host: &mut Host, buffer: &mut [u8], fd: u32, cookie: u64) -> Result<u32> {
    let mut after = match cookie {
        0 | 1 => None,
        2.. => match host.descriptor(fd)?.cookies.get(&cookie) {
            Some(name) => Some(name.clone()),
            None => name_at(host, fd, cookie)?,
        },
    };
    let mut cookies = std::collections::BTreeMap::new();
    if let Some(name) = &after {
        cookies.insert(cookie, name.clone());
    }
    let (mut next, mut used) = (cookie, 0);
    while used < buffer.len() {
        let (name, node, kind) = match next {
            0 => (".".to_owned(), host.stat(fd)?.node, FileKind::Directory),
            1 => ("..".to_owned(), host.parent(fd)?, FileKind::Directory),
            _ => match host.entry_after(fd, after.as_deref())? {
                None => break,
                Some(entry) => {
                    after = Some(entry.name.clone());
                    cookies.insert(next + 1, entry.name.clone());
                    (entry.name, entry.node, entry.kind)
                }
            },
        };
        next += 1;
        let mut entry = [0; DIRENT_BYTES].to_vec();
        let length = u32::try_from(name.len()).map_err(|_| Errno::Overflow)?;
        let mut fields = GuestMemory::new(&mut entry);
        fields.write_u64(0, next)?;
        fields.write_u64(8, node.0)?;
        fields.write_u32(16, length)?;
        fields.write_u8(20, file_type(kind))?;
        entry.extend(name.as_bytes());
        let room = buffer.get_mut(used..).unwrap_or_default();
        let fits = entry.len().min(room.len());
        let (room, _) = room.split_at_mut(fits);
        room.copy_from_slice(entry.get(..fits).unwrap_or_default());
        used += fits;
    }
    host.descriptor_mut(fd)?.cookies = cookies;
    Ok(u32::try_from(used).map_err(|_| Errno::Overflow)?)
}

/// The name of an entry by its number, for a guest that goes back in a listing.
fn name_at(host: &mut Host, fd: u32, cookie: u64) -> Result<Option<String>> {
    let mut after = None;
    for _ in 2..cookie {
        match host.entry_after(fd, after.as_deref())? {
            Some(entry) => after = Some(entry.name),
            None => break,
        }
    }
    Ok(after)
}

pub(super) fn add_paths(linker: &mut Linker<Guest>) -> wasmtime::Result<()> {
    opening(linker)?;
    one_path(linker)?;
    two_paths(linker)
}

fn opening(linker: &mut Linker<Guest>) -> wasmtime::Result<()> {
    linker.func_wrap(
        MODULE,
        "path_open",
        |caller: C<'_>,
         fd: u32,
         lookup: u32,
         path: u32,
         length: u32,
         open: u32,
         rights: u64,
         _inherited: u64,
         flags: u32,
         at: u32| {
            call(caller, |host, memory| {
                let path = memory.text(path, length)?;
                memory.bytes(at, 4)?;
                let how = how(lookup, open, rights, flags)?;
                let opened = host.open_at(fd, &path, how)?;
                Ok(memory.write_u32(at, opened)?)
            })
        },
    )?;
    Ok(())
}

fn how(lookup: u32, open: u32, rights: u64, flags: u32) -> Result<Opening, Errno> {
    let (open, flags) = (
        u16::try_from(open).map_err(|_| Errno::Invalid)?,
        u16::try_from(flags).map_err(|_| Errno::Invalid)?,
    );
    let truncate = open & OPEN_TRUNCATE != 0;
    let write = truncate || rights & (RIGHT_WRITE | RIGHT_ALLOCATE) != 0;
    let directory = open & OPEN_DIRECTORY != 0;
    Ok(Opening {
        flags: OpenFlags {
            create: open & OPEN_CREATE != 0,
            directory,
            exclusive: open & OPEN_EXCLUSIVE != 0,
            truncate,
            follow: lookup & FOLLOW != 0,
            write: write && !directory,
        },
        read: rights & (RIGHT_READ | RIGHT_READ_DIRECTORY) != 0 || !write,
        write: write || directory || rights & RIGHT_READ_DIRECTORY != 0,
        append: flags & FLAG_APPEND != 0,
    })
}

fn one_path(linker: &mut Linker<Guest>) -> wasmtime::Result<()> {
    linker.func_wrap(
        MODULE,
        "path_create_directory",
        |caller: C<'_>, fd: u32, path: u32, length: u32| {
            call(caller, |host, memory| {
                host.create_directory(fd, &memory.text(path, length)?)
            })
        },
    )?;
    linker.func_wrap(
        MODULE,
        "path_remove_directory",
        |caller: C<'_>, fd: u32, path: u32, length: u32| {
            call(caller, |host, memory| {
                host.remove_directory(fd, &memory.text(path, length)?)
            })
        },
    )?;
    linker.func_wrap(
        MODULE,
        "path_unlink_file",
        |caller: C<'_>, fd: u32, path: u32, length: u32| {
            call(caller, |host, memory| {
                host.remove_file(fd, &memory.text(path, length)?)
            })
        },
    )?;
    linker.func_wrap(
        MODULE,
        "path_filestat_get",
        |caller: C<'_>, fd: u32, lookup: u32, path: u32, length: u32, at: u32| {
            call(caller, |host, memory| {
                let path = memory.text(path, length)?;
                let stat = host.stat_at(fd, &path, lookup & FOLLOW != 0)?;
                write_stat(memory, at, stat)
            })
        },
    )?;
    linker.func_wrap(
        MODULE,
        "path_filestat_set_times",
        |caller: C<'_>,
         fd: u32,
         lookup: u32,
         path: u32,
         length: u32,
         accessed: u64,
         modified: u64,
         flags: u32| {
            call(caller, |host, memory| {
                let path = memory.text(path, length)?;
                let (accessed, modified) = new_times(accessed, modified, flags)?;
                host.set_times_at(fd, &path, lookup & FOLLOW != 0, accessed, modified)
            })
        },
    )?;
    linker.func_wrap(
        MODULE,
        "path_readlink",
        |caller: C<'_>, fd: u32, path: u32, length: u32, at: u32, room: u32, used: u32| {
            call(caller, |host, memory| {
                let target = host.read_link(fd, &memory.text(path, length)?)?;
                let length = u32::try_from(target.len()).map_err(|_| Errno::Overflow)?;
                let fits = length.min(room);
                let bytes = target.as_bytes().get(..fits as usize).unwrap_or_default();
                memory.write(at, bytes)?;
                Ok(memory.write_u32(used, fits)?)
            })
        },
    )?;
    Ok(())
}

fn two_paths(linker: &mut Linker<Guest>) -> wasmtime::Result<()> {
    linker.func_wrap(
        MODULE,
        "path_link",
        |caller: C<'_>,
         old_fd: u32,
         lookup: u32,
         old: u32,
         old_length: u32,
         new_fd: u32,
         new: u32,
         new_length: u32| {
            call(caller, |host, memory| {
                let old = memory.text(old, old_length)?;
                let new = memory.text(new, new_length)?;
                host.link((old_fd, &old), lookup & FOLLOW != 0, (new_fd, &new))
            })
        },
    )?;
    linker.func_wrap(
        MODULE,
        "path_rename",
        |caller: C<'_>,
         old_fd: u32,
         old: u32,
         old_length: u32,
         new_fd: u32,
         new: u32,
         new_length: u32| {
            call(caller, |host, memory| {
                let old = memory.text(old, old_length)?;
                let new = memory.text(new, new_length)?;
                host.rename((old_fd, &old), (new_fd, &new))
            })
        },
    )?;
    linker.func_wrap(
        MODULE,
        "path_symlink",
        |caller: C<'_>, target: u32, target_length: u32, fd: u32, path: u32, length: u32| {
            call(caller, |host, memory| {
                let target = memory.text(target, target_length)?;
                let path = memory.text(path, length)?;
                host.symlink(fd, &target, &path)
            })
        },
    )?;
    Ok(())
}
