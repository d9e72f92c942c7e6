//! `wasi_snapshot_preview1`: between a core module's memory and the guest's world.

mod descriptors;
mod guest_memory;
mod listing;
mod paths;
mod poll;
mod process;
mod rights;
mod stat;
mod transfer;
mod unstable;

use crate::guest::{Call, Guest};
use guest_memory::GuestMemory;
use mc_wasi::{Errno, Error, Host, Stop};
use stat::Links;
use wasmtime::{Caller, Linker};

/// The module by which programs import it.
const MODULE: &str = "wasi_snapshot_preview1";
/// Those by which programs import it, or the snapshot before it.
pub(crate) const MODULES: [&str; 2] = [MODULE, unstable::MODULE];

/// Its functions.
pub(crate) const FUNCTIONS: &[&str] = &[
    "args_get",
    "args_sizes_get",
    "clock_res_get",
    "clock_time_get",
    "environ_get",
    "environ_sizes_get",
    "fd_advise",
    "fd_allocate",
    "fd_close",
    "fd_datasync",
    "fd_fdstat_get",
    "fd_fdstat_set_flags",
    "fd_fdstat_set_rights",
    "fd_filestat_get",
    "fd_filestat_set_size",
    "fd_filestat_set_times",
    "fd_pread",
    "fd_prestat_dir_name",
    "fd_prestat_get",
    "fd_pwrite",
    "fd_read",
    "fd_readdir",
    "fd_renumber",
    "fd_seek",
    "fd_sync",
    "fd_tell",
    "fd_write",
    "path_create_directory",
    "path_filestat_get",
    "path_filestat_set_times",
    "path_link",
    "path_open",
    "path_readlink",
    "path_remove_directory",
    "path_rename",
    "path_symlink",
    "path_unlink_file",
    "poll_oneoff",
    "proc_exit",
    "proc_raise",
    "random_get",
    "sched_yield",
    "sock_accept",
    "sock_recv",
    "sock_send",
    "sock_shutdown",
];

/// Whether an import, as module and name with a dot between them, is one of its functions, by its own module or by that
/// of the snapshot before it.
pub(crate) fn is_offered(import: &str) -> bool {
    let parts = import.split_once('.');
    parts.is_some_and(|(module, function)| is_module(module) && FUNCTIONS.contains(&function))
}

/// Whether programs import it by this module: by its own, or by that of the snapshot before it.
fn is_module(name: &str) -> bool {
    MODULES.contains(&name)
}

/// A module that calls.
type C<'a> = Caller<'a, Guest>;

/// All of its functions.
pub(crate) fn linker(engine: &wasmtime::Engine) -> wasmtime::Result<Linker<Guest>> {
    let mut linker = Linker::new(engine);
    process::add(&mut linker)?;
    descriptors::add(&mut linker)?;
    transfer::add(&mut linker)?;
    paths::add(&mut linker)?;
    poll::add(&mut linker)?;
    stat::add(&mut linker, MODULE, Links::Wide)?;
    unstable::add(&mut linker)?;
    Ok(linker)
}

/// Makes a call and gives its error number.
fn call(
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
fn call_plain<T>(
    caller: &mut Caller<'_, Guest>,
    f: impl FnOnce(&mut Host) -> Result<T, Stop>,
) -> wasmtime::Result<T> {
    let cx: Call<'_> = wasmtime::AsContextMut::as_context_mut(caller);
    Guest::call(cx, f)
}

/// The number of an error.
const fn number(errno: Errno) -> i32 {
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
