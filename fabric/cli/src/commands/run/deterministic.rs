//! A run with an outcome that is the same everywhere.

use super::{Ready, What, blocks::RunBlocks, checkpoint, conclude_failed, context, execute, view};
use crate::{
    connect::{self, Connection},
    exit,
    failure::Failure,
    follow,
    inputs::{self, Input},
    job::{self, Prepared},
    leave::{self, OutputsReport},
    output, progress,
};
use mc_api::JobView;
use mc_content::CountingSink;
use mc_execution::{
    Ended, ExecutionError, Finished, Streams, completion,
    world::{self, DeclaredInputs, Root, Seed, Seen, Spool, Stdin, TaskInputs},
};
use mc_options::{Format, Global, Run};
use mc_types::{Determinism, ErrorCode, canonical, cid};
use mc_wasi::{Mount, Stop};
use std::{
    path::PathBuf,
    process::ExitCode,
    sync::{Arc, Mutex},
    time::Duration,
};
use tokio::runtime::Handle;

/// How long a node may look whether it has all of the inputs.
const LACKING_WITHIN: Duration = Duration::from_secs(2);

pub(super) async fn run(
    global: &Global,
    ready: Ready,
    what: Arc<What>,
    from: Option<checkpoint::From>,
) -> Result<ExitCode, Failure> {
    let args = &what.args;
    let name = what.name.clone();
    let wanted = checkpoint::wanted(args)?;
    leave::recover(global, what.dirs.values())?;
    let (mounts, roots) = directories(&what)?;
    let dirs = dirs(&what, &mounts);
    let seen = Seen::default();
    if from.is_some() {
        // The guest saw some entries before it was stopped, and will not look at them again. This look makes later
        // edits recognisable.
        for dir in &dirs {
            let walked = seen.walk(dir.mount, &dir.host);
            walked.map_err(|(path, e)| Failure::path(&path, &e))?;
        }
    }
    // Only then is the task's CID needed; a seed alone may not be needed at all.
    let prepared = if global.format == Format::Json || wanted.is_some() || from.is_some() {
        Some(prepare(&what).await?)
    } else {
        None
    };
    let remote = roots
        .iter()
        .flatten()
        .any(|root| matches!(root, Root::Content(_)));
    let connection = match remote {
        true => Some(connect::connect(global).await?),
        false => None,
    };
    if let Some(connection) = &connection {
        tell_of_lacking(global, args, connection).await;
    }
    if wanted.is_some() && !ready.prepared.can_checkpoint() {
        let message = "this component cannot be stopped; mc-wasm inspect says why";
        return Err(Failure::new(ErrorCode::CannotStop, message));
    }
    let inputs = given(&what, &mounts, roots, prepared.as_ref(), &seen)?;
    let blocks = Arc::new(RunBlocks {
        had: from.as_ref().map(checkpoint::From::blocks),
        remote: connection
            .as_ref()
            .map(|connection| connection.client.blocks(None)),
        ..RunBlocks::default()
    });
    let mut context = context(global, args, TaskInputs::Declared(inputs), blocks.clone());
    if let Some(prepared) = &prepared {
        context.checkpoints = checkpoint::checkpoints(prepared, from.as_ref(), wanted)?;
    }
    let executed = execute(ready, context).await;
    if let (Some(Ok(Finished::Left(left))), Some((_, path)), Some(prepared)) =
        (&executed, wanted, &prepared)
    {
        let position = checkpoint::save(path, left, (&what, prepared), &blocks.made).await?;
        let next = format!(
            "stopped at position {position}; go on with: {}",
            checkpoint::resumption(path, &args.task)
        );
        output::note(global, &next);
        return Ok(ExitCode::SUCCESS);
    }
    if let (Some(Ok(Finished::Ended(ended))), Some((at, path))) = (&executed, wanted) {
        let (position, path) = (ended.usage.fuel, path.display());
        output::error(&format!(
            "it ended at position {position}, with no site beyond {at}: it was not stopped, and {path} was not written"
        ));
    }
    let ended = finish(executed, &what, (dirs, seen), prepared).await;
    let lacking = match (&ended, &connection) {
        (Ok(Some(Err(ExecutionError::Machine(_)))), Some(connection)) => {
            what_lacks(args, connection).await
        }
        _ => None,
    };
    if let Some(connection) = connection {
        connection.close().await;
    }
    if let Some(failure) = lacking {
        return Err(failure);
    }
    match ended? {
        Some(Ok((job, left))) => {
            let json = global.format == Format::Json;
            let code = job.and_then(|job| follow::conclude(global, &job, &name));
            let code = code.unwrap_or_else(|failure| failure.report(json));
            Ok(leave::conclude(json, code, left))
        }
        Some(Err(error)) => conclude_failed(global, &name, error),
        None => Ok(ExitCode::from(exit::CANCELLED)),
    }
}

