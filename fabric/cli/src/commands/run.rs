//! `run`

mod checkpoint;
mod deterministic;
mod differences;
mod relaxed;
mod view;

use crate::{
    component::{self, Component},
    connect, exit,
    failure::Failure,
    follow, hidden,
    inputs::{self, Dirs},
    job,
    known_files::KnownFiles,
    leave, out, output, progress, unread,
};
use mc_api::{JobFailure, JobView};
use mc_content::{CountingSink, unixfs};
use mc_engine::{
    CancellationToken, Engine, Execution, Invocation, MAX_COMPONENT_BYTES, Need, Options, Output,
    Program, RunError, Target, World,
};
use mc_execution::{threads::Threads, world};
use mc_node::config::Cache;
use mc_options::{EngineName, Format, Global, Resume, Run};
use mc_types::{Cid, Determinism, ErrorCode, JobState};
use std::{process::ExitCode, sync::Arc, time::Duration};

/// How long a guest that was called off may take to end.
const GUEST_GRACE: Duration = Duration::from_secs(2);

pub(super) async fn run(global: &Global, args: Run) -> Result<ExitCode, Failure> {
    Box::pin(run_from(global, args, None)).await
}

pub(super) async fn resume(global: &Global, args: Resume) -> Result<ExitCode, Failure> {
    let (from, args) = checkpoint::From::read(args).await?;
    Box::pin(run_from(global, args, Some(from))).await
}

async fn run_from(
    global: &Global,
    args: Run,
    from: Option<checkpoint::From>,
) -> Result<ExitCode, Failure> {
    if let Some((_, path)) = checkpoint::wanted(&args)? {
        out::file(path)?;
    }
    let dirs = inputs::dirs(&args.task.dir)?;
    leave::check(args.task.out.as_deref(), &dirs)?;
    job::validate(&args.task, &dirs)?;
    checkpoint::check_place(&args, &dirs)?;
    let determinism = if args.relaxed {
        Determinism::Relaxed
    } else {
        Determinism::Deterministic
    };
    hidden::tell(global, &dirs, determinism);
    // What is told of a run is told of a task, and nothing belongs to one that was not asked for.
    let is_recorded = global.format == Format::Json || args.checkpoint.is_some() || from.is_some();
    if is_recorded && args.task.stdin.is_none() {
        unread::tell(global);
    }
    let component = component::resolve(&args.task.component, args.task.bin.as_deref(), global)?;
    let cache = connect::cache(global)?;
    if cache.is_none() {
        output::note(global, &no_cache("there is no home directory"));
    }
    let mut what = What {
        name: match &from {
            Some(from) => from.name.clone(),
            None => args.task.component.clone(),
        },
        args,
        dirs,
        component,
        known: KnownFiles::below(cache.as_ref().map(|cache| &*cache.dir)),
    };
    let need = match &from {
        Some(_) => Need::Resume,
        None => Need::from(determinism),
    };
    let program = program(global, &what, cache, need).await?;
    // Read to its end here, so that whoever needs it later finds a file.
    let stdin = job::spooled(what.args.task.stdin.as_deref())?;
    if let Some(file) = &stdin {
        what.args.task.stdin = Some(file.path().display().to_string());
    }
    let job = if what.args.relaxed {
        relaxed::run(global, program, &what).await
    } else {
        deterministic::run(global, program, Arc::new(what), from).await
    };
    drop(stdin);
    job
}

/// What is to be run.
struct What {
    /// What it is called in messages: as what was typed.
    name: String,
    args: Run,
    /// The directories that were typed.
    dirs: Dirs,
    component: Component,
    known: KnownFiles,
}

/// An invocation that sees `world`.
fn invocation(global: &Global, args: &Run, world: World) -> Result<Invocation, Failure> {
    let log = || match global.format {
        Format::Json => Output::Memory,
        Format::Text if args.checkpoint.is_some() => Output::Copy,
        Format::Text => Output::Inherit,
    };
    Ok(Invocation {
        name: world::program_name(args.task.argv0.as_deref()),
        args: args.task.args.clone(),
        env: inputs::pairs("--env", &args.task.env)?,
        limits: job::limits(&args.task),
        world,
        stdout: log(),
        stderr: log(),
        timeout: args.task.timeout.map(|timeout| timeout.0),
        cancel: CancellationToken::new(),
        checkpoints: None,
        resume: None,
    })
}

