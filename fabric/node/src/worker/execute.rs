//! Running one task, from fetching its inputs to storing its outputs.

use super::{
    Inner,
    attempt::Attempt,
    before,
    checkpoints::Shelf,
    disk::{Purpose, Share},
    log::LogFiles,
    spill::Spill,
};
use crate::{
    budget,
    checkpoint::{self, Loaded},
    content::{Deferred, Source},
    data_dir::Scratch,
    private::{self, TaskKey},
    threads::NotDone,
    world::{self, Given, Left, Root, Stdin},
};
use mc_content::{AddOptions, Block, Key, unixfs};
use mc_engine::{
    Execution, Invocation, MAX_COMPONENT_BYTES, Need, Output, Program, Resume, RunError, World,
};
use mc_protocol::Request;
use mc_types::{
    Cid, Completion, Determinism, Ending, ErrorCode, FailureReason, FencingToken, JobId, Outcome,
    TaskSpec, canonical, cid,
};
use mc_wasi::Storage;
use serde::{Deserialize, Serialize};
use std::{
    collections::VecDeque,
    fs::File,
    path::Path,
    pin::pin,
    sync::Arc,
    time::{Duration, Instant},
};

/// How long the blocks of a checkpoint are waited for before an older one is tried.
const FETCH_CHECKPOINT: Duration = Duration::from_secs(10);

/// Why an attempt has no outcome.
enum Failure {
    /// It would be the same on every machine.
    Rejected(Option<ErrorCode>, String),
    /// Another machine may do better.
    Infrastructure(Option<ErrorCode>, String),
    Timeout,
    Stopped,
    /// It has left a checkpoint, and goes on from that.
    Left,
    /// The checkpoint that it was to go on from is not one of its own.
    Refused(String),
}

impl From<mc_content::Error> for Failure {
    fn from(error: mc_content::Error) -> Self {
        let (code, message) = (Some(error.code()), error.to_string());
        if error.is_contents_fault() {
            Self::Rejected(code, message)
        } else {
            Self::Infrastructure(code, message)
        }
    }
}

impl From<mc_engine::Error> for Failure {
    fn from(error: mc_engine::Error) -> Self {
        let (code, message) = (Some(error.code()), error.to_string());
        if error.is_components_fault() {
            Self::Rejected(code, message)
        } else {
            Self::Infrastructure(code, message)
        }
    }
}

impl From<NotDone> for Failure {
    fn from(error: NotDone) -> Self {
        let reason = match error {
            NotDone::NoThread(cause) => format!("there is no thread for a guest: {cause}"),
            error => error.to_string(),
        };
        Self::Infrastructure(None, reason)
    }
}

impl From<crate::error::Error> for Failure {
    fn from(error: crate::error::Error) -> Self {
        Self::Infrastructure(Some(error.code()), error.to_string())
    }
}

impl From<RunError> for Failure {
    fn from(error: RunError) -> Self {
        match error {
            RunError::Timeout { .. } => Self::Timeout,
            RunError::Cancelled => Self::Stopped,
            RunError::Left => Self::Left,
            RunError::Refused { reason } => Self::Refused(reason),
            error @ RunError::TooMuch { .. } => {
                Self::Rejected(Some(ErrorCode::InvalidComponent), error.to_string())
            }
            RunError::Unusable(reason) => Self::Rejected(Some(ErrorCode::CorruptContent), reason),
            error => Self::Infrastructure(None, error.to_string()),
        }
    }
}

/// What became of an attempt.
pub(super) struct Executed {
    /// What it came to; `None` when it was stopped because this node shuts down.
    pub(super) ending: Option<Ending>,
    /// What it wrote, if it came to no outcome: that has it otherwise.
    pub(super) wrote: Option<Wrote>,
}

/// The two streams of an attempt, as content of this node.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Wrote {
    #[serde(with = "cid::portable")]
    pub(crate) stdout: Cid,
    #[serde(with = "cid::portable")]
    pub(crate) stderr: Cid,
}

