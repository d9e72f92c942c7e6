//! Arguments, environment, clocks, random numbers, exit.

use super::{
    call::{MODULE, call, call_plain},
    guest_memory::GuestMemory,
};
use crate::guest::Guest;
use mc_wasi::{Errno, Result, Stop};
use wasmtime::{Caller, Linker};

const REALTIME: u32 = 0;
const MONOTONIC: u32 = 1;
/// Time on processors, of a process and of a thread. C's `clock` of 2019 and 2020 reads the former, and programs that
/// wait for it to pass would wait for ever.
const PROCESS_CPU: u32 = 2;
const THREAD_CPU: u32 = 3;

pub(super) fn add(linker: &mut Linker<Guest>) -> wasmtime::Result<()> {
    arguments(linker)?;
    linker.func_wrap(
        MODULE,
        "clock_time_get",
        |caller: Caller<'_, Guest>, clock: u32, _: u64, at: u32| {
            call(caller, |host, memory| {
                let time = match clock {
                    REALTIME => host.wall_now(),
                    MONOTONIC => host.monotonic_now(),
                    PROCESS_CPU | THREAD_CPU => host.computed_now(),
                    _ => return Err(Errno::Invalid.into()),
                };
                Ok(memory.write_u64(at, time)?)
            })
        },
    )?;
    linker.func_wrap(
        MODULE,
        "clock_res_get",
        |caller: Caller<'_, Guest>, clock: u32, at: u32| {
            call(caller, |_, memory| match clock {
                REALTIME..=THREAD_CPU => Ok(memory.write_u64(at, 1)?),
                _ => Err(Errno::Invalid.into()),
            })
        },
    )?;
    linker.func_wrap(
        MODULE,
        "random_get",
        |caller: Caller<'_, Guest>, at: u32, length: u32| {
            call(caller, |host, memory| {
                Ok(host.fill_random(memory.bytes(at, length)?)?)
            })
        },
    )?;
    linker.func_wrap(MODULE, "sched_yield", |caller: Caller<'_, Guest>| {
        call(caller, |_, _| Ok(()))
    })?;
    linker.func_wrap(
        MODULE,
        "proc_exit",
        |mut caller: Caller<'_, Guest>, code: u32| -> wasmtime::Result<()> {
            // As POSIX has it, the low eight bits count.
            let code = code.to_le_bytes()[0];
            call_plain(&mut caller, |_| Err(Stop::Exit(code)))
        },
    )?;
    linker.func_wrap(MODULE, "proc_raise", |caller: Caller<'_, Guest>, _: u32| {
        call(caller, |_, _| Err(Errno::Unsupported.into()))
    })?;
    for name in ["sock_accept", "sock_recv", "sock_send", "sock_shutdown"] {
        deny_socket(linker, name)?;
    }
    Ok(())
}

/// Calls on sockets. A guest never has a socket: whatever it holds is something else.
fn deny_socket(linker: &mut Linker<Guest>, name: &'static str) -> wasmtime::Result<()> {
    let denied = |caller: Caller<'_, Guest>, fd: u32| {
        call(caller, |host, _| {
            host.handle(fd)?;
            Err(Errno::NotSocket.into())
        })
    };
    match name {
        "sock_accept" => linker.func_wrap(
            MODULE,
            name,
            move |caller: Caller<'_, Guest>, fd: u32, _: u32, _: u32| denied(caller, fd),
        )?,
        "sock_recv" => linker.func_wrap(
            MODULE,
            name,
            move |caller: Caller<'_, Guest>, fd: u32, _: u32, _: u32, _: u32, _: u32, _: u32| {
                denied(caller, fd)
            },
        )?,
        "sock_send" => linker.func_wrap(
            MODULE,
            name,
            move |caller: Caller<'_, Guest>, fd: u32, _: u32, _: u32, _: u32, _: u32| {
                denied(caller, fd)
            },
        )?,
        _ => linker.func_wrap(
            MODULE,
            name,
            move |caller: Caller<'_, Guest>, fd: u32, _: u32| denied(caller, fd),
        )?,
    };
    Ok(())
}

fn arguments(linker: &mut Linker<Guest>) -> wasmtime::Result<()> {
    linker.func_wrap(
        MODULE,
        "args_sizes_get",
        |caller: Caller<'_, Guest>, count: u32, bytes: u32| {
            call(caller, |host, memory| {
                let args = host.args().iter().map(String::as_bytes);
                sizes(args, memory, count, bytes)
            })
        },
    )?;
    linker.func_wrap(
        MODULE,
        "args_get",
        |caller: Caller<'_, Guest>, pointers: u32, buffer: u32| {
            call(caller, |host, memory| {
                texts(host.args().iter().cloned(), memory, pointers, buffer)
            })
        },
    )?;
    linker.func_wrap(
        MODULE,
        "environ_sizes_get",
        |caller: Caller<'_, Guest>, count: u32, bytes: u32| {
            call(caller, |host, memory| {
                let pairs: Vec<_> = host.env().iter().map(pair).collect();
                sizes(pairs.iter().map(String::as_bytes), memory, count, bytes)
            })
        },
    )?;
    linker.func_wrap(
        MODULE,
        "environ_get",
        |caller: Caller<'_, Guest>, pointers: u32, buffer: u32| {
            call(caller, |host, memory| {
                texts(host.env().iter().map(pair), memory, pointers, buffer)
            })
        },
    )?;
    Ok(())
}

fn pair((name, value): &(String, String)) -> String {
    format!("{name}={value}")
}

/// How many texts there are, and how many bytes with a NUL after each.
fn sizes<'a>(
    texts: impl Iterator<Item = &'a [u8]>,
    memory: &mut GuestMemory<'_>,
    count: u32,
    bytes: u32,
) -> Result<()> {
    let (mut number, mut length) = (0_u32, 0_u32);
    for text in texts {
        number += 1;
        let text = u32::try_from(text.len()).map_err(|_| Errno::Overflow)?;
        length = length.checked_add(text + 1).ok_or(Errno::Overflow)?;
    }
    memory.write_u32(count, number)?;
    Ok(memory.write_u32(bytes, length)?)
}

/// The texts, one after the other with a NUL after each, and where each begins.
fn texts(
    texts: impl Iterator<Item = String>,
    memory: &mut GuestMemory<'_>,
    mut pointers: u32,
    mut buffer: u32,
) -> Result<()> {
    for text in texts {
        let mut bytes = text.into_bytes();
        bytes.push(0);
        memory.write_u32(pointers, buffer)?;
        memory.write(buffer, &bytes)?;
        pointers = pointers.checked_add(4).ok_or(Errno::Overflow)?;
        let length = u32::try_from(bytes.len()).map_err(|_| Errno::Overflow)?;
        buffer = buffer.checked_add(length).ok_or(Errno::Overflow)?;
    }
    Ok(())
}
