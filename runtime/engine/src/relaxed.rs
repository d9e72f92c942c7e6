//! Execution of a relaxed task, which sees this machine's directories, clock and network.

mod output;
mod wasi;

use crate::{
    Execution, Invocation, RunError, World, limiter::Limiter, program::Program, ticker::Watch, trap,
};
use mc_types::{Termination, Usage};
use output::{Budget, OutputClosed, OutputLimitReached};
use std::{path::Path, sync::Arc, time::Duration, time::Instant};
pub(crate) use wasi::{Command, ModuleState, State, is_offered, linker, module_linker};
use wasi::{Limited, Streams};
use wasmtime::{InstancePre, Store, Trap};
use wasmtime_wasi::{I32Exit, p2::bindings::CommandPre};

/// The fuel of a task without a limit: more than any task can use.
const UNLIMITED_FUEL: u64 = 1 << 62;
/// How deep directories are followed when measuring what was written.
const MAX_DEPTH: usize = 256;
/// Where a guest leaves its results.
const RESULTS: &str = "/out";

/// Runs a program on this thread.
pub(crate) fn run(
    program: &Program,
    command: &Command,
    invocation: Invocation,
) -> Result<Execution, RunError> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|e| RunError::Host(e.to_string()))?;
    let budget = Budget::new(invocation.limits.output_bytes);
    match command {
        Command::Component(command) => {
            let (state, streams) = wasi::state(&invocation, &budget).map_err(host)?;
            let call = async |store: &mut Store<State>| component(command, store).await;
            runtime.block_on(execute(
                program,
                &invocation,
                &budget,
                (state, streams),
                call,
            ))
        }
        Command::Module(module) => {
            let (state, streams) = wasi::module_state(&invocation, &budget).map_err(host)?;
            let call = async |store: &mut Store<ModuleState>| start(module, store).await;
            runtime.block_on(execute(
                program,
                &invocation,
                &budget,
                (state, streams),
                call,
            ))
        }
    }
}

fn host(error: wasmtime::Error) -> RunError {
    RunError::Host(format!("{error:#}"))
}

/// Runs what `call` calls until it ends, or must not go on.
async fn execute<S: Limited>(
    program: &Program,
    invocation: &Invocation,
    budget: &Arc<Budget>,
    (state, streams): (S, Streams),
    call: impl AsyncFnOnce(&mut Store<S>) -> wasmtime::Result<Termination>,
) -> Result<Execution, RunError> {
    // The epoch makes the guest yield; what stops it is below.
    let watch = Watch::new(None, invocation.cancel.clone(), None);
    let ticking = program.ticker.run(&program.raw, &watch);
    let _ticking = ticking.map_err(|e| RunError::Host(e.to_string()))?;
    let begun = Instant::now();
    let fuel = invocation.limits.fuel.unwrap_or(UNLIMITED_FUEL);
    let mut store = Store::new(&program.raw, state);
    store.limiter(|state| state.limiter());
    store.set_fuel(fuel).map_err(host)?;
    store.epoch_deadline_async_yield_and_update(1);

    let ended = tokio::select! {
        biased;
        () = invocation.cancel.cancelled() => return Err(RunError::Cancelled),
        () = expire(invocation.timeout) => {
            let after = invocation.timeout.unwrap_or_default();
            return Err(RunError::Timeout { after });
        }
        ended = call(&mut store) => ended,
    };
    let used = fuel - store.get_fuel().map_err(host)?;
    let limiter = store.data_mut().limiter();
    let mut end = match ended {
        Ok(end) => end,
        Err(error) => end_of(error, limiter)?,
    };
    if written(invocation) > budget.left() {
        end = Termination::OutputLimit;
    }
    let usage = Usage {
        fuel: used,
        memory_peak_bytes: limiter.peak_bytes(),
        wall_ms: u64::try_from(begun.elapsed().as_millis()).unwrap_or(u64::MAX),
    };
    Ok(Execution {
        end,
        usage,
        meter: program.meter(),
        stdout: streams.stdout.take(),
        stderr: streams.stderr.take(),
        world: None,
    })
}

async fn component(
    command: &CommandPre<State>,
    store: &mut Store<State>,
) -> wasmtime::Result<Termination> {
    let command = command.instantiate_async(&mut *store).await?;
    let result = command.wasi_cli_run().call_run(&mut *store).await?;
    Ok(Termination::Exited {
        code: result.is_err().into(),
    })
}

async fn start(
    module: &InstancePre<ModuleState>,
    store: &mut Store<ModuleState>,
) -> wasmtime::Result<Termination> {
    let instance = module.instantiate_async(&mut *store).await?;
    let start = instance.get_typed_func::<(), ()>(&mut *store, "_start")?;
    start.call_async(&mut *store, ()).await?;
    Ok(Termination::Exited { code: 0 })
}

fn end_of(error: wasmtime::Error, limiter: &Limiter) -> Result<Termination, RunError> {
    if let Some(exit) = error.downcast_ref::<I32Exit>() {
        // As POSIX does, the low eight bits count.
        return Ok(Termination::Exited {
            code: exit.0.to_le_bytes()[0],
        });
    }
    if error.is::<OutputLimitReached>() {
        return Ok(Termination::OutputLimit);
    }
    if error.is::<OutputClosed>() {
        return Err(RunError::OutputClosed);
    }
    if let Some(Trap::StackOverflow) = error.downcast_ref::<Trap>() {
        return Ok(Termination::Trapped {
            kind: trap::kind(Trap::StackOverflow),
        });
    }
    trap::end(error, limiter, None)
}

async fn expire(timeout: Option<Duration>) {
    match timeout {
        Some(timeout) => tokio::time::sleep(timeout).await,
        None => std::future::pending().await,
    }
}

/// Bytes of the results. Directories that the user gave it to change are not counted, since their content is the user's
/// own.
fn written(invocation: &Invocation) -> u64 {
    let World::Relaxed { mounts, .. } = &invocation.world else {
        return 0;
    };
    // One of the user's may have the same name; it comes later.
    let results = mounts.iter().find(|mount| mount.guest == RESULTS);
    results.map_or(0, |mount| size_below(&mount.host, 0))
}

/// Bytes of the files below a directory. Unreadable files count as nothing: they cannot be collected either.
fn size_below(dir: &Path, depth: usize) -> u64 {
    let Ok(entries) = std::fs::read_dir(dir) else {
        return 0;
    };
    let sizes = entries.flatten().map(|entry| match entry.metadata() {
        Ok(metadata) if metadata.is_dir() && depth < MAX_DEPTH => {
            size_below(&entry.path(), depth + 1)
        }
        Ok(metadata) if metadata.is_file() => metadata.len(),
        _ => 0,
    });
    sizes.fold(0, u64::saturating_add)
}