impl Wrote {
    /// How a coordinator is told, with the lease as it was signed.
    pub(super) fn request(
        self,
        (job, token, attempt): (JobId, FencingToken, u32),
        grant: Vec<u8>,
    ) -> Request {
        Request::Wrote {
            job,
            token,
            attempt,
            stdout: self.stdout,
            stderr: self.stderr,
            grant,
        }
    }
}

/// Runs the attempt.
pub(super) async fn execute(inner: &Inner, attempt: &Attempt) -> Executed {
    let (job, token) = (attempt.lease.job, attempt.lease.token);
    // Its files are there until all that is wanted of them is stored.
    let scratch = Scratch::new(&inner.options.scratch, job, token);
    let mut work = pin!(ending(inner, attempt, &scratch));
    let ending = tokio::select! {
        biased;
        ending = &mut work => ending,
        () = before::is_worth_a_note(attempt) => {
            tokio::join!(work, before::note(attempt, &scratch)).0
        }
    };
    let wrote = match &ending {
        Some(Ending::Completed(_)) => None,
        _ => match wrote(inner, attempt).await {
            Ok(wrote) => Some(wrote),
            Err(error) => {
                tracing::warn!(%error, "what the attempt wrote was not kept");
                None
            }
        },
    };
    Executed { ending, wrote }
}

/// Stores what an attempt wrote.
async fn wrote(inner: &Inner, attempt: &Attempt) -> Result<Wrote, mc_content::Error> {
    let made = Deferred::new(inner.content.clone());
    let (stdout, stderr) = streams(attempt, &made).await?;
    made.flush().await?;
    Ok(Wrote { stdout, stderr })
}

/// Stores what an attempt wrote that was not private.
pub(super) async fn wrote_before(
    inner: &Inner,
    logs: &LogFiles,
) -> Result<Wrote, mc_content::Error> {
    let made = Deferred::new(inner.content.clone());
    let stdout = log(&logs.stdout, None, &made).await?;
    let stderr = log(&logs.stderr, None, &made).await?;
    made.flush().await?;
    Ok(Wrote { stdout, stderr })
}

async fn ending(inner: &Inner, attempt: &Attempt, scratch: &Scratch) -> Option<Ending> {
    let work = run(inner, attempt, scratch);
    let result = tokio::select! {
        biased;
        result = work => result,
        // The guest itself is stopped by the same token; this ends a fetch.
        () = stopped_for_long(attempt) => Err(Failure::Stopped),
    };
    Some(match result {
        Ok(completion) => Ending::Completed(Box::new(completion)),
        Err(Failure::Timeout) => Ending::Failed(FailureReason::Timeout),
        Err(Failure::Rejected(code, message)) => {
            Ending::Failed(FailureReason::Rejected { code, message })
        }
        Err(Failure::Infrastructure(code, message)) => {
            Ending::Failed(FailureReason::Infrastructure { code, message })
        }
        Err(Failure::Stopped) if inner.closing.is_cancelled() => return None,
        Err(Failure::Left) => return None,
        Err(Failure::Stopped) => Ending::Cancelled,
        Err(Failure::Refused(message)) => {
            let code = Some(ErrorCode::InvalidCheckpoint);
            Ending::Failed(FailureReason::Infrastructure { code, message })
        }
    })
}

/// Ends a while after the attempt was stopped, which is time enough for a guest to be.
async fn stopped_for_long(attempt: &Attempt) {
    attempt.controls.cancel.cancelled().await;
    tokio::time::sleep(Duration::from_millis(500)).await;
}

