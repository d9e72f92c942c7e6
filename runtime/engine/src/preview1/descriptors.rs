//! Descriptors themselves.

use super::{
    C, MODULE, call,
    listing::read_directory,
    stat::{file_type, new_times, write_stat},
};
use crate::guest::Guest;
use mc_wasi::{Errno, FileKind, Handle, Host, Result};
use wasmtime::Linker;

/// All rights that there are. They are ignored, as later previews have none.
const ALL_RIGHTS: u64 = (1 << 30) - 1;
pub(super) const FLAG_APPEND: u16 = 1;
/// Synchronising, and not blocking: both hold for everything that is only memory.
const FLAGS_IGNORED: u16 = 0b1_1110;
/// The only directory that is open in the beginning.
const ROOT: &[u8] = b"/";
const CHARACTER_DEVICE: u8 = 2;

pub(super) fn add(linker: &mut Linker<Guest>) -> wasmtime::Result<()> {
    descriptors(linker)?;
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

/// Refuses what has no offset.
pub(super) fn check_seekable(host: &Host, fd: u32) -> Result<()> {
    match host.handle(fd)? {
        Handle::Stdin | Handle::Standard(_) => Err(Errno::InvalidSeek.into()),
        Handle::Descriptor(_) if host.stat(fd)?.kind == FileKind::Directory => {
            Err(Errno::IsDirectory.into())
        }
        Handle::Descriptor(_) => Ok(()),
        _ => Err(Errno::BadDescriptor.into()),
    }
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
