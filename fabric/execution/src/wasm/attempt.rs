//! One attempt of a guest, from its starting point to its results.

use super::{
    recorder::{CheckpointRecorder, Taking},
    shared::{Shared, component},
};
use crate::{
    attempt::{AttemptContext, Ended, Finished, Leaves, Start, StoppedTask, When},
    blocks::Blocks,
    checkpoint::{self, CheckpointError, Loaded},
    deferred::Deferred,
    error::ExecutionError,
    outcome,
    streams::Streams,
    world::{self, TaskInputs, TaskOutputs},
};
use mc_content::TaskKey;
use mc_engine::{Execution, Invocation, Need, Output, Program, Resume, RunError, World};
use mc_types::{Cid, TaskSpec, with_causes};
use std::{
    collections::VecDeque,
    sync::Arc,
    time::{Duration, Instant},
};
use tokio::runtime::Handle;

/// Standard output and standard error from before the resume, if kept in memory.
type Before = Arc<[Vec<u8>; 2]>;

/// An execution that ended, and its results if they are collected; nothing for one that was stopped.
type Came = Option<(Execution, Option<TaskOutputs>)>;

/// Runs a guest until it has ended or left.
pub(super) async fn run(
    shared: &Shared,
    task: &TaskSpec,
    program: Program,
    cx: AttemptContext<'_>,
) -> Result<Finished, ExecutionError> {
    let mut recorder = CheckpointRecorder::new(shared, component(task), &cx);
    let (mut checkpoints, must_fit) = match cx.checkpoints.as_ref().map(|of| &of.start) {
        None | Some(Start::Anew) => (VecDeque::new(), false),
        Some(Start::At(checkpoint)) => (VecDeque::from([*checkpoint]), true),
        Some(Start::Newest(checkpoints)) => (checkpoints.clone(), false),
    };
    let mut attempt = Attempt {
        shared,
        task,
        cx: &cx,
        program,
        timeout: cx.timeout,
    };
    loop {
        let loaded = attempt.load(&mut checkpoints, must_fit).await?;
        if loaded.is_some() {
            attempt.prepare_to_go_on().await?;
        }
        match attempt.segment(loaded, recorder.as_mut()).await {
            Ok(Some(ended)) => return Ok(Finished::Ended(Box::new(ended))),
            Ok(None) => {
                let left = left(recorder.as_mut());
                match left.checkpoint {
                    // This program can stop but not resume, so another one continues.
                    Ok((checkpoint, _)) if !attempt.is_leaving() => {
                        checkpoints.push_front(checkpoint)
                    }
                    Err(error) if !attempt.is_leaving() => return Err(error.into()),
                    checkpoint => return Ok(Finished::Left(StoppedTask { checkpoint })),
                }
            }
            Err(ExecutionError::Unfit { reason }) if !must_fit && !checkpoints.is_empty() => {
                tracing::warn!(%reason, "a checkpoint was refused");
                checkpoints.pop_front();
            }
            Err(error) => return Err(error),
        }
    }
}

/// What a guest left that was stopped.
fn left(recorder: Option<&mut CheckpointRecorder<'_>>) -> StoppedTask {
    let lost = || CheckpointError::Encode("a checkpoint was lost".to_owned());
    let checkpoint = match recorder {
        Some(recorder) => match recorder.lost.take() {
            Some(error) => Err(error),
            None => recorder.newest.ok_or_else(lost),
        },
        None => Err(lost()),
    };
    StoppedTask { checkpoint }
}

/// An attempt that goes on.
struct Attempt<'a> {
    shared: &'a Shared,
    task: &'a TaskSpec,
    cx: &'a AttemptContext<'a>,
    program: Program,
    /// How long it may take from now on.
    timeout: Option<Duration>,
}

