//! Waiting, which takes no time.

use super::{
    call::{self, MODULE, call},
    guest_memory::GuestMemory,
};
use crate::guest::Guest;
use mc_wasi::{Errno, Handle, Host, Result};
use wasmtime::{Caller, Linker};

/// The layout of a subscription: its length, and the offsets of the clock, the timeout and the flags.
pub(super) struct Layout {
    pub(super) bytes: u32,
    pub(super) clock: u32,
    pub(super) timeout: u32,
    pub(super) flags: u32,
}

const LAYOUT: Layout = Layout {
    bytes: 48,
    clock: 16,
    timeout: 24,
    flags: 40,
};
const EVENT_BYTES: u32 = 32;
/// Most things to wait for at a time.
const MAX_SUBSCRIPTIONS: u32 = 4096;
const CLOCK: u8 = 0;
const READ: u8 = 1;
const WRITE: u8 = 2;
const MONOTONIC: u32 = 1;
const ABSOLUTE: u16 = 1;

/// What a guest waits for.
struct Subscription {
    userdata: u64,
    kind: u8,
    /// When it is ready, on the monotonic clock.
    ready: u64,
    error: Option<Errno>,
}

pub(super) fn add(linker: &mut Linker<Guest>) -> wasmtime::Result<()> {
    linker.func_wrap(
        MODULE,
        "poll_oneoff",
        |caller: Caller<'_, Guest>, subscriptions: u32, events: u32, count: u32, ready: u32| {
            call(caller, |host, memory| {
                let number = poll(host, memory, &LAYOUT, (subscriptions, events), count)?;
                Ok(memory.write_u32(ready, number)?)
            })
        },
    )?;
    Ok(())
}

/// Waits for the first of `count` subscriptions at one address, and writes the ready ones to another; returns their
/// number.
pub(super) fn poll(
    host: &mut Host,
    memory: &mut GuestMemory<'_>,
    layout: &Layout,
    (subscriptions, events): (u32, u32),
    count: u32,
) -> Result<u32> {
    if count == 0 || count > MAX_SUBSCRIPTIONS {
        return Err(Errno::Invalid.into());
    }
    let mut waiting = Vec::new();
    for index in 0..count {
        let at = subscriptions.checked_add(index * layout.bytes);
        waiting.push(read(host, memory, layout, at.ok_or(Errno::Invalid)?)?);
    }
    let first = waiting.iter().map(|subscription| subscription.ready).min();
    host.sleep_until(first.unwrap_or_default());
    let now = host.monotonic_now();
    let (mut number, mut at) = (0, events);
    for subscription in waiting {
        if subscription.ready > now {
            continue;
        }
        memory.bytes(at, EVENT_BYTES)?.fill(0);
        memory.write_u64(at, subscription.userdata)?;
        let error = subscription.error.map_or(0, call::number);
        memory.write_u16(at + 8, u16::try_from(error).unwrap_or_default())?;
        memory.write_u8(at + 10, subscription.kind)?;
        if subscription.kind != CLOCK {
            memory.write_u64(at + 16, 1)?;
        }
        number += 1;
        at = at.checked_add(EVENT_BYTES).ok_or(Errno::Invalid)?;
    }
    Ok(number)
}

fn read(
    host: &Host,
    memory: &mut GuestMemory<'_>,
    layout: &Layout,
    at: u32,
) -> Result<Subscription> {
    memory.bytes(at, layout.bytes)?;
    let kind = memory.u8(at + 8)?;
    let mut subscription = Subscription {
        userdata: memory.u64(at)?,
        kind,
        ready: 0,
        error: None,
    };
    match kind {
        CLOCK => {
            let clock = memory.u32(at + layout.clock)?;
            let timeout = memory.u64(at + layout.timeout)?;
            let now = if clock == MONOTONIC {
                host.monotonic_now()
            } else {
                host.wall_now()
            };
            let rest = if memory.u16(at + layout.flags)? & ABSOLUTE == 0 {
                timeout
            } else {
                timeout.saturating_sub(now)
            };
            subscription.ready = host.monotonic_now().saturating_add(rest);
            if clock > MONOTONIC {
                subscription.error = Some(Errno::Invalid);
                subscription.ready = 0;
            }
        }
        READ | WRITE => {
            let held = host.handle(memory.u32(at + 16)?);
            subscription.error = match held {
                Ok(Handle::Descriptor(_) | Handle::Stdin | Handle::Standard(_)) => None,
                Ok(_) | Err(_) => Some(Errno::BadDescriptor),
            };
        }
        _ => return Err(Errno::Invalid.into()),
    }
    Ok(subscription)
}