async fn run(inner: &Inner, attempt: &Attempt, scratch: &Scratch) -> Result<Completion, Failure> {
    let task = &attempt.spec.task;
    if task.determinism != Determinism::Deterministic {
        let reason = "relaxed tasks run on the machine of their owner only: mc-wasm run --relaxed";
        return Err(Failure::Rejected(None, reason.to_owned()));
    }
    let providers = attempt.coordinators.all();
    let source = Arc::new(inner.content.source(providers, None));
    let task_cid = attempt.known.task;
    let mut shelf = Shelf::new(inner, attempt);
    let mut checkpoints: VecDeque<_> = attempt.checkpoints.iter().copied().collect();
    let mut timeout = attempt.spec.timeout_ms.map(Duration::from_millis);
    loop {
        let loaded = going_on(inner, attempt, &mut checkpoints, (&task_cid, task), &source).await;
        let need = match (&loaded, attempt.spec.checkpoint_every) {
            (None, None) => Need::from(task.determinism),
            _ => Need::Resume,
        };
        let program = program(inner, attempt, &source, need).await?;
        if !program.stops() {
            attempt.controls.cannot_stop.cancel();
        }
        let begun = Instant::now();
        attempt.controls.begun.send_replace(Some(begun));
        if loaded.is_some() {
            scratch.create()?;
        }
        let made = Arc::new(Deferred::new(inner.content.clone()));
        let segment = Segment {
            made: Arc::clone(&made),
            program,
            loaded,
            storage: storage(inner),
            timeout,
        };
        let of = (inner, attempt);
        let ended = segment.run(of, &source, task_cid, &mut shelf).await;
        timeout = timeout.map(|timeout| timeout.saturating_sub(begun.elapsed()));
        match ended {
            Ok((execution, left)) => {
                return conclude(attempt, execution, left, task_cid, &made).await;
            }
            // The program was made to be stopped and no more: another one goes on.
            Err(Failure::Left) if !attempt.controls.leaving.is_cancelled() => {
                match shelf.newest.take() {
                    Some(newest) => checkpoints.push_front(newest),
                    None => {
                        let message = "a checkpoint was lost".to_owned();
                        return Err(Failure::Infrastructure(None, message));
                    }
                }
            }
            Err(Failure::Refused(reason)) if !checkpoints.is_empty() => {
                tracing::warn!(%reason, "a checkpoint was refused");
                checkpoints.pop_front();
            }
            Err(failure) => return Err(failure),
        }
    }
}

/// Reads the newest of the checkpoints that can be had and is one of the task's; those that are not are
/// removed. None if there is none: the task begins.
async fn going_on(
    inner: &Inner,
    attempt: &Attempt,
    checkpoints: &mut VecDeque<Cid>,
    (task_cid, task): (&Cid, &TaskSpec),
    source: &Arc<Source>,
) -> Option<Loaded> {
    while let Some(cid) = checkpoints.front().copied() {
        let providers = attempt.coordinators.all();
        let mut budget = budget::of_checkpoint(&task.limits);
        let fetched = inner
            .content
            .fetch_within(cid, providers, Some(FETCH_CHECKPOINT), &mut budget)
            .await;
        let loaded = match fetched {
            Ok(()) => {
                let (source, runtime) = (Arc::clone(source), tokio::runtime::Handle::current());
                let (task_cid, task) = (*task_cid, task.clone());
                let key = attempt.key.as_ref().map(TaskKey::checkpoints);
                let load = move || {
                    let of = (&task_cid, &task);
                    checkpoint::load(&cid, of, key.as_ref(), &source, &runtime)
                };
                match inner.on_thread(load).await {
                    Ok(loaded) => loaded.map_err(|e| e.to_string()),
                    Err(error) => Err(error.to_string()),
                }
            }
            Err(error) => Err(error.to_string()),
        };
        match loaded {
            Ok(loaded) => {
                tracing::info!(%cid, position = loaded.resume.position, "going on from a checkpoint");
                return Some(loaded);
            }
            Err(error) => {
                tracing::warn!(%cid, %error, "a checkpoint cannot be used");
                checkpoints.pop_front();
            }
        }
    }
    None
}

