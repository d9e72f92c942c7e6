//! Checkpoints of runs as files: CAR v1, of which the root and the last block is the checkpoint, with the
//! task and the component if that is a file.

use super::{What, differences::Differences};
use crate::{
    component::Component,
    failure::Failure,
    inputs::{self, Dirs, Input},
    job::Prepared,
    out, output,
};
use futures::stream;
use mc_checkpoint::snapshot::Checkpoint;
use mc_content::{AddOptions, Block, BlockSink, MemoryBlocks, car, unixfs};
use mc_engine::{Bell, Checkpoints, Keeper, MAX_COMPONENT_BYTES, Next, RunError, Saved, Stopped};
use mc_execution::checkpoint::{self, Output, Writer};
use mc_node::config::ByteSize;
use mc_options::{Resume as ResumeArgs, Run, Task};
use mc_types::{Cid, ErrorCode, TaskSpec, canonical, cid};
use std::{
    io::{Cursor, Read, Write},
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
};
use tokio::runtime::Handle;

/// Bytes of a file that are read at a time.
const PIECE_BYTES: usize = 1 << 20;

/// What was taken of a run.
#[derive(Debug, Clone, Default)]
pub(super) struct Slot(Arc<Mutex<Option<Kept>>>);

#[derive(Debug)]
struct Kept {
    saved: Saved,
    stdout: Vec<u8>,
    stderr: Vec<u8>,
}

impl Keeper for Slot {
    fn keep(&mut self, stopped: &Stopped<'_>) -> Result<Next, RunError> {
        let kept = Kept {
            saved: stopped.save(None),
            stdout: stopped.stdout.to_vec(),
            stderr: stopped.stderr.to_vec(),
        };
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(kept);
        Ok(Next::Leave)
    }
}

impl Slot {
    /// Stops a run at the first site beyond `position`.
    pub(super) fn at(&self, position: u64) -> Checkpoints {
        Checkpoints {
            first: Some(position),
            bell: Bell::default(),
            keeper: Box::new(self.clone()),
        }
    }

    /// Writes what was taken to the file `path`. Gives the position.
    pub(super) async fn save(
        &self,
        path: &Path,
        what: &What,
        prepared: &Prepared,
        before: Option<&From>,
    ) -> Result<u64, Failure> {
        let kept = self.0.lock().unwrap_or_else(PoisonError::into_inner).take();
        let kept = kept.ok_or_else(|| Failure::internal("nothing was taken"))?;
        let sink = MemoryBlocks::default();
        if let Component::File(component) = &what.component {
            unixfs::add_path(component, &sink, &AddOptions::default()).await?;
        }
        let (task, bytes) =
            canonical::encode(&prepared.task).map_err(|e| Failure::internal(e.to_string()))?;
        let mut blocks = vec![Block::encode(cid::DAG_CBOR, bytes)?];
        let all = |before: Option<&Vec<u8>>, now: &[u8]| {
            [before.map(Vec::as_slice).unwrap_or_default(), now].concat()
        };
        let stdout = all(before.map(|from| &from.stdout), &kept.stdout);
        let stderr = all(before.map(|from| &from.stderr), &kept.stderr);
        let bytes = |stream: &Vec<u8>| u64::try_from(stream.len()).unwrap_or(u64::MAX);
        let output = Output {
            stdout: (&mut Cursor::new(&stdout), bytes(&stdout)),
            stderr: (&mut Cursor::new(&stderr), bytes(&stderr)),
        };
        let mut made = Vec::new();
        let mut writer = Writer::new(task, prepared.task.component, None);
        let root = writer
            .write(&kept.saved, output, &mut |block| made.push(block))
            .map_err(failed)?;
        let verified = |(cid, bytes): (Cid, Vec<u8>)| Block::new(cid, bytes.into());
        blocks.extend(
            made.into_iter()
                .map(verified)
                .collect::<Result<Vec<_>, _>>()?,
        );
        sink.put_many(blocks).await?;
        let root = verified(root)?;
        let blocks = sink.into_blocks();
        let written = out::replace(path, |file| {
            file.write_all(&car::header(&[*root.cid()]))?;
            for block in blocks.iter().chain([&root]) {
                for piece in car::section(block) {
                    file.write_all(&piece)?;
                }
            }
            Ok(())
        });
        written.map_err(|e| Failure::path(path, &e))?;
        Ok(kept.saved.position)
    }
}