impl Attempt<'_> {
    /// Whether the attempt ends when its guest is stopped.
    fn is_leaving(&self) -> bool {
        let when = self.cx.checkpoints.as_ref().map(|of| of.when);
        matches!(when, Some(When::LeaveAt(_))) || self.cx.controls.leaving.is_cancelled()
    }

    /// Reads the newest checkpoint that is available and belongs to the task, and removes the ones before it that do
    /// not. None means that the task starts from the beginning.
    async fn load(
        &self,
        checkpoints: &mut VecDeque<Cid>,
        must_fit: bool,
    ) -> Result<Option<Loaded>, ExecutionError> {
        let Some(of) = &self.cx.checkpoints else {
            return Ok(None);
        };
        while let Some(cid) = checkpoints.front().copied() {
            match self.load_one(cid, of.task).await {
                Ok(loaded) => {
                    let position = loaded.resume.position;
                    tracing::info!(%cid, position, "going on from a checkpoint");
                    return Ok(Some(loaded));
                }
                Err(error) if must_fit => return Err(error),
                Err(error) => {
                    tracing::warn!(%cid, error = %with_causes(&error), "a checkpoint cannot be used");
                    checkpoints.pop_front();
                }
            }
        }
        Ok(None)
    }

    async fn load_one(&self, cid: Cid, task_cid: Cid) -> Result<Loaded, ExecutionError> {
        let (blocks, limits) = (Arc::clone(&self.cx.blocks), &self.task.limits);
        blocks.fetch_checkpoint(cid, limits).await?;
        let (task, runtime) = (self.task.clone(), Handle::current());
        let key = self.cx.key.as_ref().map(TaskKey::checkpoints);
        let load =
            move || checkpoint::load(&cid, (&task_cid, &task), key.as_ref(), &blocks, &runtime);
        Ok(self.shared.on_thread(load).await??)
    }

    /// Makes sure that the program can resume after a stop, if it can be stopped at all.
    async fn prepare_to_go_on(&mut self) -> Result<(), ExecutionError> {
        if !self.program.resumes() {
            let (cid, blocks) = (component(self.task), &self.cx.blocks);
            self.program = self.shared.program(cid, Need::Resume, blocks).await?;
        }
        Ok(())
    }

    /// Runs one instance of the guest until it ends; returns none if it leaves.
    async fn segment(
        &mut self,
        loaded: Option<Loaded>,
        recorder: Option<&mut CheckpointRecorder<'_>>,
    ) -> Result<Option<Ended>, ExecutionError> {
        let begun = Instant::now();
        self.cx.watch.begins();
        let made = Arc::new(Deferred::new(Arc::clone(&self.cx.blocks)));
        let position = loaded.as_ref().map_or(0, |loaded| loaded.resume.position);
        let (resume, [stdout, stderr], before) = self.outputs(loaded).await?;
        let (checkpoints, recording) = match recorder {
            Some(recorder) => {
                let (checkpoints, taking) = recorder.begin(position, Arc::clone(&before));
                (Some(checkpoints), Some((recorder, taking)))
            }
            None => (None, None),
        };
        let task = self.task;
        let invocation = Invocation {
            name: world::program_name(task.argv0.as_deref()),
            args: task.args.clone(),
            env: task.env.clone(),
            limits: task.limits,
            world: self.world(),
            stdout,
            stderr,
            timeout: self.timeout,
            cancel: self.cx.controls.cancel.clone(),
            checkpoints,
            resume,
        };
        let work = self.work(invocation, Arc::clone(&made));
        // A checkpoint is stored while the guest runs on, but before the end of the attempt is reported.
        let (ended, ()) = tokio::join!(self.shared.on_thread(work), record(recording));
        self.timeout = self
            .timeout
            .map(|timeout| timeout.saturating_sub(begun.elapsed()));
        match ended?? {
            Some((execution, outputs)) => {
                let ended = self.conclude((execution, &before), outputs, &made).await?;
                Ok(Some(ended))
            }
            None => Ok(None),
        }
    }

    /// Where the guest writes, and its earlier output. Files have the earlier output already.
    async fn outputs(
        &self,
        loaded: Option<Loaded>,
    ) -> Result<(Option<Resume>, [Output; 2], Before), ExecutionError> {
        let both = |output: Output| [output.clone(), output];
        let outputs = match &self.cx.streams {
            Streams::Files(files) => {
                let (stdout, stderr) = (files.stdout.clone(), files.stderr.clone());
                match &loaded {
                    Some(_) => [Output::Append(stdout), Output::Append(stderr)],
                    None => [Output::File(stdout), Output::File(stderr)],
                }
            }
            Streams::Memory => both(Output::Memory),
            Streams::Inherit => both(Output::Inherit),
            Streams::Copy => both(Output::Copy),
        };
        let Some(loaded) = loaded else {
            return Ok((None, outputs, Before::default()));
        };
        let streams = self.cx.streams.clone();
        let write = move || {
            let mut before: [Vec<u8>; 2] = Default::default();
            if let Streams::Files(files) = &streams {
                let [mut stdout, mut stderr] = files.create()?;
                loaded.write_output(&mut stdout, &mut stderr)?;
            } else {
                let [stdout, stderr] = &mut before;
                loaded.write_output(stdout, stderr)?;
            }
            Ok::<_, CheckpointError>((loaded.resume, before))
        };
        let (resume, before) = self.shared.on_thread(write).await??;
        Ok((Some(resume), outputs, Arc::new(before)))
    }

    fn world(&self) -> World {
        let given = match &self.cx.inputs {
            TaskInputs::Declared(given) => given,
            TaskInputs::Machine { mounts, stdin } => {
                return World::Relaxed {
                    mounts: mounts.clone(),
                    stdin: stdin.clone(),
                };
            }
        };
        let deadline = self
            .timeout
            .and_then(|timeout| Instant::now().checked_add(timeout));
        let blocks = Arc::clone(&self.cx.blocks);
        let inputs = given.open(blocks, self.cx.controls.cancel.clone());
        let mut inputs = inputs.until(deadline);
        if let Some(storage) = &self.cx.storage {
            inputs = inputs.stored(Arc::clone(storage));
        }
        World::Deterministic {
            mounts: given.mounts.clone(),
            inputs: Box::new(inputs),
            start_seconds: self.task.clock,
        }
    }

    /// The work on a guest's thread. Guests compute without pause and wait for their reads, so each has a thread that
    /// holds up nobody else. Collecting results may also wait for reads.
    fn work(
        &self,
        invocation: Invocation,
        made: Arc<Deferred<Arc<dyn Blocks>>>,
    ) -> impl FnOnce() -> Result<Came, ExecutionError> + Send + 'static + use<> {
        let (program, runtime) = (self.program.clone(), Handle::current());
        let dirs: Vec<_> = self.task.dirs.keys().cloned().collect();
        let (leaves, key) = (self.cx.leaves, self.cx.key.clone());
        move || {
            let Some(mut execution) = came(program.run(invocation))? else {
                return Ok(None);
            };
            let outputs = match leaves {
                Leaves::Kept => None,
                Leaves::Stored { .. } => {
                    let lost = || ExecutionError::Machine("no world was left".to_owned());
                    let world = execution.world.as_mut().ok_or_else(lost)?;
                    let left = world::collect(world, &dirs, key.as_ref(), &*made, &runtime)?;
                    Some(left)
                }
            };
            Ok(Some((execution, outputs)))
        }
    }

    /// Stores the guest's output, and makes the outcome, if the caller wants it.
    async fn conclude(
        &self,
        (execution, before): (Execution, &[Vec<u8>; 2]),
        outputs: Option<TaskOutputs>,
        made: &Deferred<Arc<dyn Blocks>>,
    ) -> Result<Ended, ExecutionError> {
        let [stdout_before, stderr_before] = before;
        let mut ended = Ended {
            end: execution.end,
            usage: execution.usage,
            meter: execution.meter,
            stdout: after(stdout_before, execution.stdout),
            stderr: after(stderr_before, execution.stderr),
            world: execution.world,
            completion: None,
        };
        if let (Leaves::Stored { task }, Some(outputs)) = (self.cx.leaves, outputs) {
            let wrote = (ended.stdout.as_slice(), ended.stderr.as_slice());
            let key = self.cx.key.as_ref();
            let wrote = self.cx.streams.add(wrote, key, made).await?;
            let (completion, block) = outcome::completion(task, &ended, outputs, wrote)?;
            made.finish(block).await?;
            ended.completion = Some(completion);
        }
        Ok(ended)
    }
}