/// Inputs that the node does not have completely; `None` if it does not answer.
async fn lacking(args: &Run, connection: &Connection) -> Option<Vec<String>> {
    let inputs = inputs::inputs(&args.task.input).ok()?.into_iter();
    let inputs = inputs.filter_map(|(name, input)| match input {
        Input::Cid(cid) => Some((name, cid)),
        Input::Path(_) => None,
    });
    let inputs: Vec<_> = inputs.collect();
    let roots = inputs.iter().map(|(_, cid)| *cid).collect();
    let missing = connection.client.missing(roots).await.ok()?;
    let lacking = inputs
        .into_iter()
        .filter(|(_, cid)| missing.contains(cid))
        .map(|(name, _)| name);
    Some(lacking.collect())
}

/// Says at once which inputs a guest may wait for in vain.
async fn tell_of_lacking(global: &Global, args: &Run, connection: &Connection) {
    if progress::peers(&connection.client).await != Some(0) {
        return;
    }
    let lacking = tokio::time::timeout(LACKING_WITHIN, lacking(args, connection)).await;
    if let Ok(Some(names)) = lacking
        && !names.is_empty()
    {
        let names = names.join(", ");
        let note = format!(
            "parts are missing here, and no other node is connected yet that could have them: {names}"
        );
        output::note(global, &note);
    }
}

/// The reason of a failed run, if the node lacks parts of an input and finds them nowhere.
async fn what_lacks(args: &Run, connection: &Connection) -> Option<Failure> {
    let names = lacking(args, connection).await?;
    if names.is_empty() {
        return None;
    }
    let flags: Vec<_> = names
        .iter()
        .map(|name| format!("--input {name}=PATH"))
        .collect();
    let names = names.join(", ");
    let message = format!("no reachable node has all of the input: {names}");
    let failure = Failure::new(ErrorCode::ContentNotFound, message);
    Some(failure.with_hint(format!(
        "give it as a file or directory: {}",
        flags.join(" ")
    )))
}

async fn prepare(what: &What) -> Result<Prepared, Failure> {
    job::prepare(
        (&what.args.task, &what.dirs),
        &what.component,
        Determinism::Deterministic,
        &what.known,
        None,
    )
    .await
}

/// The guest's directories and what they are made from.
fn directories(what: &What) -> Result<(Vec<Mount>, Vec<Option<Root>>), Failure> {
    let inputs = inputs::inputs(&what.args.task.input)?.into_iter();
    let inputs = inputs.map(|(name, input)| match input {
        Input::Cid(cid) => (name, Root::Content(cid.into())),
        Input::Path(path) => (name, Root::Path(path)),
    });
    let dirs = what.dirs.iter();
    let dirs = dirs.map(|(guest, host)| (guest.clone(), Root::Path(host.clone())));
    Ok(world::mounts(inputs, dirs))
}

