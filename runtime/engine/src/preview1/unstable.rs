//! `wasi_unstable`, the snapshot before preview 1, which programs of 2019 and 2020 import. Its calls are those of
//! preview 1, except for four whose arguments or results have another layout in memory.

use super::{
    call::{self, C, call},
    poll::{Layout, poll},
    stat::{self, Links},
    transfer::seek,
};
use crate::guest::Guest;
use wasmtime::Linker;

/// The module by which programs import it.
pub(super) const MODULE: &str = "wasi_unstable";

const SUBSCRIPTION: Layout = Layout {
    bytes: 56,
    clock: 24,
    timeout: 32,
    flags: 48,
};

/// Adds it to what has all of preview 1.
pub(super) fn add(linker: &mut Linker<Guest>) -> wasmtime::Result<()> {
    linker.alias_module(call::MODULE, MODULE)?;
    linker.allow_shadowing(true);
    positions(linker)?;
    stat::add(linker, MODULE, Links::Narrow)?;
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