/// A part of an attempt: one instance of the guest.
struct Segment {
    /// Where its results go.
    made: Arc<Deferred>,
    program: Program,
    /// What it goes on from.
    loaded: Option<Loaded>,
    /// Where it keeps files that have no room in memory.
    storage: Arc<dyn Storage>,
    /// How long it may take.
    timeout: Option<Duration>,
}

impl Segment {
    /// Runs the guest until it ends or leaves.
    async fn run(
        self,
        (inner, attempt): (&Inner, &Attempt),
        source: &Arc<Source>,
        task_cid: Cid,
        shelf: &mut Shelf<'_>,
    ) -> Result<(Execution, Left), Failure> {
        let Self {
            made,
            program,
            loaded,
            storage,
            timeout,
        } = self;
        let task = &attempt.spec.task;
        let key = attempt.key.as_ref();
        let (mounts, roots) = world::of_task(task, key);
        let stdin = |cid| private::given(task, key, TaskSpec::STDIN, cid);
        let given = Given::new(
            roots,
            task.stdin
                .map_or(Stdin::Empty, |cid| Stdin::Root(Root::Content(stdin(cid)))),
            Box::new(move || Ok(mc_types::cid::digest(&task_cid))),
            Arc::clone(source),
            tokio::runtime::Handle::current(),
            attempt.controls.cancel.clone(),
        );
        let deadline = timeout.and_then(|timeout| Instant::now().checked_add(timeout));
        let position = loaded.as_ref().map_or(0, |loaded| loaded.resume.position);
        let (resume, [stdout, stderr]) = outputs(inner, attempt, loaded).await?;
        let (checkpoints, taking) = shelf.checkpoints(position);
        let invocation = Invocation {
            name: world::program_name(task.argv0.as_deref()),
            args: task.args.clone(),
            env: task.env.clone(),
            limits: task.limits,
            world: World::Deterministic {
                mounts,
                inputs: Box::new(given.until(deadline).stored(storage)),
                start_seconds: task.clock,
            },
            stdout,
            stderr,
            timeout,
            cancel: attempt.controls.cancel.clone(),
            checkpoints: Some(checkpoints),
            resume,
        };
        let dirs: Vec<_> = task.dirs.keys().cloned().collect();
        let runtime = tokio::runtime::Handle::current();
        let key = attempt.key.clone();
        let work = move || {
            let (dirs, key) = (&dirs, key.as_ref());
            run_and_collect(&program, invocation, (dirs, key), &made, &runtime)
        };
        // What is taken is stored while the guest goes on, and before it is said to have ended.
        let (ended, ()) = tokio::join!(inner.on_thread(work), shelf.take(taking));
        ended?
    }
}

/// Where a guest keeps files that have no room in memory.
fn storage(inner: &Inner) -> Arc<dyn Storage> {
    let disk = Arc::clone(&inner.options.caps.disk);
    let share = Share::new(disk, Purpose::Scratch);
    Arc::new(Spill::new(inner.options.scratch.clone(), share))
}

/// Where the guest writes: to files, which have already what it wrote before.
async fn outputs(
    inner: &Inner,
    attempt: &Attempt,
    loaded: Option<Loaded>,
) -> Result<(Option<Resume>, [Output; 2]), Failure> {
    let (stdout, stderr) = (attempt.logs.stdout.clone(), attempt.logs.stderr.clone());
    let Some(loaded) = loaded else {
        return Ok((None, [Output::File(stdout), Output::File(stderr)]));
    };
    let append = [
        Output::Append(stdout.clone()),
        Output::Append(stderr.clone()),
    ];
    let write = move || {
        let (mut stdout, mut stderr) = (File::create(stdout)?, File::create(stderr)?);
        loaded.write_output(&mut stdout, &mut stderr)?;
        Ok::<_, checkpoint::CheckpointError>(loaded.resume)
    };
    let written = inner.on_thread(write).await?;
    let resume = written.map_err(|e| Failure::Infrastructure(None, e.to_string()))?;
    Ok((Some(resume), append))
}

