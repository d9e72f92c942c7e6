//! `run`

mod blocks;
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
use mc_config::Cache;
use mc_content::{MemoryBlocks, unixfs};
use mc_execution::{
    AttemptContext, Blocks, Controls, ExecutionError, Executors, Finished, Leaves, Need, Prepared,
    Spill, Streams, Unwatched, WholeDisk,
    wasm::{self, Bounds, Options, Target, Wasm},
    world::TaskInputs,
};
use mc_options::{EngineName, Format, Global, Resume, Run};
use mc_types::{Cid, Determinism, JobState, TaskKind, TaskSpec};
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
    // Options of a task only have an effect for a task.
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
        Some(_) => Need::GoOn,
        None => Need::Run,
    };
    let task = TaskSpec {
        determinism,
        ..job::unread(&what.args.task, &what.dirs)?
    };
    let ready = ready(global, &what, cache, (task, need)).await?;
    // Read to its end here, so that later steps find a file.
    let stdin = job::spooled(what.args.task.stdin.as_deref())?;
    if let Some(file) = &stdin {
        what.args.task.stdin = Some(file.path().display().to_string());
    }
    let job = if what.args.relaxed {
        relaxed::run(global, ready, &what).await
    } else {
        deterministic::run(global, ready, Arc::new(what), from).await
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

/// A task that can begin, and what runs it.
struct Ready {
    executors: Executors,
    prepared: Box<dyn Prepared>,
}

/// What a run that sees `inputs` is given besides its task.
fn context(
    global: &Global,
    args: &Run,
    inputs: TaskInputs,
    blocks: Arc<dyn Blocks>,
) -> AttemptContext<'static> {
    AttemptContext {
        inputs,
        blocks,
        key: None,
        streams: match global.format {
            Format::Json => Streams::Memory,
            Format::Text if args.checkpoint.is_some() => Streams::Copy,
            Format::Text => Streams::Inherit,
        },
        storage: Some(Arc::new(Spill::new(std::env::temp_dir(), WholeDisk))),
        timeout: args.task.timeout.map(|timeout| timeout.0),
        controls: Controls::default(),
        checkpoints: None,
        leaves: Leaves::Kept,
        watch: &Unwatched,
    }
}

/// Runs a task; `None` when the user interrupts.
async fn execute(
    ready: Ready,
    context: AttemptContext<'_>,
) -> Option<Result<Finished, ExecutionError>> {
    let Ready {
        executors,
        prepared,
    } = ready;
    let cancel = context.controls.cancel.clone();
    let ended = tokio::select! {
        ended = prepared.run(context) => Some(ended),
        _ = tokio::signal::ctrl_c() => {
            cancel.cancel();
            None
        }
    };
    // A thread that waits for a terminal notices nothing until somebody types; it ends with this process.
    let _ = tokio::time::timeout(GUEST_GRACE, executors.close()).await;
    ended
}

/// Says how a run ended that has no outcome.
fn conclude_failed(
    global: &Global,
    name: &str,
    error: ExecutionError,
) -> Result<ExitCode, Failure> {
    match error {
        ExecutionError::Timeout { .. } => {
            let failed = JobView {
                state: JobState::Failed,
                failure: Some(JobFailure::Timeout),
                attempts: 1,
                ..JobView::default()
            };
            follow::conclude(global, &failed, name)
        }
        ExecutionError::Cancelled => Ok(ExitCode::from(exit::CANCELLED)),
        ExecutionError::OutputClosed => Ok(ExitCode::from(exit::CLOSED)),
        error @ ExecutionError::TooMuch { .. } => Err(Failure::from(error).about(name)),
        error => Err(error.into()),
    }
}

/// Prepares a task whose component is not known by its CID yet. It is ready at once if it was compiled before.
async fn ready(
    global: &Global,
    what: &What,
    cache: Option<Cache>,
    (mut task, need): (TaskSpec, Need),
) -> Result<Ready, Failure> {
    let executors = executors(global, what, cache)?;
    let executor = executors.of(task.kind.name())?;
    let known = match &what.component {
        Component::File(path) => {
            let metadata = std::fs::metadata(path).map_err(|e| Failure::path(path, &e))?;
            what.known.get(&metadata)
        }
        Component::Cid(cid) => Some(*cid),
    };
    if let Some(cid) = known {
        task.kind = TaskKind::Wasm { component: cid };
        if let Some(prepared) = executor.ready(&task, need) {
            return Ok(Ready {
                executors,
                prepared,
            });
        }
    }
    let Read {
        cid,
        blocks,
        bytes,
        name,
    } = read(global, what).await?;
    task.kind = TaskKind::Wasm { component: cid };
    let megabytes = bytes.div_ceil(1 << 20);
    let compiling = format!(
        "compiling {}, {megabytes} MiB; the next run finds it compiled",
        what.name
    );
    let blocks: Arc<dyn Blocks> = Arc::new(blocks);
    let preparing = executor.prepare(&task, need, &blocks);
    let prepared = progress::patiently(global, &compiling, preparing).await;
    let prepared = prepared.map_err(|e| Failure::from(e).about(&name))?;
    Ok(Ready {
        executors,
        prepared,
    })
}

/// A component that was read.
struct Read {
    cid: Cid,
    blocks: MemoryBlocks,
    /// Its length.
    bytes: usize,
    /// What it is called in messages about it.
    name: String,
}

/// Reads the component.
async fn read(global: &Global, what: &What) -> Result<Read, Failure> {
    match &what.component {
        Component::File(path) => {
            let metadata = std::fs::metadata(path).map_err(|e| Failure::path(path, &e))?;
            let bytes = component::read(path, &metadata)?;
            let blocks = MemoryBlocks::default();
            let added = unixfs::add_bytes(&bytes, &blocks).await?;
            what.known.put(&metadata, &added.cid);
            Ok(Read {
                cid: added.cid,
                blocks,
                bytes: bytes.len(),
                name: path.display().to_string(),
            })
        }
        Component::Cid(cid) => {
            let connection = connect::connect(global).await?;
            let remote = connection.client.blocks(None);
            let read = blocks::of_component(&remote, *cid).await;
            connection.close().await;
            let (blocks, bytes) = read?;
            Ok(Read {
                cid: *cid,
                blocks,
                bytes,
                name: cid.to_string(),
            })
        }
    }
}

/// What runs it, with the cache if that can be used.
fn executors(global: &Global, what: &What, cache: Option<Cache>) -> Result<Executors, Failure> {
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
    let wasm = match Wasm::new(&options, Bounds::ONE) {
        Err(wasm::Error::Cache { path, source }) => {
            let reason = format!("{}: {source}", path.display());
            output::note(global, &no_cache(&reason));
            options.cache_dir = None;
            Wasm::new(&options, Bounds::ONE)?
        }
        wasm => wasm?,
    };
    Ok(Executors::new(vec![Arc::new(wasm)]))
}

/// That every run compiles is no error, but has to be known.
fn no_cache(reason: &str) -> String {
    format!(
        "compiled code is not kept ({reason}); a directory for it can be named: MC_WASM_CACHE_DIR"
    )
}
