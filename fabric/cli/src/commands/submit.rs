//! `submit`

use crate::{
    args::{Format, Global, Submit},
    component::{self, Component},
    connect::{self, Connection},
    exit,
    failure::Failure,
    follow::{self, Ended},
    inputs, job, keys,
    known_files::KnownFiles,
    leave::{self, Left},
    output, unread,
};
use mc_gateway::api::JobView;
use mc_node::{private::TaskKey, world::Seen};
use mc_types::{Determinism, JobId};
use std::{path::Path, process::ExitCode};

pub(super) async fn run(global: &Global, args: Submit) -> Result<ExitCode, Failure> {
    job::validate(&args.task)?;
    leave::check(args.task.out.as_deref(), &args.task.dir)?;
    if args.task.stdin.is_none() {
        unread::tell(global);
    }
    let component = component::resolve(&args.task.component, args.task.bin.as_deref(), global)?;
    if let Component::File(path) = &component {
        check(path)?;
    }
    leave::recover(global, inputs::dirs(&args.task.dir)?.values())?;
    let seen = look(&args)?;
    let known = KnownFiles::below(connect::cache(global)?.as_ref().map(|cache| &*cache.dir));
    let key = args.encrypt.then(TaskKey::generate);
    let prepared = job::prepare(
        &args.task,
        &component,
        Determinism::Deterministic,
        &known,
        key,
    );
    let prepared = prepared.await?;
    let spec = job::spec(&args, prepared.task.clone())?;
    let connection = connect::connect(global).await?;
    let done = submit(global, &connection, &args, (&prepared, &seen), spec).await;
    connection.close().await;
    done
}

/// Refuses what no node could run before anything is sent.
fn check(path: &Path) -> Result<(), Failure> {
    let metadata = std::fs::metadata(path).map_err(|e| Failure::path(path, &e))?;
    let bytes = component::read(path, &metadata)?;
    mc_engine::check(&bytes)
        .map(drop)
        .map_err(|e| Failure::from(e).about(&path.display().to_string()))
}

async fn submit(
    global: &Global,
    connection: &Connection,
    args: &Submit,
    (prepared, seen): (&job::Prepared, &Seen),
    spec: mc_types::JobSpec,
) -> Result<ExitCode, Failure> {
    let client = &connection.client;
    let mut spec = spec;
    let key = prepared.key.as_ref();
    if let Some(key) = key {
        let node = client.node().await?.id;
        spec.key = Some(keys::submitter(global)?.seal(key, &node)?);
    }
    job::upload(client, prepared).await?;
    let submitted = client.submit(spec).await?;
    if args.detach {
        tell_of_dirs(global, args, submitted.id);
        if connection.is_embedded() {
            output::note(
                global,
                "it stays queued until a node runs here: mc-wasm node",
            );
        }
        output::value(global, &submitted, |job| {
            job.id.map(|id| id.to_string()).unwrap_or_default()
        })?;
        return Ok(ExitCode::SUCCESS);
    }
    let id = submitted.id;
    match follow::to_end(client, global, submitted, Some(key)).await? {
        Ended::Job(job) => {
            if let Some(out) = &args.task.out {
                leave_outputs(connection, &job, key, out).await?;
            }
            let left = leave_dirs(connection, &job, prepared, (args, seen));
            let left = left.map_err(|failure| match result_later(args, id) {
                Some(later) => failure.with_hint(format!("then: {later}")),
                None => failure,
            });
            let code = follow::conclude(global, &job, &args.task.component)?;
            Ok(leave::conclude(global.format == Format::Json, code, left))
        }
        Ended::Detached => {
            let shown = id.map(|id| id.to_string()).unwrap_or_default();
            let goes_on = if connection.is_embedded() {
                format!("job {shown} stays queued; it runs when a node runs here: mc-wasm node")
            } else {
                format!(
                    "job {shown} goes on; follow it with: mc-wasm wait {shown}; stop it with: mc-wasm cancel {shown}"
                )
            };
            output::note(global, &goes_on);
            tell_of_dirs(global, args, id);
            Ok(ExitCode::from(exit::DETACHED))
        }
    }
}

/// Says how the directories get what a job makes of them that nobody waits for.
fn tell_of_dirs(global: &Global, args: &Submit, id: Option<JobId>) {
    if let Some(later) = result_later(args, id) {
        let note = format!("when it has ended, change the directories as it did with: {later}");
        output::note(global, &note);
    }
}

/// The command that changes the directories as the job did.
fn result_later(args: &Submit, id: Option<JobId>) -> Option<String> {
    let id = id.filter(|_| !args.task.dir.is_empty())?;
    let mut command = format!("mc-wasm result {id}");
    for dir in &args.task.dir {
        command.push_str(" --dir ");
        command.push_str(&output::quoted(dir));
    }
    Some(command)
}

/// Looks at the user's directories before they are added, so that what is edited later is known to be newer.
fn look(args: &Submit) -> Result<Seen, Failure> {
    let seen = Seen::default();
    for (number, host) in (0..).zip(inputs::dirs(&args.task.dir)?.values()) {
        let walked = seen.walk(number, host);
        walked.map_err(|e| Failure::path(host, &e))?;
    }
    Ok(seen)
}

/// Changes the user's directories as the task did.
fn leave_dirs(
    connection: &Connection,
    job: &JobView,
    prepared: &job::Prepared,
    (args, seen): (&Submit, &Seen),
) -> Result<Left, Failure> {
    let key = prepared.key.as_ref();
    let dirs = (0..).zip(inputs::dirs(&args.task.dir)?);
    let dirs = dirs.filter_map(|(mount, (guest, host))| {
        let given = *prepared.task.dirs.get(&guest)?;
        let left = *job.dirs.get(&guest)?;
        Some(leave::Changed {
            mount,
            host,
            given: (given, key.map(|key| key.given(&guest))).into(),
            left: (left, key.map(|key| key.result(&guest))).into(),
        })
    });
    let (dirs, blocks) = (dirs.collect(), connection.client.blocks(None));
    tokio::task::block_in_place(|| leave::leave_job(&blocks, dirs, seen))
}

/// Writes what the guest left, however it ended.
async fn leave_outputs(
    connection: &Connection,
    job: &JobView,
    key: Option<&TaskKey>,
    out: &Path,
) -> Result<(), Failure> {
    let Some(cid) = job.outputs_cid else {
        return Ok(());
    };
    let left = (cid, key.map(|key| key.result("/out")));
    connection.client.leave(left.into(), out).await?;
    Ok(())
}
