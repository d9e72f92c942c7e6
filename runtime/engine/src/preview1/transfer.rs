//! Reading and writing.

use super::{
    call::{C, MODULE, call},
    descriptors::{check_has_offset, check_seekable},
    guest_memory::GuestMemory,
};
use crate::guest::Guest;
use mc_types::LogStream;
use mc_wasi::{Errno, Handle, Host, Result, Status};
use wasmtime::Linker;

pub(super) fn add(linker: &mut Linker<Guest>) -> wasmtime::Result<()> {
    reading(linker)?;
    writing(linker)
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
                let offset = seek(host, fd, by, whence)?;
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

/// Moves the offset of a descriptor; returns the new one.
pub(super) fn seek(host: &mut Host, fd: u32, by: i64, whence: u32) -> Result<u64> {
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
    Ok(offset)
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
                        let appends = descriptor.status.contains(Status::APPEND);
                        let offset = (!appends).then_some(descriptor.offset);
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
                check_has_offset(host, fd)?;
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
                check_has_offset(host, fd)?;
                let end = offset.checked_add(length).ok_or(Errno::FileTooLarge)?;
                if length == 0 {
                    return Err(Errno::Invalid.into());
                }
                host.allocate(fd, end)
            })
        },
    )?;
    linker.func_wrap(
        MODULE,
        "fd_filestat_set_size",
        |caller: C<'_>, fd: u32, size: u64| {
            call(caller, |host, _| match host.handle(fd)? {
                Handle::Stdin | Handle::Standard(_) => Err(Errno::Invalid.into()),
                _ => host.set_size(fd, size),
            })
        },
    )?;
    Ok(())
}

fn print(
    host: &mut Host,
    memory: &mut GuestMemory<'_>,
    stream: LogStream,
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

/// Writes all buffers one after the other; returns how much was written, and where that ended. An error after the first
/// buffer is not reported; what was written before it is.
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