fn given(
    what: &Arc<What>,
    mounts: &[Mount],
    roots: Vec<Option<Root>>,
    prepared: Option<&Prepared>,
    seen: &Seen,
) -> Result<DeclaredInputs, Failure> {
    let args = &what.args;
    let stdin = match (&args.task.stdin, prepared) {
        (Some(path), _) => Stdin::Root(Root::Path(PathBuf::from(path))),
        // Who asks for an outcome says what it is the outcome of.
        (None, Some(_)) => Stdin::Empty,
        (None, None) => {
            let spool = tempfile::tempfile();
            let spool = spool.map_err(|e| Failure::path(&std::env::temp_dir(), &e))?;
            Stdin::Inherit(Arc::new(Mutex::new(Spool::new(spool))))
        }
    };
    let seed: Seed = match prepared {
        Some(prepared) => {
            let (task, _) = canonical::encode(&prepared.task).map_err(internal)?;
            Arc::new(move || Ok(cid::digest(&task)))
        }
        None => {
            let (what, runtime) = (Arc::clone(what), Handle::current());
            Arc::new(move || {
                let prepared = runtime.block_on(prepare(&what));
                let prepared = prepared.map_err(|e| Stop::Host(e.message().to_owned()))?;
                let encoded = canonical::encode(&prepared.task);
                let (task, _) = encoded.map_err(|e| Stop::Host(e.to_string()))?;
                Ok(cid::digest(&task))
            })
        }
    };
    Ok(DeclaredInputs {
        mounts: mounts.to_vec(),
        roots,
        stdin,
        seed,
        seen: Some(seen.clone()),
    })
}

fn internal(error: canonical::Error) -> Failure {
    Failure::internal(error.to_string())
}

/// How a run ended, if known, and whether its results were written.
type Told = (Result<JobView, Failure>, Result<OutputsReport, Failure>);
type Came = Option<Result<Told, ExecutionError>>;

/// Runs the program, writes what it left to disk, and tells how it ended.
async fn finish(
    executed: Option<Result<Finished, ExecutionError>>,
    what: &Arc<What>,
    (dirs, seen): (Vec<leave::GivenDirectory>, Seen),
    prepared: Option<Prepared>,
) -> Result<Came, Failure> {
    let mut ended = match executed {
        Some(Ok(Finished::Ended(ended))) => ended,
        Some(Ok(Finished::Left(_))) => {
            return Err(Failure::internal("it left without being asked to"));
        }
        Some(Err(error)) => return Ok(Some(Err(error))),
        None => return Ok(None),
    };
    let (what, runtime) = (Arc::clone(what), Handle::current());
    let work = move || {
        // Results that are too large for an outcome can still be written to disk.
        let view = match &prepared {
            Some(prepared) => view_of(&mut ended, prepared, &runtime),
            None => Ok(view::brief(&ended)),
        };
        let out = what.args.task.out.as_deref();
        let left = match &mut ended.world {
            Some(world) => leave::leave_run(world, out, &dirs, &seen),
            None => Ok(OutputsReport::default()),
        };
        (view, left)
    };
    let done = tokio::task::spawn_blocking(work).await;
    let told = done.map_err(|e| Failure::internal(e.to_string()))?;
    Ok(Some(Ok(told)))
}

/// The user's own directories, with their numbers among the mounts.
fn dirs(what: &What, mounts: &[Mount]) -> Vec<leave::GivenDirectory> {
    let given = what.dirs.iter().filter_map(|(guest, host)| {
        let mut mounts = (0..).zip(mounts);
        let (mount, _) = mounts.find(|(_, mount)| mount.path == *guest)?;
        let (guest, host) = (guest.clone(), host.clone());
        Some(leave::GivenDirectory { mount, guest, host })
    });
    given.collect()
}

/// How it ended, with every CID that a node would give.
fn view_of(ended: &mut Ended, prepared: &Prepared, runtime: &Handle) -> Result<JobView, Failure> {
    let sink = CountingSink::default();
    let (task, _) = canonical::encode(&prepared.task).map_err(internal)?;
    let outputs = match &mut ended.world {
        Some(world) => world::collect(world, prepared.task.dirs.keys(), None, &sink, runtime)?,
        None => return Err(Failure::internal("no world was left".to_owned())),
    };
    let wrote = (ended.stdout.as_slice(), ended.stderr.as_slice());
    let wrote = runtime.block_on(Streams::Memory.add(wrote, None, &sink))?;
    let (completion, _) = completion(task, ended, outputs, wrote)?;
    Ok(JobView {
        attempts: 1,
        ..JobView::from(&completion)
    })
}
