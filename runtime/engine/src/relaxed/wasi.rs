//! WASI 0.2 and preview 1 over this machine, by wasmtime-wasi.

use super::output::{Budget, Log};
use crate::{
    invocation::{Invocation, Stdin, World},
    limiter::Limiter,
    preview1,
    sink::Sink,
};
use std::sync::Arc;
use wasmtime::{
    InstancePre,
    component::{Linker, ResourceTable},
};
use wasmtime_wasi::{
    FsPerms, I32Exit, WasiCtx, WasiCtxBuilder, WasiCtxView, WasiView, p0,
    p1::{self, WasiP1Ctx},
    p2::{bindings::CommandPre, pipe::MemoryInputPipe},
};

/// The packages that are offered, without their versions.
const OFFERED: &[&str] = &[
    "wasi:cli/",
    "wasi:clocks/",
    "wasi:filesystem/",
    "wasi:io/",
    "wasi:random/",
    "wasi:sockets/",
];

/// A linked program.
#[derive(Clone)]
pub(crate) enum Command {
    /// A component.
    Component(Arc<CommandPre<State>>),
    /// A core module for preview 1.
    Module(InstancePre<ModuleState>),
}

/// What a component has on the host's side.
pub(crate) struct State {
    context: WasiCtx,
    table: ResourceTable,
    limiter: Limiter,
}

/// What a module has on the host's side.
pub(crate) struct ModuleState {
    context: WasiP1Ctx,
    limiter: Limiter,
}

/// A state that limits what its guest takes.
pub(super) trait Limited: Send + 'static {
    fn limiter(&mut self) -> &mut Limiter;
}

impl Limited for State {
    fn limiter(&mut self) -> &mut Limiter {
        &mut self.limiter
    }
}

impl Limited for ModuleState {
    fn limiter(&mut self) -> &mut Limiter {
        &mut self.limiter
    }
}

/// Where a guest's output goes.
pub(super) struct Streams {
    pub(super) stdout: Log,
    pub(super) stderr: Log,
}

impl WasiView for State {
    fn ctx(&mut self) -> WasiCtxView<'_> {
        WasiCtxView {
            ctx: &mut self.context,
            table: &mut self.table,
        }
    }
}

/// Everything that components may import.
pub(crate) fn linker(engine: &wasmtime::Engine) -> wasmtime::Result<Linker<State>> {
    let mut linker = Linker::new(engine);
    wasmtime_wasi::p2::add_to_linker_async(&mut linker)?;
    Ok(linker)
}

/// Everything that modules may import.
pub(crate) fn module_linker(
    engine: &wasmtime::Engine,
) -> wasmtime::Result<wasmtime::Linker<ModuleState>> {
    let mut linker = wasmtime::Linker::new(engine);
    p1::add_to_linker_async(&mut linker, |state: &mut ModuleState| &mut state.context)?;
    p0::add_to_linker_async(&mut linker, |state: &mut ModuleState| &mut state.context)?;
    // Those refuse codes above 125. Here they are told as they are anywhere else: by their low eight bits.
    linker.allow_shadowing(true);
    for module in preview1::MODULES {
        linker.func_wrap(module, "proc_exit", |code: i32| -> wasmtime::Result<()> {
            Err(I32Exit(code).into())
        })?;
    }
    Ok(linker)
}

/// Whether an imported interface is one of those that are offered.
pub(crate) fn is_offered(import: &str) -> bool {
    OFFERED.iter().any(|package| import.starts_with(package))
}

/// The state of a component that is about to start.
pub(super) fn state(
    invocation: &Invocation,
    budget: &Arc<Budget>,
) -> wasmtime::Result<(State, Streams)> {
    let (mut builder, streams) = context(invocation, budget)?;
    let state = State {
        context: builder.build(),
        table: ResourceTable::new(),
        limiter: Limiter::new(&invocation.limits, 0),
    };
    Ok((state, streams))
}

/// The state of a module that is about to start.
pub(super) fn module_state(
    invocation: &Invocation,
    budget: &Arc<Budget>,
) -> wasmtime::Result<(ModuleState, Streams)> {
    let (mut builder, streams) = context(invocation, budget)?;
    let state = ModuleState {
        context: builder.build_p1(),
        limiter: Limiter::new(&invocation.limits, 0),
    };
    Ok((state, streams))
}

/// What a guest sees, and its streams. Nothing of the host's environment is in it.
fn context(
    invocation: &Invocation,
    budget: &Arc<Budget>,
) -> wasmtime::Result<(WasiCtxBuilder, Streams)> {
    let World::Relaxed { mounts, stdin } = &invocation.world else {
        return Err(wasmtime::Error::msg(
            "a deterministic world for a relaxed program",
        ));
    };
    let mut builder = WasiCtxBuilder::new();
    builder.arg(&invocation.name).args(&invocation.args);
    for (name, value) in &invocation.env {
        builder.env(name, value);
    }
    // The guest has a thread of its own, so it may as well wait for files there.
    builder.allow_blocking_current_thread(true);
    for mount in mounts {
        let perms = if mount.writable {
            FsPerms::ReadWrite
        } else {
            FsPerms::ReadOnly
        };
        builder.preopened_dir(&mount.host, &mount.guest, perms)?;
    }
    match stdin {
        Stdin::Empty => builder.stdin(MemoryInputPipe::new(bytes::Bytes::new())),
        Stdin::Inherit => builder.inherit_stdin(),
        Stdin::File(path) => {
            let file = tokio::fs::File::from_std(std::fs::File::open(path)?);
            builder.stdin(wasmtime_wasi::cli::AsyncStdinStream::new(file))
        }
    };
    let stdout = Log::new(Sink::open(&invocation.stdout, false)?, Arc::clone(budget));
    let stderr = Log::new(Sink::open(&invocation.stderr, true)?, Arc::clone(budget));
    builder.stdout(stdout.clone()).stderr(stderr.clone());
    builder.inherit_network().allow_ip_name_lookup(true);
    Ok((builder, Streams { stdout, stderr }))
}