/// Keeps what is taken, if anything is.
async fn record(recording: Option<(&mut CheckpointRecorder<'_>, Taking)>) {
    if let Some((recorder, taking)) = recording {
        recorder.take(taking).await;
    }
}

/// What was written before, and here.
fn after(before: &[u8], mut here: Vec<u8>) -> Vec<u8> {
    if !before.is_empty() {
        here.splice(0..0, before.iter().copied());
    }
    here
}

/// What an execution came to; nothing if the guest left.
fn came(executed: Result<Execution, RunError>) -> Result<Option<Execution>, ExecutionError> {
    Err(match executed {
        Ok(execution) => return Ok(Some(execution)),
        Err(RunError::Left) => return Ok(None),
        Err(RunError::Timeout { after }) => ExecutionError::Timeout { after },
        Err(RunError::Cancelled) => ExecutionError::Cancelled,
        Err(RunError::Refused { reason }) => ExecutionError::Unfit { reason },
        Err(RunError::TooMuch { reason }) => ExecutionError::TooMuch { reason },
        Err(RunError::OutputClosed) => ExecutionError::OutputClosed,
        Err(RunError::Unreadable(reason)) => ExecutionError::Unreadable(reason),
        Err(RunError::Unusable(reason)) => ExecutionError::Unusable(reason),
        Err(RunError::Host(reason)) => ExecutionError::Machine(reason),
    })
}
