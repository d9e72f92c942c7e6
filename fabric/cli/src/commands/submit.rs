//! `submit`

use crate::{
    component::{self, Component},
    connect::{self, Connection},
    exit,
    failure::Failure,
    follow::{self, Ended},
    hand_in::{self, HandedIn},
    hidden,
    inputs::{self, Dirs},
    job,
    known_files::KnownFiles,
    leave::{self, OutputsReport},
    output, unread,
};
use mc_api::JobView;
use mc_content::TaskKey;
use mc_execution::{wasm, world::Seen};
use mc_node::Mode;
use mc_options::{Format, Global, Links, Submit};
use mc_types::{Determinism, JobId, JobSpec};
use std::{path::Path, process::ExitCode};

pub(super) async fn run(global: &Global, args: Submit) -> Result<ExitCode, Failure> {
    let dirs = inputs::dirs(&args.task.dir)?;
    leave::check(args.task.out.as_deref(), &dirs)?;
    job::validate_submit(&args, &dirs)?;
    hidden::tell(global, &dirs, Determinism::Deterministic);
    // Quick checks come before steps that take long or need a node.
    let mut named = None;
    if Path::new(&args.task.component).is_dir() {
        named = Some(connect::named(global).await?);
    }
    if args.task.stdin.is_none() {
        unread::tell(global);
    }
    let component = component::resolve(&args.task.component, args.task.bin.as_deref(), global)?;
    if let Component::File(path) = &component {
        check(path)?;
    }
    let named = match named {
        Some(named) => named,
        None => connect::named(global).await?,
    };
    leave::recover(global, dirs.values())?;
    let seen = look(&dirs)?;
    let known = KnownFiles::below(connect::cache(global)?.as_ref().map(|cache| &*cache.dir));
    let key = args.encrypt.then(TaskKey::generate);
    let prepared = job::prepare(
        (&args.task, &dirs),
        &component,
        Determinism::Deterministic,
        &known,
        key,
    );
    let prepared = prepared.await?;
    let spec = job::spec(&args, prepared.task.clone())?;
    let mode = if args.detach {
        Mode::HandIn
    } else {
        Mode::Embedded
    };
    let connection = connect::connect_as(global, mode, named).await?;
    let given = Submission {
        prepared: &prepared,
        dirs: &dirs,
        seen: &seen,
    };
    let done = submit(global, &connection, &args, &given, spec).await;
    connection.close().await;
    done
}

/// What a job is given.
struct Submission<'a> {
    prepared: &'a job::Prepared,
    /// The user's own directories.
    dirs: &'a Dirs,
    /// What was in them.
    seen: &'a Seen,
}

/// Refuses what no node could run before anything is sent.
fn check(path: &Path) -> Result<(), Failure> {
    // It is read here, and again when it is sent.
    inputs::check_file(path)?;
    let metadata = std::fs::metadata(path).map_err(|e| Failure::path(path, &e))?;
    let bytes = component::read(path, &metadata)?;
    let checked = wasm::check(&bytes);
    let checked = checked.and_then(|_| wasm::check_proposals(&bytes));
    checked.map_err(|e| Failure::from(e).about(&path.display().to_string()))
}

