//! `wasi:random`

use super::{call::call, form::Form, package::Package};
use crate::guest::{Call, Guest};
use mc_wasi::{Host, Stop};
use wasmtime::component::Linker;

/// `wasi:random`.
pub(super) struct Random;

impl Package for Random {
    const INTERFACES: &'static [&'static str] = &[
        "wasi:random/insecure",
        "wasi:random/insecure-seed",
        "wasi:random/random",
    ];

    fn add<F: Form>(linker: &mut Linker<Guest>) -> wasmtime::Result<()> {
        for (interface, bytes, number, secure) in [
            (
                "wasi:random/random@0.2.6",
                "get-random-bytes",
                "get-random-u64",
                true,
            ),
            (
                "wasi:random/insecure@0.2.6",
                "get-insecure-random-bytes",
                "get-insecure-random-u64",
                false,
            ),
        ] {
            let mut instance = linker.instance(interface)?;
            instance.func_wrap(bytes, move |cx: Call<'_>, (length,): (u64,)| {
                call(cx, |host| host.random(length, secure))
            })?;
            instance.func_wrap(number, move |cx: Call<'_>, (): ()| {
                call(cx, |host| random_number(host, secure))
            })?;
        }
        let mut seed = linker.instance("wasi:random/insecure-seed@0.2.6")?;
        seed.func_wrap("insecure-seed", |cx: Call<'_>, (): ()| {
            call(cx, Host::insecure_seed)
        })
    }
}

fn random_number(host: &mut Host, secure: bool) -> Result<u64, Stop> {
    let bytes = host.random(8, secure)?;
    let bytes = bytes.first_chunk().copied().unwrap_or_default();
    Ok(u64::from_le_bytes(bytes))
}
