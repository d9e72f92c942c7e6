//! WASI 0.2: between a component's values and the guest's world.

mod cli;
mod clocks;
mod denied;
mod filesystem;
mod io;
mod random;
mod types;

pub(crate) use denied::{deny, is_denied};

use crate::guest::{Call, Guest};
use mc_checkpoint::meter;
use mc_wasi::{Error, Host, Stop};
use types::{ErrorCode, StreamError};
use wasmtime::component::{Linker, WasmList};

/// What a function of an interface returns.
type Returned<T> = wasmtime::Result<(T,)>;

/// Every interface that is always there.
pub(crate) fn linker(engine: &wasmtime::Engine) -> wasmtime::Result<Linker<Guest>> {
    let mut linker = Linker::new(engine);
    linker.root().func_wrap(
        meter::ATTACH_IMPORT,
        |cx: Call<'_>, (page,): (WasmList<u8>,)| Ok((Guest::attach(cx, page),)),
    )?;
    io::add(&mut linker)?;
    cli::add(&mut linker)?;
    clocks::add(&mut linker)?;
    random::add(&mut linker)?;
    filesystem::add(&mut linker)?;
    Ok(linker)
}

/// A call that cannot fail but by stopping the guest.
fn call<T>(cx: Call<'_>, f: impl FnOnce(&mut Host) -> Result<T, Stop>) -> Returned<T> {
    Ok((Guest::call(cx, f)?,))
}

/// A call that may fail with an error code.
fn attempt<T>(
    cx: Call<'_>,
    f: impl FnOnce(&mut Host) -> mc_wasi::Result<T>,
) -> Returned<Result<T, ErrorCode>> {
    call(cx, |host| match f(host) {
        Ok(value) => Ok(Ok(value)),
        Err(Error::Guest(errno)) => Ok(Err(errno.into())),
        Err(Error::Stop(stop)) => Err(stop),
    })
}

/// A call on a stream.
fn stream<T>(
    cx: Call<'_>,
    f: impl FnOnce(&mut Host) -> Result<Result<T, mc_wasi::StreamError>, Stop>,
) -> Returned<Result<T, StreamError>> {
    call(cx, |host| Ok(f(host)?.map_err(Into::into)))
}
