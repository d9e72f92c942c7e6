//! Checkpoints of runs as files: CAR v1 with the checkpoint as its root and last block, and with the task, and the
//! component if that is a file.

use super::{What, differences::Differences};
use crate::{
    component::Component,
    failure::Failure,
    inputs::{self, Dirs, Input},
    job::Prepared,
    out, output,
};
use futures::stream;
use mc_config::ByteSize;
use mc_content::{AddOptions, Block, BlockSink, MemoryBlocks, car, unixfs};
use mc_execution::{
    Checkpoints, Start, StoppedTask, When,
    checkpoint::{CheckpointError, task_of},
    wasm::MAX_COMPONENT_BYTES,
};
use mc_options::{Resume as ResumeArgs, Run, Task};
use mc_types::{Cid, ErrorCode, TaskKind, TaskSpec, canonical, cid, with_causes};
use std::{
    io::{Read, Write},
    path::{Path, PathBuf},
    sync::Arc,
};

/// Bytes of a file that are read at a time.
const PIECE_BYTES: usize = 1 << 20;

/// Where a run resumes, and when it is stopped; none if neither was requested.
pub(super) fn checkpoints(
    prepared: &Prepared,
    from: Option<&From>,
    wanted: Option<(u64, &Path)>,
) -> Result<Option<Checkpoints>, Failure> {
    if from.is_none() && wanted.is_none() {
        return Ok(None);
    }
    let (task, _) =
        canonical::encode(&prepared.task).map_err(|e| Failure::internal(e.to_string()))?;
    if let Some(from) = from {
        from.check(&task, prepared)?;
    }
    Ok(Some(Checkpoints {
        task,
        start: from.map_or(Start::Anew, |from| Start::At(from.root)),
        when: wanted.map_or(When::Never, |(at, _)| When::LeaveAt(at)),
        most_file_bytes: u64::MAX,
    }))
}

/// Writes the checkpoint that a run left, with its blocks in `made`, to the file `path`. Returns the position.
pub(super) async fn save(
    path: &Path,
    left: &StoppedTask,
    (what, prepared): (&What, &Prepared),
    made: &MemoryBlocks,
) -> Result<u64, Failure> {
    let (root, position) = left.checkpoint.as_ref().map_err(failed)?;
    let sink = MemoryBlocks::default();
    if let Component::File(component) = &what.component {
        unixfs::add_path(component, &sink, &AddOptions::default()).await?;
    }
    let (_, bytes) =
        canonical::encode(&prepared.task).map_err(|e| Failure::internal(e.to_string()))?;
    sink.put_many(vec![Block::encode(cid::DAG_CBOR, bytes)?])
        .await?;
    let made = made.take().into_iter();
    let (last, others): (Vec<_>, Vec<_>) = made.partition(|block| block.cid() == root);
    sink.put_many(others).await?;
    let blocks = sink.into_blocks();
    let written = out::replace(path, |file| {
        file.write_all(&car::header(&[*root]))?;
        for block in blocks.iter().chain(&last) {
            for piece in car::section(block) {
                file.write_all(&piece)?;
            }
        }
        Ok(())
    });
    written.map_err(|e| Failure::path(path, &e))?;
    Ok(*position)
}

fn failed(error: &CheckpointError) -> Failure {
    Failure::new(ErrorCode::InvalidCheckpoint, with_causes(error))
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
    /// The component, if it was in the file.
    _component: Option<tempfile::NamedTempFile>,
}

