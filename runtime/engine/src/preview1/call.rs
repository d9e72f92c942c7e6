//! What all functions call the guest's world by.

use super::guest_memory::GuestMemory;
use crate::guest::{Call, Guest};
use mc_wasi::{Errno, Error, Host, Stop};
use wasmtime::Caller;

/// The module by which programs import preview 1.
pub(super) const MODULE: &str = "wasi_snapshot_preview1";
/// A module that calls.
pub(super) type C<'a> = Caller<'a, Guest>;

/// Makes a call and returns its error number.
pub(super) fn call(
    mut caller: Caller<'_, Guest>,
    f: impl FnOnce(&mut Host, &mut GuestMemory<'_>) -> mc_wasi::Result<()>,
) -> wasmtime::Result<i32> {
    let own = Guest::own_fuel(&caller);
    let Some(memory) = caller.data().memory else {
        return Err(Stop::Trap("a call of a module that exports no memory").into());
    };
    let (bytes, guest) = memory.data_and_store_mut(&mut caller);
    guest.host.enter(own);
    let result = f(&mut guest.host, &mut GuestMemory::new(bytes));
    guest.settle(own)?;
    match result {
        Ok(()) => Ok(0),
        Err(Error::Guest(errno)) => Ok(number(errno)),
        Err(Error::Stop(stop)) => Err(stop.into()),
    }
}

/// A call that needs no memory.
pub(super) fn call_plain<T>(
    caller: &mut Caller<'_, Guest>,
    f: impl FnOnce(&mut Host) -> Result<T, Stop>,
) -> wasmtime::Result<T> {
    let cx: Call<'_> = wasmtime::AsContextMut::as_context_mut(caller);
    Guest::call(cx, f)
}

/// The number of an error.
pub(super) const fn number(errno: Errno) -> i32 {
    match errno {
        Errno::Access => 2,
        Errno::BadDescriptor => 8,
        Errno::Busy => 10,
        Errno::Exist => 20,
        Errno::FileTooLarge => 22,
        Errno::IllegalByteSequence => 25,
        Errno::Invalid => 28,
        Errno::Io => 29,
        Errno::IsDirectory => 31,
        Errno::Loop => 32,
        Errno::TooManyHandles => 33,
        Errno::NameTooLong => 37,
        Errno::NoEntry => 44,
        Errno::InsufficientSpace => 51,
        Errno::NotDirectory => 54,
        Errno::NotEmpty => 55,
        Errno::NotSocket => 57,
        Errno::Unsupported => 58,
        Errno::Overflow => 61,
        Errno::NotPermitted => 63,
        Errno::Pipe => 64,
        Errno::ReadOnly => 69,
        Errno::InvalidSeek => 70,
    }
}