fn failed(error: checkpoint::CheckpointError) -> Failure {
    Failure::new(ErrorCode::InvalidCheckpoint, error.to_string())
}

/// What a run goes on from.
#[derive(Debug)]
pub(super) struct From {
    /// The file, as it was typed.
    pub(super) name: String,
    blocks: Arc<MemoryBlocks>,
    root: Cid,
    task: Cid,
    /// The same task, with what it was given.
    had: TaskSpec,
    pub(super) stdout: Vec<u8>,
    pub(super) stderr: Vec<u8>,
    /// The component, if it was in the file.
    _component: Option<tempfile::NamedTempFile>,
}

impl From {
    /// Reads a file, and says what is to be run: what the run was that the file is of.
    pub(super) async fn read(args: ResumeArgs) -> Result<(Self, Run), Failure> {
        let path = args.snapshot.clone();
        let bad = |reason: &str| {
            let message = format!("{}: {reason}", path.display());
            Failure::new(ErrorCode::InvalidCheckpoint, message)
        };
        let mut file = std::fs::File::open(&path).map_err(|e| Failure::path(&path, &e))?;
        let pieces = std::iter::from_fn(move || {
            let mut piece = vec![0; PIECE_BYTES];
            match file.read(&mut piece) {
                Ok(0) => None,
                Ok(read) => {
                    piece.truncate(read);
                    Some(Ok(piece.into()))
                }
                Err(error) => Some(Err(error)),
            }
        });
        let mut reader = car::Reader::new(stream::iter(pieces));
        let blocks = MemoryBlocks::default();
        let mut last = None;
        let no_car = |error: mc_content::Error| {
            let failure: Failure = error.into();
            failure.about(&path.display().to_string())
        };
        while let Some(block) = reader.next().await.map_err(no_car)? {
            last = Some(block.clone());
            blocks.put_many(vec![block]).await?;
        }
        let root = last.ok_or_else(|| bad("it has no blocks"))?;
        let checkpoint = Checkpoint::read(root.bytes()).map_err(|e| bad(&e.to_string()))?;
        let task = mc_content::BlockSource::get(&blocks, &checkpoint.task).await;
        let task = task.map_err(|_| bad("it does not have the task"))?;
        let task: TaskSpec = canonical::decode(&task).map_err(|e| bad(&e.to_string()))?;
        let component = unixfs::read_to_vec(&blocks, task.component, MAX_COMPONENT_BYTES).await;
        let component = component.ok().map(|bytes| {
            let mut file = tempfile::NamedTempFile::new()?;
            file.write_all(&bytes)?;
            Ok::<_, std::io::Error>(file)
        });
        let component = component
            .transpose()
            .map_err(|e| Failure::path(&std::env::temp_dir(), &e))?;
        let name = match &component {
            Some(file) => file.path().display().to_string(),
            None => task.component.to_string(),
        };
        let run = run_of(name, &task, args);
        let from = Self {
            name: path.display().to_string(),
            blocks: Arc::new(blocks),
            root: *root.cid(),
            task: checkpoint.task,
            had: task,
            stdout: Vec::new(),
            stderr: Vec::new(),
            _component: component,
        };
        Ok((from, run))
    }

    /// Checks that the checkpoint is of the task that was prepared, and gives the state.
    pub(super) fn load(
        &mut self,
        prepared: &Prepared,
        runtime: &Handle,
    ) -> Result<mc_engine::Resume, Failure> {
        let (task, _) =
            canonical::encode(&prepared.task).map_err(|e| Failure::internal(e.to_string()))?;
        if task != self.task {
            let differences = Differences::between(&self.had, &prepared.task);
            let message = format!(
                "the checkpoint is of the task {}, this is {task}{}",
                self.task,
                differences.in_words()
            );
            let failure = Failure::new(ErrorCode::InvalidCheckpoint, message);
            return Err(failure.with_hint(differences.hint()));
        }
        let loaded = {
            let of = (&task, &prepared.task);
            checkpoint::load(&self.root, of, None, &self.blocks, runtime)
        };
        let loaded = loaded.map_err(failed)?;
        let written = loaded.write_output(&mut self.stdout, &mut self.stderr);
        written.map_err(failed)?;
        Ok(loaded.resume)
    }
}