async fn submit(
    global: &Global,
    connection: &Connection,
    args: &Submit,
    given: &Submission<'_>,
    spec: JobSpec,
) -> Result<ExitCode, Failure> {
    let client = &connection.client;
    let key = given.prepared.key.as_ref();
    let (id, submitted) = match hand_in::hand_in(global, client, given.prepared, spec).await? {
        HandedIn::Job { id, job } => (id, *job),
        HandedIn::Unknown { id, failure } => {
            let again = follow::command(global, "status", id);
            return Ok(follow::lost(global, id, &again, failure));
        }
    };
    output::note(global, &format!("job {id}"));
    if args.detach {
        tell_of_dirs(global, args, id);
        if connection.is_embedded().await {
            output::note(
                global,
                "it stays queued until a node runs here: mc-wasm node",
            );
        } else {
            follow::tell_why(global, &submitted);
        }
        output::value(global, &submitted, |job| {
            job.id.map(|id| id.to_string()).unwrap_or_default()
        })?;
        return Ok(ExitCode::SUCCESS);
    }
    match follow::to_end(client, global, submitted, Some(key)).await? {
        Ended::Job(job) => {
            // Each is tried, whatever becomes of the other.
            let written = match &args.task.out {
                Some(out) => leave_outputs(global, connection, (&job, id), key, out).await,
                None => Ok(()),
            };
            let left = leave_dirs(connection, &job, given);
            // What is in /out has been written.
            let later = result_later(global, args, id, None);
            let left = left.map_err(|failure| match later {
                Some(later) => failure.with_hint(format!("then: {later}")),
                None => failure,
            });
            let json = global.format == Format::Json;
            let code = follow::conclude(global, &job, &args.task.component);
            let code = code.unwrap_or_else(|failure| failure.report(json));
            let code = leave::conclude(json, code, written.map(|()| OutputsReport::default()));
            Ok(leave::conclude(json, code, left))
        }
        Ended::Lost(failure) => {
            tell_of_dirs(global, args, id);
            let again = follow::command(global, "wait", id);
            Ok(follow::lost(global, id, &again, failure))
        }
        Ended::Detached => {
            let goes_on = if connection.is_embedded().await {
                format!("job {id} stays queued; it runs when a node runs here: mc-wasm node")
            } else {
                let [wait, cancel] =
                    ["wait", "cancel"].map(|command| follow::command(global, command, id));
                format!("job {id} goes on; follow it with: {wait}; stop it with: {cancel}")
            };
            output::note(global, &goes_on);
            tell_of_dirs(global, args, id);
            Ok(ExitCode::from(exit::DETACHED))
        }
    }
}

/// Says how people get what a job leaves that nobody waits for.
fn tell_of_dirs(global: &Global, args: &Submit, id: JobId) {
    let out = args.task.out.as_deref();
    if let Some(later) = result_later(global, args, id, out) {
        let what = match args.task.dir.is_empty() {
            true => "fetch what it left",
            false => "change the directories as it did",
        };
        output::note(global, &format!("when it has ended, {what} with: {later}"));
    }
}

/// The command that fetches the job's results, and applies its changes to the directories.
fn result_later(global: &Global, args: &Submit, id: JobId, out: Option<&Path>) -> Option<String> {
    if args.task.dir.is_empty() && out.is_none() {
        return None;
    }
    let mut command = follow::command(global, "result", id);
    if let Some(out) = out {
        command.push_str(" --out ");
        command.push_str(&output::quoted(&out.to_string_lossy()));
    }
    for dir in &args.task.dir {
        command.push_str(" --dir ");
        command.push_str(&output::quoted(dir));
    }
    Some(command)
}

/// Looks at the user's directories before adding them, so that later edits are recognisable.
fn look(dirs: &Dirs) -> Result<Seen, Failure> {
    let seen = Seen::default();
    for (number, host) in (0..).zip(dirs.values()) {
        let walked = seen.walk(number, host);
        walked.map_err(|(path, e)| Failure::path(&path, &e))?;
    }
    Ok(seen)
}

/// Changes the user's directories as the task did.
fn leave_dirs(
    connection: &Connection,
    job: &JobView,
    given: &Submission<'_>,
) -> Result<OutputsReport, Failure> {
    let prepared = given.prepared;
    let key = prepared.key.as_ref();
    let dirs = (0..).zip(given.dirs);
    let dirs = dirs.filter_map(|(mount, (guest, host))| {
        let given = *prepared.task.dirs.get(guest)?;
        let left = *job.dirs.get(guest)?;
        let place = (mount, host.clone(), guest.as_str());
        Some(leave::Changed::new(place, (given, left), key))
    });
    let (dirs, blocks) = (dirs.collect(), connection.client.blocks(None));
    tokio::task::block_in_place(|| leave::leave_job(&blocks, dirs, given.seen))
}

/// Writes what the guest left, however it ended.
async fn leave_outputs(
    global: &Global,
    connection: &Connection,
    (job, id): (&JobView, JobId),
    key: Option<&TaskKey>,
    out: &Path,
) -> Result<(), Failure> {
    let Some(cid) = job.outputs_cid else {
        return Ok(());
    };
    let left = (cid, key.map(|key| key.result("/out")));
    let client = &connection.client;
    let written = client.leave(left.into(), out, Links::Skip).await;
    written.map_err(|failure| {
        let result = follow::command(global, "result", id);
        failure.with_hint(format!(
            "the job has ended, and its result is kept: {result} --out DIR"
        ))
    })
}
