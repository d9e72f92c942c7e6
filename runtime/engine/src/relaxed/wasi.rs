//! WASI 0.2 over this machine, by wasmtime-wasi.

use super::output::{Budget, Log};
use crate::{
    limiter::Limiter,
    program::{Invocation, Stdin, World},
    sink::Sink,
};
use std::sync::Arc;
use wasmtime::component::{Linker, ResourceTable};
use wasmtime_wasi::{
    FsPerms, WasiCtx, WasiCtxBuilder, WasiCtxView, WasiView, p2::pipe::MemoryInputPipe,
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

/// What a guest has on the host's side.
pub(crate) struct State {
    context: WasiCtx,
    table: ResourceTable,
    pub(crate) limiter: Limiter,
}

impl WasiView for State {
    fn ctx(&mut self) -> WasiCtxView<'_> {
        WasiCtxView {
            ctx: &mut self.context,
            table: &mut self.table,
        }
    }
}

/// Everything that guests may import.
pub(crate) fn linker(engine: &wasmtime::Engine) -> wasmtime::Result<Linker<State>> {
    let mut linker = Linker::new(engine);
    wasmtime_wasi::p2::add_to_linker_async(&mut linker)?;
    Ok(linker)
}

/// Whether an imported interface is one of those that are offered.
pub(crate) fn is_offered(import: &str) -> bool {
    OFFERED.iter().any(|package| import.starts_with(package))
}

/// The state of a guest that is about to start, and its streams. Nothing of the host's environment is
/// in it.
pub(crate) fn state(
    invocation: &Invocation,
    budget: &Arc<Budget>,
) -> wasmtime::Result<(State, Log, Log)> {
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
    let state = State {
        context: builder.build(),
        table: ResourceTable::new(),
        limiter: Limiter::new(&invocation.limits, 0),
    };
    Ok((state, stdout, stderr))
}
