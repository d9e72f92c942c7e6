//! Running one task, from fetching its inputs to storing its outputs.

use super::{Inner, attempt::Attempt};
use crate::{
    content::Source,
    data_dir::Scratch,
    world::{self, Given, Left, Root, Stdin},
};
use mc_content::{AddOptions, Block, Store, unixfs};
use mc_engine::{Execution, Invocation, MAX_COMPONENT_BYTES, Output, Program, RunError, World};
use mc_types::{
    Cid, Completion, Determinism, Ending, FailureReason, Outcome, TaskSpec, canonical, cid,
};
use std::time::Duration;
use tokio::sync::watch;

/// Why an attempt has no outcome.
enum Failure {
    /// It would be the same on every machine.
    Rejected(String),
    /// Another machine may do better.
    Infrastructure(String),
    Timeout,
    Stopped,
}

impl From<mc_content::Error> for Failure {
    fn from(error: mc_content::Error) -> Self {
        use mc_content::Error as E;
        match error {
            E::Malformed { .. } | E::TooLarge { .. } | E::Unsupported { .. } | E::Verify(_) => {
                Self::Rejected(format!("{}: {error}", error.code()))
            }
            error => Self::Infrastructure(format!("{}: {error}", error.code())),
        }
    }
}

impl From<mc_engine::Error> for Failure {
    fn from(error: mc_engine::Error) -> Self {
        let message = format!("{}: {error}", error.code());
        if error.is_components_fault() {
            Self::Rejected(message)
        } else {
            Self::Infrastructure(message)
        }
    }
}

impl From<crate::error::Error> for Failure {
    fn from(error: crate::error::Error) -> Self {
        Self::Infrastructure(error.to_string())
    }
}

impl From<RunError> for Failure {
    fn from(error: RunError) -> Self {
        match error {
            RunError::Timeout { .. } => Self::Timeout,
            RunError::Cancelled => Self::Stopped,
            error => Self::Infrastructure(error.to_string()),
        }
    }
}

/// Runs the attempt; `None` when it was stopped because this node shuts down. `running` is set once
/// the guest itself begins.
pub(super) async fn execute(
    inner: &Inner,
    attempt: &Attempt,
    running: watch::Sender<bool>,
) -> Option<Ending> {
    let work = run(inner, attempt, running);
    let result = tokio::select! {
        biased;
        result = work => result,
        // The guest itself is stopped by the same token; this ends a fetch.
        () = stopped_for_long(attempt) => Err(Failure::Stopped),
    };
    Some(match result {
        Ok(completion) => Ending::Completed(Box::new(completion)),
        Err(Failure::Timeout) => Ending::Failed(FailureReason::Timeout),
        Err(Failure::Rejected(message)) => Ending::Failed(FailureReason::Rejected { message }),
        Err(Failure::Infrastructure(message)) => {
            Ending::Failed(FailureReason::Infrastructure { message })
        }
        Err(Failure::Stopped) if inner.closing.is_cancelled() => return None,
        Err(Failure::Stopped) => Ending::Cancelled,
    })
}

/// Ends a while after the attempt was stopped, which is time enough for a guest to be.
async fn stopped_for_long(attempt: &Attempt) {
    attempt.cancel.cancelled().await;
    tokio::time::sleep(Duration::from_millis(500)).await;
}

