//! How the functions of all interfaces call the guest's world.

use super::{
    form::Form,
    types::{ErrorCode, IoError, StreamError},
};
use crate::guest::{Call, Guest};
use mc_wasi::{Error, Host, Stop};

/// What a function of an interface returns.
pub(super) type Returned<T> = wasmtime::Result<(T,)>;

/// A call that cannot fail but by stopping the guest.
pub(super) fn call<T>(cx: Call<'_>, f: impl FnOnce(&mut Host) -> Result<T, Stop>) -> Returned<T> {
    Ok((Guest::call(cx, f)?,))
}

/// A call that may fail with an error code.
pub(super) fn attempt<T>(
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
pub(super) fn stream<F: Form, T>(
    cx: Call<'_>,
    f: impl FnOnce(&mut Host) -> Result<Result<T, mc_wasi::StreamError>, Stop>,
) -> Returned<Result<T, StreamError<F::Own<IoError>>>> {
    call(cx, |host| {
        Ok(f(host)?.map_err(|error| StreamError::of(error, F::own::<IoError>)))
    })
}