/// Guests compute without pause, and wait for what they read, so each has a thread that nobody else waits for.
fn run_and_collect(
    program: &Program,
    invocation: Invocation,
    (dirs, key): (&[String], Option<&TaskKey>),
    made: &Deferred,
    runtime: &tokio::runtime::Handle,
) -> Result<(Execution, Left), Failure> {
    let mut execution = program.run(invocation)?;
    let world = execution.world.as_mut();
    let lost = || Failure::Infrastructure(None, "no world was left".to_owned());
    let world = world.ok_or_else(lost)?;
    let left = world::collect(world, dirs, key, made, runtime)?;
    Ok((execution, left))
}

async fn program(
    inner: &Inner,
    attempt: &Attempt,
    source: &Source,
    need: Need,
) -> Result<Program, Failure> {
    let cid = attempt.spec.task.component;
    if let Some(program) = inner.engine.ready(&cid, need) {
        return Ok(program);
    }
    let engine = inner.engine.clone();
    let cached = inner.on_thread(move || engine.cached(&cid, need)).await;
    if let Some(program) = cached? {
        return Ok(program);
    }
    let bytes = unixfs::read_to_vec(source, cid, MAX_COMPONENT_BYTES).await?;
    // Together, compilers take no more memory than is lent to them.
    let permit = Arc::clone(&inner.compilers).acquire_owned().await;
    let permit = permit.map_err(|e| Failure::Infrastructure(None, e.to_string()))?;
    let (engine, cancel) = (inner.engine.clone(), attempt.controls.cancel.clone());
    let until = cancel.clone();
    let load = move || {
        let loaded = engine.load_until(&cid, &bytes, need, &until);
        // Not before: a compiler takes memory until it has ended, also if nobody waits for it any more.
        drop(permit);
        loaded
    };
    match inner.on_thread(load).await? {
        Err(_) if cancel.is_cancelled() => Err(Failure::Stopped),
        loaded => Ok(loaded?),
    }
}

/// Stores what the guest wrote, and states the outcome.
async fn conclude(
    attempt: &Attempt,
    execution: Execution,
    left: Left,
    task: Cid,
    made: &Deferred,
) -> Result<Completion, Failure> {
    let (stdout, stderr) = streams(attempt, made).await?;
    let rejected = |e: canonical::Error| Failure::Rejected(None, e.to_string());
    let outcome = Outcome {
        task,
        end: execution.end,
        stdout,
        stderr,
        outputs: left.outputs,
        dirs: left.dirs,
        fuel: execution.usage.fuel,
        meter: execution.meter,
    };
    let (outcome_cid, bytes) = canonical::encode(&outcome).map_err(rejected)?;
    made.finish(Block::encode(cid::DAG_CBOR, bytes)?).await?;
    Ok(Completion {
        outcome_cid,
        outcome,
        usage: execution.usage,
    })
}

/// What was written to both streams, as content.
async fn streams(attempt: &Attempt, made: &Deferred) -> Result<(Cid, Cid), mc_content::Error> {
    let key = |path| attempt.key.as_ref().map(|key| key.result(path));
    Ok((
        log(&attempt.logs.stdout, key(private::STDOUT), made).await?,
        log(&attempt.logs.stderr, key(private::STDERR), made).await?,
    ))
}

/// What was written to a stream, as content. There is no file if that was nothing.
async fn log(path: &Path, key: Option<Key>, made: &Deferred) -> Result<Cid, mc_content::Error> {
    let options = AddOptions {
        key,
        ..AddOptions::default()
    };
    let added = if path.exists() {
        unixfs::add_path(path, made, &options).await?
    } else {
        unixfs::add_reader(tokio::io::empty(), made, &options).await?
    };
    Ok(added.cid)
}
