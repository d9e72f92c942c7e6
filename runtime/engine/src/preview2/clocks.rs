//! `wasi:clocks`

use super::{
    call::call,
    form::Form,
    package::Package,
    types::{Datetime, Pollable},
};
use crate::guest::{Call, Guest};
use wasmtime::component::{Linker, ResourceType};

/// `wasi:clocks`.
pub(super) struct Clocks;

impl Package for Clocks {
    const INTERFACES: &'static [&'static str] =
        &["wasi:clocks/monotonic-clock", "wasi:clocks/wall-clock"];

    fn add<F: Form>(linker: &mut Linker<Guest>) -> wasmtime::Result<()> {
        let mut monotonic = linker.instance("wasi:clocks/monotonic-clock@0.2.6")?;
        monotonic.resource(
            "pollable",
            ResourceType::host::<Pollable>(),
            Guest::drop_handle,
        )?;
        monotonic.func_wrap("now", |cx: Call<'_>, (): ()| {
            call(cx, |host| Ok(host.monotonic_now()))
        })?;
        monotonic.func_wrap("resolution", |cx: Call<'_>, (): ()| call(cx, |_| Ok(1_u64)))?;
        monotonic.func_wrap("subscribe-instant", |cx: Call<'_>, (when,): (u64,)| {
            call(cx, |host| Ok(F::own::<Pollable>(host.subscribe_at(when)?)))
        })?;
        monotonic.func_wrap("subscribe-duration", |cx: Call<'_>, (duration,): (u64,)| {
            call(cx, |host| {
                let when = host.monotonic_now().saturating_add(duration);
                Ok(F::own::<Pollable>(host.subscribe_at(when)?))
            })
        })?;
        let mut wall = linker.instance("wasi:clocks/wall-clock@0.2.6")?;
        wall.func_wrap("now", |cx: Call<'_>, (): ()| {
            call(cx, |host| Ok(Datetime::from_nanos(host.wall_now())))
        })?;
        wall.func_wrap("resolution", |cx: Call<'_>, (): ()| {
            call(cx, |_| Ok(Datetime::from_nanos(1)))
        })
    }
}