/// Runs a program on a thread of its own; `None` when the user interrupts.
async fn execute(program: Program, invocation: Invocation) -> Option<Result<Execution, RunError>> {
    let cancel = invocation.cancel.clone();
    // As in a node: what a guest reads comes by way of threads that no guest may hold.
    let threads = Threads::new("attempt", 1);
    let ended = tokio::select! {
        ended = threads.run(move || program.run(invocation)) => {
            Some(ended.unwrap_or_else(|e| Err(RunError::Host(e.to_string()))))
        }
        _ = tokio::signal::ctrl_c() => {
            cancel.cancel();
            None
        }
    };
    // One that waits for a terminal notices nothing until somebody types; it ends with this process.
    let _ = tokio::time::timeout(GUEST_GRACE, threads.close()).await;
    ended
}

/// Says how a run ended that has no outcome.
fn conclude_failed(global: &Global, name: &str, error: &RunError) -> Result<ExitCode, Failure> {
    match error {
        RunError::Timeout { .. } => {
            let failed = JobView {
                state: JobState::Failed,
                failure: Some(JobFailure::Timeout),
                attempts: 1,
                ..JobView::default()
            };
            follow::conclude(global, &failed, name)
        }
        RunError::Cancelled => Ok(ExitCode::from(exit::CANCELLED)),
        RunError::OutputClosed => Ok(ExitCode::from(exit::CLOSED)),
        RunError::TooMuch { .. } => {
            let message = format!("{name}: {error}");
            Err(Failure::new(ErrorCode::InvalidComponent, message))
        }
        RunError::Unreadable(_) => Err(Failure::new(ErrorCode::Path, error.to_string())),
        RunError::Unusable(_) => Err(Failure::new(ErrorCode::CorruptContent, error.to_string())),
        error => Err(Failure::new(ErrorCode::Infrastructure, error.to_string())),
    }
}

/// The program, from the cache of compiled code if it is there.
async fn program(
    global: &Global,
    what: &What,
    cache: Option<Cache>,
    need: Need,
) -> Result<Program, Failure> {
    let engine = engine(global, what, cache)?;
    let (cid, bytes, name) = match &what.component {
        Component::File(path) => {
            let metadata = std::fs::metadata(path).map_err(|e| Failure::path(path, &e))?;
            if let Some(cid) = what.known.get(&metadata)
                && let Some(program) = engine.cached(&cid, need)
            {
                return Ok(program);
            }
            let bytes = component::read(path, &metadata)?;
            let added = unixfs::add_bytes(&bytes, &CountingSink::default()).await?;
            what.known.put(&metadata, &added.cid);
            (added.cid, bytes, path.display().to_string())
        }
        Component::Cid(cid) => {
            if let Some(program) = engine.cached(cid, need) {
                return Ok(program);
            }
            (*cid, fetched(global, *cid).await?, cid.to_string())
        }
    };
    let megabytes = bytes.len().div_ceil(1 << 20);
    let compiling = format!(
        "compiling {}, {megabytes} MiB; the next run finds it compiled",
        what.name
    );
    let load = move || engine.load(&cid, &bytes, need);
    let loaded = progress::patiently(global, compiling, load).await?;
    loaded.map_err(|e| Failure::from(e).about(&name))
}

/// What compiles it, with the cache if that can be used.
fn engine(global: &Global, what: &What, cache: Option<Cache>) -> Result<Engine, Failure> {
    let mut options = Options {
        target: match what.args.engine {
            EngineName::Cranelift => Target::Native,
            EngineName::Pulley => Target::Pulley,
        },
        ..Options::default()
    };
    if let Some(cache) = cache {
        options.cache_max_bytes = cache.max.0;
        options.cache_dir = Some(cache.dir);
    }
    match Engine::new(&options) {
        Err(mc_engine::Error::Cache { path, source }) => {
            let reason = format!("{}: {source}", path.display());
            output::note(global, &no_cache(&reason));
            options.cache_dir = None;
            Ok(Engine::new(&options)?)
        }
        engine => Ok(engine?),
    }
}

/// That every run compiles is no error, but has to be known.
fn no_cache(reason: &str) -> String {
    format!(
        "compiled code is not kept ({reason}); a directory for it can be named: MC_WASM_CACHE_DIR"
    )
}

async fn fetched(global: &Global, cid: Cid) -> Result<Vec<u8>, Failure> {
    let connection = connect::connect(global).await?;
    let blocks = connection.client.blocks(None);
    let bytes = unixfs::read_to_vec(&blocks, cid, MAX_COMPONENT_BYTES).await;
    connection.close().await;
    Ok(bytes?)
}