impl From {
    /// Reads a file, and returns the run to resume.
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
        let task_cid = task_of(root.bytes()).map_err(|e| bad(&e.to_string()))?;
        let task = mc_content::BlockSource::get(&blocks, &task_cid).await;
        let task = task.map_err(|_| bad("it does not have the task"))?;
        let task: TaskSpec = canonical::decode(&task).map_err(|e| bad(&e.to_string()))?;
        let TaskKind::Wasm { component: program } = task.kind;
        let component = unixfs::read_to_vec(&blocks, program, MAX_COMPONENT_BYTES).await;
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
            None => program.to_string(),
        };
        let run = run_of(name, &task, args);
        let from = Self {
            name: path.display().to_string(),
            blocks: Arc::new(blocks),
            root: *root.cid(),
            task: task_cid,
            had: task,
            _component: component,
        };
        Ok((from, run))
    }

    /// The blocks of the file.
    pub(super) fn blocks(&self) -> Arc<MemoryBlocks> {
        Arc::clone(&self.blocks)
    }

    /// Checks that the checkpoint is of the task that was prepared.
    fn check(&self, task: &Cid, prepared: &Prepared) -> Result<(), Failure> {
        if *task == self.task {
            return Ok(());
        }
        let differences = Differences::between(&self.had, &prepared.task);
        let message = format!(
            "the checkpoint is of the task {}, this is {task}{}",
            self.task,
            differences.in_words()
        );
        let failure = Failure::new(ErrorCode::InvalidCheckpoint, message);
        Err(failure.with_hint(differences.hint()))
    }
}

/// The run of a task, with what was typed now.
fn run_of(component: String, task: &TaskSpec, args: ResumeArgs) -> Run {
    let limits = &task.limits;
    // The node looks for inputs that are not given as files of this machine.
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

/// The command that resumes a run. It needs the same files of this machine as the run.
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

/// Refuses a checkpoint file that would change the task's own inputs: the checkpoint would be of another task then.
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{job, typed};

    #[test]
    fn where_a_run_stops_and_where_the_checkpoint_goes_belong_together() {
        let both = typed::run(&["--checkpoint-at=5", "-o", "f", "x.wasm"]);
        assert_eq!(wanted(&both).unwrap(), Some((5, Path::new("f"))));
        assert_eq!(wanted(&typed::run(&["x.wasm"])).unwrap(), None);
        for words in [
            &["--checkpoint-at=5", "x.wasm"][..],
            &["-o", "f", "x.wasm"],
            &["--relaxed", "--checkpoint-at=5", "-o", "f", "x.wasm"],
        ] {
            let refused = wanted(&typed::run(words)).unwrap_err();
            assert_eq!(refused.code(), ErrorCode::Usage, "{words:?}");
        }
    }

    #[test]
    fn a_command_to_resume_with_names_what_the_run_was_given() {
        let words = ["--input=a=b c", "--dir=/d::/w", "--stdin=f", "x.wasm"];
        let task = typed::run(&words).task;
        assert_eq!(
            resumption(Path::new("half done.car"), &task),
            "mc-wasm resume 'half done.car' --input 'a=b c' --dir /d::/w --stdin FILE"
        );
    }

    #[test]
    fn a_checkpoint_replaces_nothing_that_the_task_is_given() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir(dir.path().join("in")).unwrap();
        std::fs::write(dir.path().join("x.wasm"), "").unwrap();
        let at = |name: &str| dir.path().join(name).display().to_string();
        let (component, input) = (at("x.wasm"), format!("--input=a={}", at("in")));
        let check = |output: &str| {
            let output = at(output);
            let run = typed::run(&["--checkpoint-at=5", "-o", &output, &input, &component]);
            check_place(&run, &Dirs::new())
        };
        check("half.car").unwrap();
        for within in ["in/half.car", "x.wasm"] {
            let refused = check(within).unwrap_err();
            assert_eq!(refused.code(), ErrorCode::Usage, "{within}");
        }
    }

    #[test]
    fn a_run_that_goes_on_has_the_limits_and_inputs_that_it_had() {
        let cid = cid::of(cid::RAW, b"input");
        let mut task = TaskSpec::wasm(cid).with_args(["--", "-n"]);
        task.limits.memory_bytes = 1 << 26;
        task.limits.scratch_files = 7;
        task.inputs = [("a".to_owned(), cid), ("b".to_owned(), cid)].into();
        task.env = [("K".to_owned(), "v=w".to_owned())].into();
        let typed = typed::resume(&["half.car", "--input=a=./x", "--timeout=5s"]);
        let run = run_of("x.wasm".to_owned(), &task, typed);
        assert_eq!(job::limits(&run.task), task.limits);
        assert_eq!(run.task.args, task.args);
        assert_eq!(run.task.env, ["K=v=w"]);
        assert_eq!(run.task.input, ["a=./x".to_owned(), format!("b={cid}")]);
        assert!(!run.relaxed && run.task.timeout.is_some());
    }
}