async fn run(
    inner: &Inner,
    attempt: &Attempt,
    running: watch::Sender<bool>,
) -> Result<Completion, Failure> {
    let task = &attempt.spec.task;
    if task.determinism != Determinism::Deterministic {
        let reason = "relaxed tasks run on the machine of their owner only: mc-wasm run --relaxed";
        return Err(Failure::Rejected(reason.to_owned()));
    }
    let _scratch = Scratch::create(
        &inner.options.scratch,
        attempt.lease.job,
        attempt.lease.token,
    )?;
    let source = inner
        .content
        .source(vec![attempt.coordinator.clone()], None);
    let program = program(inner, &source, task).await?;
    let (task_cid, _) = canonical::encode(task).map_err(|e| Failure::Rejected(e.to_string()))?;
    let (mounts, roots) = world::of_task(task);
    let timeout = attempt.spec.timeout_ms.map(Duration::from_millis);
    let given = Given::new(
        roots,
        task.stdin
            .map_or(Stdin::Empty, |cid| Stdin::Root(Root::Content(cid))),
        Box::new(move || Ok(mc_types::cid::digest(&task_cid))),
        source,
        tokio::runtime::Handle::current(),
        attempt.cancel.clone(),
    );
    let deadline = timeout.and_then(|timeout| std::time::Instant::now().checked_add(timeout));
    let invocation = Invocation {
        name: world::PROGRAM_NAME.to_owned(),
        args: task.args.clone(),
        env: task.env.clone(),
        limits: task.limits,
        world: World::Deterministic {
            mounts,
            inputs: Box::new(given.until(deadline)),
            start_seconds: task.clock,
        },
        stdout: Output::File(attempt.logs.stdout.clone()),
        stderr: Output::File(attempt.logs.stderr.clone()),
        timeout,
        cancel: attempt.cancel.clone(),
        checkpoints: None,
        resume: None,
    };
    // The attempt may have no listener any more; it runs all the same.
    let _ = running.send(true);
    let dirs: Vec<_> = task.dirs.keys().cloned().collect();
    let store = inner.content.store().clone();
    let runtime = tokio::runtime::Handle::current();
    let work = move || run_and_collect(&program, invocation, &dirs, &store, &runtime);
    let ended = tokio::task::spawn_blocking(work).await;
    let (execution, left) = ended.map_err(|e| Failure::Infrastructure(e.to_string()))??;
    conclude(inner, attempt, execution, left, task_cid).await
}

/// Guests compute without pause, so each has a thread that nobody else waits for.
fn run_and_collect(
    program: &Program,
    invocation: Invocation,
    dirs: &[String],
    store: &Store,
    runtime: &tokio::runtime::Handle,
) -> Result<(Execution, Left), Failure> {
    let mut execution = program.run(invocation)?;
    let world = execution.world.as_mut();
    let world = world.ok_or_else(|| Failure::Infrastructure("no world was left".to_owned()))?;
    let left = world::collect(world, dirs, store, runtime)?;
    Ok((execution, left))
}

async fn program(inner: &Inner, source: &Source, task: &TaskSpec) -> Result<Program, Failure> {
    let (cid, determinism) = (task.component, task.determinism);
    let engine = inner.engine.clone();
    let cached = tokio::task::spawn_blocking(move || engine.cached(&cid, determinism)).await;
    if let Ok(Some(program)) = cached {
        return Ok(program);
    }
    let bytes = unixfs::read_to_vec(source, cid, MAX_COMPONENT_BYTES).await?;
    let engine = inner.engine.clone();
    let load = move || engine.load(&cid, &bytes, determinism);
    let loaded = tokio::task::spawn_blocking(load).await;
    Ok(loaded.map_err(|e| Failure::Infrastructure(e.to_string()))??)
}

/// Stores what the guest wrote, and states the outcome.
async fn conclude(
    inner: &Inner,
    attempt: &Attempt,
    execution: Execution,
    left: Left,
    task: Cid,
) -> Result<Completion, Failure> {
    let store = inner.content.store();
    let options = AddOptions::default();
    let (stdout, stderr) = tokio::try_join!(
        unixfs::add_path(&attempt.logs.stdout, store, &options),
        unixfs::add_path(&attempt.logs.stderr, store, &options),
    )?;
    let rejected = |e: canonical::Error| Failure::Rejected(e.to_string());
    let outcome = Outcome {
        task,
        end: execution.end,
        stdout: stdout.cid,
        stderr: stderr.cid,
        outputs: left.outputs,
        dirs: left.dirs,
        fuel: execution.usage.fuel,
        meter: execution.meter,
    };
    let (outcome_cid, bytes) = canonical::encode(&outcome).map_err(rejected)?;
    inner
        .content
        .put(vec![Block::encode(cid::DAG_CBOR, bytes)?])
        .await?;
    Ok(Completion {
        outcome_cid,
        outcome,
        usage: execution.usage,
    })
}
