//! Descriptors themselves.

use super::{
    call::{C, MODULE, call},
    listing::read_directory,
    rights,
    stat::{CHARACTER_DEVICE, file_type, new_times},
};
use crate::guest::Guest;
use mc_wasi::{Errno, FileKind, Handle, Host, Result, Status};
use wasmtime::Linker;

/// The only directory that is open in the beginning.
const ROOT: &[u8] = b"/";

pub(super) fn add(linker: &mut Linker<Guest>) -> wasmtime::Result<()> {
    descriptors(linker)?;
    status(linker)?;
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

/// Refuses streams, which have no offset.
pub(super) fn check_has_offset(host: &Host, fd: u32) -> Result<()> {
    match host.handle(fd)? {
        Handle::Stdin | Handle::Standard(_) => Err(Errno::InvalidSeek.into()),
        Handle::Descriptor(_) => Ok(()),
        _ => Err(Errno::BadDescriptor.into()),
    }
}

/// Refuses streams and directories.
pub(super) fn check_seekable(host: &Host, fd: u32) -> Result<()> {
    check_has_offset(host, fd)?;
    if host.stat(fd)?.kind == FileKind::Directory {
        return Err(Errno::IsDirectory.into());
    }
    Ok(())
}

fn status(linker: &mut Linker<Guest>) -> wasmtime::Result<()> {
    linker.func_wrap(
        MODULE,
        "fd_fdstat_get",
        |caller: C<'_>, fd: u32, at: u32| {
            call(caller, |host, memory| {
                let (kind, status, [base, inheriting]) = match host.handle(fd)? {
                    Handle::Stdin => (CHARACTER_DEVICE, Status::NONE, rights::of_file(true, false)),
                    Handle::Standard(_) => {
                        (CHARACTER_DEVICE, Status::NONE, rights::of_file(false, true))
                    }
                    Handle::Descriptor(descriptor) => {
                        let kind = host.stat(fd)?.kind;
                        let rights = match kind {
                            FileKind::Directory => rights::of_directory(),
                            _ => rights::of_file(descriptor.read, descriptor.write),
                        };
                        (file_type(kind), descriptor.status, rights)
                    }
                    _ => return Err(Errno::BadDescriptor.into()),
                };
                memory.bytes(at, 24)?.fill(0);
                memory.write_u8(at, kind)?;
                memory.write_u16(at + 2, status.bits().into())?;
                memory.write_u64(at + 8, base)?;
                Ok(memory.write_u64(at + 16, inheriting)?)
            })
        },
    )?;
    linker.func_wrap(
        MODULE,
        "fd_fdstat_set_flags",
        |caller: C<'_>, fd: u32, flags: u32| {
            call(caller, |host, _| {
                let status = Status::from_bits(flags).ok_or(Errno::Invalid)?;
                match host.handle(fd)? {
                    Handle::Stdin | Handle::Standard(_) => {}
                    _ => {
                        let descriptor = host.descriptor_mut(fd)?;
                        descriptor.status = descriptor.status.changed(status);
                    }
                }
                Ok(())
            })
        },
    )?;
    Ok(())
}

fn metadata(linker: &mut Linker<Guest>) -> wasmtime::Result<()> {
    linker.func_wrap(
        MODULE,
        "fd_fdstat_set_rights",
        |caller: C<'_>, fd: u32, _: u64, _: u64| {
            call(caller, |host, _| {
                host.handle(fd)?;
                Err(Errno::Unsupported.into())
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
