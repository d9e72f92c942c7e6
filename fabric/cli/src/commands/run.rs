//! `run`

mod checkpoint;
mod deterministic;
mod relaxed;
mod view;

use crate::{
    args::{EngineName, Format, Global, Run},
    component::{self, Component},
    connect, exit,
    failure::Failure,
    follow, job,
    known_files::KnownFiles,
    leave,
};
use mc_content::{CountingSink, unixfs};
use mc_engine::{
    CancellationToken, Engine, Execution, Invocation, MAX_COMPONENT_BYTES, Need, Options, Output,
    Program, RunError, Target, World,
};
use mc_gateway::api::{self, JobView};
use mc_node::{config::Cache, world};
use mc_types::{Cid, Determinism, ErrorCode, JobState};
use std::{fs::Metadata, path::Path, process::ExitCode, sync::Arc};

pub(super) async fn run(global: &Global, args: Run) -> Result<ExitCode, Failure> {
    run_from(global, args, None).await
}

pub(super) async fn resume(
    global: &Global,
    args: crate::args::Resume,
) -> Result<ExitCode, Failure> {
    let (from, args) = checkpoint::From::read(args).await?;
    run_from(global, args, Some(from)).await
}

async fn run_from(
    global: &Global,
    args: Run,
    from: Option<checkpoint::From>,
) -> Result<ExitCode, Failure> {
    checkpoint::wanted(&args)?;
    job::validate(&args.task)?;
    leave::check(args.task.out.as_deref(), &args.task.dir)?;
    let component = component::resolve(&args.task.component, args.task.bin.as_deref(), global)?;
    let determinism = if args.relaxed {
        Determinism::Relaxed
    } else {
        Determinism::Deterministic
    };
    let cache = connect::configuration(global)?.config.cache;
    let mut what = What {
        args,
        component,
        known: KnownFiles::below(&cache.dir),
    };
    let need = match &from {
        Some(_) => Need::Resume,
        None => Need::from(determinism),
    };
    let program = program(global, &what, &cache, need).await?;
    // Read to its end here, so that whoever needs it later finds a file.
    let stdin = job::spooled(what.args.task.stdin.as_deref())?;
    if let Some(file) = &stdin {
        what.args.task.stdin = Some(file.path().display().to_string());
    }
    let job = if what.args.relaxed {
        relaxed::run(global, program, &what.args).await
    } else {
        deterministic::run(global, program, Arc::new(what), from).await
    };
    drop(stdin);
    job
}

/// What is to be run.
struct What {
    args: Run,
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
        name: world::PROGRAM_NAME.to_owned(),
        args: args.task.args.clone(),
        env: crate::inputs::pairs("--env", &args.task.env)?,
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
    let running = tokio::task::spawn_blocking(move || program.run(invocation));
    tokio::select! {
        ended = running => Some(ended.unwrap_or_else(|e| Err(RunError::Host(e.to_string())))),
        _ = tokio::signal::ctrl_c() => {
            cancel.cancel();
            None
        }
    }
}

/// Says how a run ended that has no outcome.
fn conclude_failed(global: &Global, name: &str, error: &RunError) -> Result<ExitCode, Failure> {
    match error {
        RunError::Timeout { .. } => {
            let failed = JobView {
                failure: Some(api::Failure::Timeout),
                ..view::empty(JobState::Failed)
            };
            follow::conclude(global, &failed, name)
        }
        RunError::Cancelled => Ok(ExitCode::from(exit::CANCELLED)),
        RunError::OutputClosed => Ok(ExitCode::from(exit::CLOSED)),
        error => Err(Failure::new(ErrorCode::Infrastructure, error.to_string())),
    }
}

/// The program, from the cache of compiled code if it is there.
async fn program(
    global: &Global,
    what: &What,
    cache: &Cache,
    need: Need,
) -> Result<Program, Failure> {
    let options = Options {
        cache_dir: Some(cache.dir.clone()),
        cache_max_bytes: cache.max.0,
        target: match what.args.engine {
            EngineName::Cranelift => Target::Native,
            EngineName::Pulley => Target::Pulley,
        },
        ..Options::default()
    };
    let engine = Engine::new(&options)?;
    let (cid, bytes, name) = match &what.component {
        Component::File(path) => {
            let metadata = std::fs::metadata(path).map_err(|e| Failure::path(path, &e))?;
            if let Some(cid) = what.known.get(&metadata)
                && let Some(program) = engine.cached(&cid, need)
            {
                return Ok(program);
            }
            let bytes = read_component(path, &metadata)?;
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
    engine
        .load(&cid, &bytes, need)
        .map_err(|e| Failure::from(e).about(&name))
}

fn read_component(path: &Path, metadata: &Metadata) -> Result<Vec<u8>, Failure> {
    let bytes = metadata.len();
    if bytes > MAX_COMPONENT_BYTES {
        let max = MAX_COMPONENT_BYTES;
        return Err(Failure::from(mc_engine::Error::TooLarge { bytes, max })
            .about(&path.display().to_string()));
    }
    std::fs::read(path).map_err(|e| Failure::path(path, &e))
}

async fn fetched(global: &Global, cid: Cid) -> Result<Vec<u8>, Failure> {
    let connection = connect::connect(global).await?;
    let blocks = connection.client.blocks(None);
    let bytes = unixfs::read_to_vec(&blocks, cid, MAX_COMPONENT_BYTES).await;
    connection.close().await;
    Ok(bytes?)
}
