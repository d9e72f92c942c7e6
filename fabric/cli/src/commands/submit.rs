//! `submit`

use crate::{
    args::{Global, Submit},
    component::{self, Component},
    connect::{self, Connection},
    exit,
    failure::Failure,
    follow::{self, Ended},
    inputs, job, keys,
    known_files::KnownFiles,
    leave, output,
};
use mc_gateway::api::JobView;
use mc_node::private::TaskKey;
use mc_types::Determinism;
use std::{io::Read, path::Path, process::ExitCode};

/// The first bytes of a file tell what it is.
const MAGIC_BYTES: u64 = 64;

pub(super) async fn run(global: &Global, args: Submit) -> Result<ExitCode, Failure> {
    let component = component::resolve(&args.task.component, args.task.bin.as_deref(), global)?;
    if let Component::File(path) = &component {
        check(path)?;
    }
    let known = KnownFiles::below(&connect::configuration(global)?.config.cache.dir);
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
    let done = submit(global, &connection, &args, &prepared, spec).await;
    connection.close().await;
    done
}

/// Refuses what is no component before anything is sent.
fn check(path: &Path) -> Result<(), Failure> {
    let mut first = Vec::new();
    let read =
        std::fs::File::open(path).and_then(|file| file.take(MAGIC_BYTES).read_to_end(&mut first));
    read.map_err(|e| Failure::path(path, &e))?;
    mc_engine::classify(&first)
        .map(drop)
        .map_err(|e| Failure::from(e).about(&path.display().to_string()))
}

async fn submit(
    global: &Global,
    connection: &Connection,
    args: &Submit,
    prepared: &job::Prepared,
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
            leave_dirs(connection, &job, key, args).await?;
            follow::conclude(global, &job, &args.task.component)
        }
        Ended::Detached => {
            let id = id.map(|id| id.to_string()).unwrap_or_default();
            let goes_on = if connection.is_embedded() {
                format!("job {id} stays queued; it runs when a node runs here: mc-wasm node")
            } else {
                format!(
                    "job {id} goes on; follow it with: mc-wasm wait {id}; stop it with: mc-wasm cancel {id}"
                )
            };
            output::note(global, &goes_on);
            Ok(ExitCode::from(exit::DETACHED))
        }
    }
}

/// Changes the task's own directories as the task did. What they were like is in the task, not on disk
/// any more: what is in the way of a result is replaced.
async fn leave_dirs(
    connection: &Connection,
    job: &JobView,
    key: Option<&TaskKey>,
    args: &Submit,
) -> Result<(), Failure> {
    for (guest, host) in inputs::dirs(&args.task.dir)? {
        let Some(cid) = job.dirs.get(&guest) else {
            continue;
        };
        let staging = tempfile::tempdir_in(&host).map_err(|e| Failure::path(&host, &e))?;
        let new = staging.path().join("new");
        let left = (*cid, key.map(|key| key.result(&guest)));
        connection.client.leave(left.into(), &new).await?;
        leave::replace(&new, &host, staging.path())?;
    }
    Ok(())
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
