//! `wasi_unstable`, the snapshot before preview 1, which programs of 2019 and 2020 import. Its calls are those of
//! preview 1, but for four whose arguments or results lie otherwise in memory.

use super::{
    C, call,
    guest_memory::GuestMemory,
    paths::FOLLOW,
    poll::{Layout, poll},
    stat::{CHARACTER_DEVICE, file_type},
    transfer::seek,
};
use crate::guest::Guest;
use mc_wasi::{Handle, Result, Stat};
use wasmtime::Linker;

/// The module by which programs import it.
pub(super) const MODULE: &str = "wasi_unstable";

const STAT_BYTES: u32 = 56;
const SUBSCRIPTION: Layout = Layout {
    bytes: 56,
    clock: 24,
    timeout: 32,
    flags: 48,
};

/// Adds it to what has all of preview 1.
pub(super) fn add(linker: &mut Linker<Guest>) -> wasmtime::Result<()> {
    linker.alias_module(super::MODULE, MODULE)?;
    linker.allow_shadowing(true);
    positions(linker)?;
    metadata(linker)?;
    linker.allow_shadowing(false);
    Ok(())
}

fn positions(linker: &mut Linker<Guest>) -> wasmtime::Result<()> {
    linker.func_wrap(
        MODULE,
        "fd_seek",
        |caller: C<'_>, fd: u32, by: i64, whence: u32, at: u32| {
            call(caller, |host, memory| {
                // From here, from the end, from the beginning; later, the beginning came first.
                let whence = match whence {
                    0 => 1,
                    1 => 2,
                    2 => 0,
                    other => other,
                };
                let offset = seek(host, fd, by, whence)?;
                Ok(memory.write_u64(at, offset)?)
            })
        },
    )?;
    linker.func_wrap(
        MODULE,
        "poll_oneoff",
        |caller: C<'_>, subscriptions: u32, events: u32, count: u32, ready: u32| {
            call(caller, |host, memory| {
                let lists = (subscriptions, events);
                let number = poll(host, memory, &SUBSCRIPTION, lists, count)?;
                Ok(memory.write_u32(ready, number)?)
            })
        },
    )?;
    Ok(())
}

fn metadata(linker: &mut Linker<Guest>) -> wasmtime::Result<()> {
    linker.func_wrap(
        MODULE,
        "fd_filestat_get",
        |caller: C<'_>, fd: u32, at: u32| {
            call(caller, |host, memory| match host.handle(fd)? {
                Handle::Stdin | Handle::Standard(_) => {
                    memory.bytes(at, STAT_BYTES)?.fill(0);
                    Ok(memory.write_u8(at + 16, CHARACTER_DEVICE)?)
                }
                _ => write_stat(memory, at, host.stat(fd)?),
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
    Ok(())
}

/// As preview 1 has it, but for the number of links, which has 32 bits and lies before the size.
fn write_stat(memory: &mut GuestMemory<'_>, at: u32, stat: Stat) -> Result<()> {
    memory.bytes(at, STAT_BYTES)?.fill(0);
    memory.write_u64(at, 1)?;
    memory.write_u64(at + 8, stat.node.0)?;
    memory.write_u8(at + 16, file_type(stat.kind))?;
    memory.write_u32(at + 20, u32::try_from(stat.links).unwrap_or(u32::MAX))?;
    memory.write_u64(at + 24, stat.size)?;
    memory.write_u64(at + 32, stat.accessed)?;
    memory.write_u64(at + 40, stat.modified)?;
    Ok(memory.write_u64(at + 48, stat.changed)?)
}
