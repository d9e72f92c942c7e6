//! A compiled component and its executions.

use crate::{
    Error, RunError,
    engine::Engine,
    output::Budget,
    ticker::Ticker,
    trap,
    wasi::{self, State},
};
use mc_types::{End, Limits, Meter, Usage};
use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, Instant},
};
use tokio_util::sync::CancellationToken;
use wasmtime::{Store, component::Component};
use wasmtime_wasi::p2::bindings::CommandPre;

/// What fuel is set to when a task is not limited: more than any task lives to use.
const UNLIMITED_FUEL: u64 = 1 << 62;
/// Deepest directory that is looked at when `/out` is measured.
const MAX_DEPTH: usize = 256;

/// A component that is ready to run. Cheap to clone.
#[derive(Clone)]
pub struct Program {
    // Not the engine itself, which keeps programs and would keep itself alive through them.
    raw: wasmtime::Engine,
    ticker: Arc<Ticker>,
    command: Arc<CommandPre<State>>,
}

impl std::fmt::Debug for Program {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Program").finish_non_exhaustive()
    }
}

/// Everything that one execution depends on.
#[derive(Debug, Clone)]
pub struct Invocation {
    /// The program's own name, its zeroth argument.
    pub name: String,
    /// Its arguments.
    pub args: Vec<String>,
    /// Its environment: this and nothing else.
    pub env: BTreeMap<String, String>,
    /// What it may use.
    pub limits: Limits,
    /// The directories that it sees.
    pub mounts: Vec<Mount>,
    /// Where its standard input comes from.
    pub stdin: Stdin,
    /// Where its standard output goes.
    pub stdout: Output,
    /// Where its standard error goes.
    pub stderr: Output,
    /// After which time it is killed.
    pub timeout: Option<Duration>,
    /// Kills it when cancelled.
    pub cancel: CancellationToken,
}

/// A directory that the guest sees.
#[derive(Debug, Clone)]
pub struct Mount {
    /// The host's directory.
    pub host: PathBuf,
    /// The guest's name for it.
    pub guest: String,
    /// Whether the guest may change it. What it writes there counts as output.
    pub writable: bool,
}

/// Where standard input comes from.
#[derive(Debug, Clone)]
pub enum Stdin {
    /// Nothing to read.
    Empty,
    /// The process's own.
    Inherit,
    /// A file.
    File(PathBuf),
}

/// Where an output stream goes.
#[derive(Debug, Clone)]
pub enum Output {
    /// The process's own stream.
    Inherit,
    /// A file, which may be read while it grows.
    File(PathBuf),
}

/// An execution that reached its end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Execution {
    /// How the guest ended.
    pub end: End,
    /// What it used.
    pub usage: Usage,
    /// What counted the fuel.
    pub meter: Meter,
}

impl Program {
    pub(crate) fn new(engine: &Engine, component: &Component) -> Result<Self, Error> {
        let raw = engine.raw();
        let kind = component.component_type();
        let imports = kind.imports(raw).map(|(name, _)| name.to_owned());
        let names: Vec<_> = imports.filter(|name| !wasi::is_offered(name)).collect();
        if !names.is_empty() {
            return Err(Error::UnsupportedImports { names });
        }
        let exports: Vec<_> = kind.exports(raw).map(|(name, _)| name.to_owned()).collect();
        if !exports
            .iter()
            .any(|name| name.starts_with("wasi:cli/run@0.2."))
        {
            return Err(Error::NotACommand { exports });
        }
        let invalid = |e: wasmtime::Error| Error::Invalid {
            reason: format!("{e:#}"),
        };
        let command = engine
            .linker()
            .instantiate_pre(component)
            .and_then(CommandPre::new);
        let command = Arc::new(command.map_err(invalid)?);
        Ok(Self {
            raw: raw.clone(),
            ticker: engine.ticker(),
            command,
        })
    }

    /// Runs the component to its end. The guest computes on the thread that polls the future, which
    /// yields every 10 ms; give it a thread of its own where others must not wait.
    ///
    /// # Errors
    ///
    /// [`RunError`]: the execution has no outcome.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future stops the guest; files that it wrote remain.
    pub async fn run(&self, invocation: Invocation) -> Result<Execution, RunError> {
        let host = |e: wasmtime::Error| RunError::Host(format!("{e:#}"));
        let budget = Budget::new(invocation.limits.output_bytes);
        let _ticking = self
            .ticker
            .run(&self.raw)
            .map_err(|e| RunError::Host(e.to_string()))?;
        let begun = Instant::now();
        let fuel = invocation.limits.fuel.unwrap_or(UNLIMITED_FUEL);
        let mut store = Store::new(&self.raw, wasi::state(&invocation, &budget).map_err(host)?);
        store.limiter(|state| &mut state.limiter);
        store.set_fuel(fuel).map_err(host)?;
        store.epoch_deadline_async_yield_and_update(1);

        let ended = tokio::select! {
            biased;
            () = invocation.cancel.cancelled() => return Err(RunError::Cancelled),
            () = expire(invocation.timeout) => {
                let after = invocation.timeout.unwrap_or_default();
                return Err(RunError::Timeout { after });
            }
            ended = self.call(&mut store) => ended,
        };
        let limiter = &store.data().limiter;
        let mut end = match ended {
            Ok(end) => end,
            Err(error) => trap::end(&error, limiter)?,
        };
        let written = invocation.mounts.iter().filter(|mount| mount.writable);
        let written: u64 = written.map(|mount| size_below(&mount.host, 0)).sum();
        if written > budget.left() {
            end = End::OutputLimit;
        }
        let usage = Usage {
            fuel: fuel - store.get_fuel().map_err(host)?,
            memory_peak_bytes: limiter.peak_bytes(),
            wall_ms: u64::try_from(begun.elapsed().as_millis()).unwrap_or(u64::MAX),
        };
        Ok(Execution {
            end,
            usage,
            meter: Meter::Wasmtime48,
        })
    }

    async fn call(&self, store: &mut Store<State>) -> wasmtime::Result<End> {
        let command = self.command.instantiate_async(&mut *store).await?;
        let code = match command.wasi_cli_run().call_run(&mut *store).await? {
            Ok(()) => 0,
            Err(()) => 1,
        };
        Ok(End::Exited { code })
    }
}

async fn expire(timeout: Option<Duration>) {
    match timeout {
        Some(timeout) => tokio::time::sleep(timeout).await,
        None => std::future::pending().await,
    }
}

/// Bytes of the files below a directory. What cannot be read counts as nothing: it cannot be
/// collected either.
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