/// The run of a task, with what was typed now.
fn run_of(component: String, task: &TaskSpec, args: ResumeArgs) -> Run {
    let limits = &task.limits;
    // Inputs that are not given as files of this machine are looked for where the node finds them.
    let is_typed = |name: &str| {
        let mut names = args.input.iter().filter_map(|input| input.split_once('='));
        names.any(|(typed, _)| typed == name)
    };
    let others = task.inputs.iter().filter(|(name, _)| !is_typed(name));
    let others: Vec<_> = others.map(|(name, cid)| format!("{name}={cid}")).collect();
    let input = [args.input, others].concat();
    Run {
        task: Task {
            component,
            argv0: task.argv0.clone(),
            args: task.args.clone(),
            input,
            out: args.out,
            env: task
                .env
                .iter()
                .map(|(name, value)| format!("{name}={value}"))
                .collect(),
            stdin: args.stdin,
            fuel: limits.fuel,
            memory: Some(ByteSize(limits.memory_bytes)),
            output: Some(ByteSize(limits.output_bytes)),
            scratch: Some(ByteSize(limits.scratch_bytes)),
            files: Some(limits.scratch_files),
            handles: Some(limits.handles),
            stack: Some(ByteSize(limits.stack_bytes)),
            table: Some(limits.table_entries),
            clock: task.clock,
            dir: args.dir,
            timeout: args.timeout,
            bin: None,
        },
        engine: args.engine,
        relaxed: false,
        checkpoint_at: args.checkpoint_at,
        checkpoint: args.checkpoint,
    }
}

/// The command that goes on with a run: it has to be given what the run had of this machine's.
pub(super) fn resumption(path: &Path, task: &Task) -> String {
    let mut command = format!("mc-wasm resume {}", output::quoted(&path.to_string_lossy()));
    let inputs = task.input.iter().map(|input| ("--input", input));
    let dirs = task.dir.iter().map(|dir| ("--dir", dir));
    for (flag, given) in inputs.chain(dirs) {
        command.push_str(&format!(" {flag} {}", output::quoted(given)));
    }
    if task.stdin.is_some() {
        command.push_str(" --stdin FILE");
    }
    command
}

/// Refuses a checkpoint that would replace or change what the task is given: it would be of a task that is no more.
pub(super) fn check_place(run: &Run, dirs: &Dirs) -> Result<(), Failure> {
    let Some((_, path)) = wanted(run)? else {
        return Ok(());
    };
    let above = path.parent().filter(|above| !above.as_os_str().is_empty());
    let Ok(above) = above.unwrap_or_else(|| Path::new(".")).canonicalize() else {
        return Ok(());
    };
    let Some(name) = path.file_name() else {
        return Ok(());
    };
    // A link to a file is followed when it is read, and replaced when it is written.
    let (place, there) = (above.join(name), path.canonicalize().ok());
    let inputs = inputs::inputs(&run.task.input)?;
    let inputs = inputs.values().filter_map(|input| match input {
        Input::Path(path) => Some(path.as_path()),
        Input::Cid(_) => None,
    });
    let stdin = run.task.stdin.as_deref().map(Path::new);
    // One that is built is no part of what it is built from.
    let component = Some(Path::new(&run.task.component)).filter(|path| path.is_file());
    let dirs = dirs.values().map(PathBuf::as_path);
    let mut given = dirs.chain(inputs).chain(stdin).chain(component);
    let within = given.find(|given| {
        let real = given.canonicalize().ok();
        real.is_some_and(|real| place.starts_with(&real) || there.as_ref() == Some(&real))
    });
    let Some(within) = within else {
        return Ok(());
    };
    let (path, within) = (path.display(), within.display());
    let message = format!("-o: {path} is, or lies in, {within}, which the task is given");
    Err(Failure::usage(message).with_hint("name a file elsewhere"))
}

/// Both are needed, or none.
pub(super) fn wanted(run: &Run) -> Result<Option<(u64, &Path)>, Failure> {
    match (run.checkpoint_at, &run.checkpoint) {
        (Some(at), Some(path)) if !run.relaxed => Ok(Some((at, path))),
        (None, None) => Ok(None),
        _ if run.relaxed => Err(Failure::usage("relaxed tasks have no checkpoints")),
        _ => Err(Failure::usage("--checkpoint-at and -o belong together")),
    }
}
