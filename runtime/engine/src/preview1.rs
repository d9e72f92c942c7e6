//! `wasi_snapshot_preview1`: between a core module's memory and the guest's world.

mod call;
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

use crate::guest::Guest;
use call::MODULE;
use stat::Links;
use wasmtime::Linker;

/// The modules by which programs import it, or the snapshot before it.
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
