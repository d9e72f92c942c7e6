//! Paths.

use super::{
    call::{C, MODULE, call},
    rights,
    stat::{FOLLOW, new_times},
};
use crate::guest::Guest;
use mc_wasi::{Errno, Host, OpenFlags, Opening, Result, Status};
use wasmtime::Linker;

const OPEN_CREATE: u16 = 1;
const OPEN_DIRECTORY: u16 = 2;
const OPEN_EXCLUSIVE: u16 = 4;
const OPEN_TRUNCATE: u16 = 8;
const OPEN_ALL: u16 = 15;

pub(super) fn add(linker: &mut Linker<Guest>) -> wasmtime::Result<()> {
    opening(linker)?;
    one_path(linker)?;
    two_paths(linker)
}

fn opening(linker: &mut Linker<Guest>) -> wasmtime::Result<()> {
    linker.func_wrap(
        MODULE,
        "path_open",
        |caller: C<'_>,
         fd: u32,
         lookup: u32,
         path: u32,
         length: u32,
         open: u32,
         rights: u64,
         _inherited: u64,
         flags: u32,
         at: u32| {
            call(caller, |host, memory| {
                let path = memory.text(path, length)?;
                memory.bytes(at, 4)?;
                let how = how(lookup, open, rights, flags)?;
                let opened = host.open_at(fd, &path, how)?;
                Ok(memory.write_u32(at, opened)?)
            })
        },
    )?;
    Ok(())
}

fn how(lookup: u32, open: u32, rights: u64, flags: u32) -> Result<Opening, Errno> {
    let open = u16::try_from(open).map_err(|_| Errno::Invalid)?;
    if open & !OPEN_ALL != 0 {
        return Err(Errno::Invalid);
    }
    Ok(Opening {
        flags: OpenFlags {
            create: open & OPEN_CREATE != 0,
            directory: open & OPEN_DIRECTORY != 0,
            exclusive: open & OPEN_EXCLUSIVE != 0,
            truncate: open & OPEN_TRUNCATE != 0,
            follow: lookup & FOLLOW != 0,
            write: rights & rights::WRITE != 0,
        },
        read: rights & rights::READ != 0,
        mutate: true,
        status: Status::from_bits(flags).ok_or(Errno::Invalid)?,
    })
}

/// What does something with one path and returns nothing.
type PathCall = fn(&mut Host, u32, &str) -> Result<()>;

fn one_path(linker: &mut Linker<Guest>) -> wasmtime::Result<()> {
    let calls: [(&str, PathCall); 3] = [
        ("path_create_directory", Host::create_directory),
        ("path_remove_directory", Host::remove_directory),
        ("path_unlink_file", Host::remove_file),
    ];
    for (name, path_call) in calls {
        linker.func_wrap(
            MODULE,
            name,
            move |caller: C<'_>, fd: u32, path: u32, length: u32| {
                call(caller, |host, memory| {
                    path_call(host, fd, &memory.text(path, length)?)
                })
            },
        )?;
    }
    linker.func_wrap(
        MODULE,
        "path_filestat_set_times",
        |caller: C<'_>,
         fd: u32,
         lookup: u32,
         path: u32,
         length: u32,
         accessed: u64,
         modified: u64,
         flags: u32| {
            call(caller, |host, memory| {
                let path = memory.text(path, length)?;
                let (accessed, modified) = new_times(accessed, modified, flags)?;
                host.set_times_at(fd, &path, lookup & FOLLOW != 0, accessed, modified)
            })
        },
    )?;
    linker.func_wrap(
        MODULE,
        "path_readlink",
        |caller: C<'_>, fd: u32, path: u32, length: u32, at: u32, room: u32, used: u32| {
            call(caller, |host, memory| {
                let target = host.read_link(fd, &memory.text(path, length)?)?;
                let length = u32::try_from(target.len()).map_err(|_| Errno::Overflow)?;
                let fits = length.min(room);
                let bytes = target.as_bytes().get(..fits as usize).unwrap_or_default();
                memory.write(at, bytes)?;
                Ok(memory.write_u32(used, fits)?)
            })
        },
    )?;
    Ok(())
}

fn two_paths(linker: &mut Linker<Guest>) -> wasmtime::Result<()> {
    linker.func_wrap(
        MODULE,
        "path_link",
        |caller: C<'_>,
         old_fd: u32,
         lookup: u32,
         old: u32,
         old_length: u32,
         new_fd: u32,
         new: u32,
         new_length: u32| {
            call(caller, |host, memory| {
                let old = memory.text(old, old_length)?;
                let new = memory.text(new, new_length)?;
                host.link((old_fd, &old), lookup & FOLLOW != 0, (new_fd, &new))
            })
        },
    )?;
    linker.func_wrap(
        MODULE,
        "path_rename",
        |caller: C<'_>,
         old_fd: u32,
         old: u32,
         old_length: u32,
         new_fd: u32,
         new: u32,
         new_length: u32| {
            call(caller, |host, memory| {
                let old = memory.text(old, old_length)?;
                let new = memory.text(new, new_length)?;
                host.rename((old_fd, &old), (new_fd, &new))
            })
        },
    )?;
    linker.func_wrap(
        MODULE,
        "path_symlink",
        |caller: C<'_>, target: u32, target_length: u32, fd: u32, path: u32, length: u32| {
            call(caller, |host, memory| {
                let target = memory.text(target, target_length)?;
                let path = memory.text(path, length)?;
                host.symlink(fd, &target, &path)
            })
        },
    )?;
    Ok(())
}
