//! WASI 0.2: between a component's values and the guest's world.

mod call;
mod cli;
mod clocks;
mod denied;
mod filesystem;
mod form;
mod io;
mod package;
mod random;
mod types;

pub(crate) use denied::{deny, is_denied};
pub(crate) use form::{Form, Numbers, Resources};

use crate::guest::{Call, Guest};
use cli::Cli;
use clocks::Clocks;
use filesystem::Filesystem;
use io::Io;
use mc_checkpoint::meter;
use package::Package;
use random::Random;
use wasmtime::component::{Linker, WasmList};

/// Names every package once.
macro_rules! packages {
    ($($package:ty),+ $(,)?) => {
        /// The interfaces that are always there, without their versions.
        pub(crate) fn interfaces() -> impl Iterator<Item = &'static str> {
            [$(<$package>::INTERFACES),+].into_iter().flatten().copied()
        }

        /// Links all of them.
        fn add_packages<F: Form>(linker: &mut Linker<Guest>) -> wasmtime::Result<()> {
            $(<$package>::add::<F>(linker)?;)+
            Ok(())
        }
    };
}

packages![Cli, Clocks, Filesystem, Io, Random];

/// Whether an interface is one of those that are always there, in any version of WASI 0.2.
pub(crate) fn is_known(import: &str) -> bool {
    let Some((interface, patch)) = import.split_once("@0.2.") else {
        return false;
    };
    interfaces().any(|known| known == interface) && patch.bytes().all(|byte| byte.is_ascii_digit())
}

/// Every interface that is always there, for components that cannot be stopped.
pub(crate) fn linker(engine: &wasmtime::Engine) -> wasmtime::Result<Linker<Guest>> {
    all::<Resources>(engine)
}

/// Every interface that is always there, for components that can be stopped.
pub(crate) fn stoppable(engine: &wasmtime::Engine) -> wasmtime::Result<Linker<Guest>> {
    let mut linker = all::<Numbers>(engine)?;
    let mut root = linker.root();
    root.func_wrap(meter::DROP_IMPORT, |cx: Call<'_>, (handle,): (u32,)| {
        Guest::drop_handle(cx, handle)
    })?;
    root.func_wrap(
        meter::ASK_IMPORT,
        |mut cx: Call<'_>, (memory, what): (u32, u32)| {
            Ok((cx.data_mut().restoring()?.answer(memory, what)?,))
        },
    )?;
    root.func_wrap(
        meter::RESTORE_IMPORT,
        |mut cx: Call<'_>, (memory,): (u32,)| Ok((cx.data_mut().restoring()?.bytes(memory)?,)),
    )?;
    root.func_wrap(
        meter::EXPOSE_IMPORT,
        |mut cx: Call<'_>, (_, bytes): (u32, WasmList<u8>)| {
            cx.data_mut().exposed.push(bytes);
            Ok(())
        },
    )?;
    Ok(linker)
}

fn all<F: Form>(engine: &wasmtime::Engine) -> wasmtime::Result<Linker<Guest>> {
    let mut linker = Linker::new(engine);
    linker.root().func_wrap(
        meter::ATTACH_IMPORT,
        |cx: Call<'_>, (memory,): (WasmList<u8>,)| Ok((Guest::attach(cx, memory),)),
    )?;
    add_packages::<F>(&mut linker)?;
    Ok(linker)
}
