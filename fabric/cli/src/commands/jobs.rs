//! `ps`, `status`, `wait`, `logs`, `cancel`, `result`

use crate::{
    args::{Fetch, Format, Global, Logs, Ps},
    client::Client,
    exit,
    failure::Failure,
    follow::{self, Ended},
    inputs, keys,
    leave::{self, Left},
    output,
};
use futures::StreamExt;
use mc_content::BlockSource;
use mc_gateway::{api::JobView, backend::LogStream};
use mc_node::private::TaskKey;
use mc_types::{CheckpointRecord, ErrorCode, JobId, NodeId, TaskSpec, canonical};
use std::process::ExitCode;

pub(super) async fn ps(global: &Global, client: &Client, args: &Ps) -> Result<ExitCode, Failure> {
    let list = client.jobs(args.state, args.limit).await?;
    output::value(global, &list, |list| {
        let head = ["ID", "STATE", "EXIT", "TRIES", "NODE"]
            .map(str::to_owned)
            .to_vec();
        let row = |job: &JobView| {
            vec![
                text(job.id.as_ref()),
                job.state.to_string(),
                text(job.exit_code.as_ref()),
                job.attempts.to_string(),
                text(job.node.as_ref()),
            ]
        };
        let rows: Vec<_> = std::iter::once(head)
            .chain(list.jobs.iter().map(row))
            .collect();
        output::table(&rows)
    })?;
    Ok(ExitCode::SUCCESS)
}

fn text<T: ToString>(value: Option<&T>) -> String {
    value.map_or_else(|| "-".to_owned(), ToString::to_string)
}

pub(super) async fn status(
    global: &Global,
    client: &Client,
    id: JobId,
) -> Result<ExitCode, Failure> {
    output::value(global, &client.job(id).await?, describe)?;
    Ok(ExitCode::SUCCESS)
}

/// Every field that has a value, a line each, named as in the JSON.
fn describe(job: &JobView) -> String {
    let fields = serde_json::to_value(job).unwrap_or_default();
    let fields = fields.as_object().into_iter().flatten();
    let shown = fields.filter(|(_, value)| !value.is_null());
    let line = |(name, value): (&String, &serde_json::Value)| {
        let value = value
            .as_str()
            .map_or_else(|| value.to_string(), str::to_owned);
        format!("{name:<18} {value}\n")
    };
    shown.map(line).collect()
}

pub(super) async fn wait(global: &Global, client: &Client, id: JobId) -> Result<ExitCode, Failure> {
    let job = client.job(id).await?;
    match follow::to_end(client, global, job, None).await? {
        Ended::Job(job) => follow::conclude(global, &job, "wait"),
        Ended::Detached => Ok(ExitCode::from(exit::DETACHED)),
    }
}

pub(super) async fn logs(
    global: &Global,
    client: &Client,
    args: &Logs,
) -> Result<ExitCode, Failure> {
    let stream = match args.stderr {
        true => LogStream::Stderr,
        false => LogStream::Stdout,
    };
    let key = keys::of_job(global, &client.job(args.id).await?)?;
    let pieces = client.logs(args.id, stream, args.follow, key.as_ref());
    let mut pieces = Box::pin(pieces.await?);
    while let Some(piece) = pieces.next().await {
        output::write(&piece?)?;
    }
    Ok(ExitCode::SUCCESS)
}

pub(super) async fn cancel(
    global: &Global,
    client: &Client,
    id: JobId,
) -> Result<ExitCode, Failure> {
    let job = client.cancel(id).await?;
    output::value(global, &job, |job| format!("{id} {}", job.state))?;
    Ok(ExitCode::SUCCESS)
}

pub(super) async fn checkpoint(
    global: &Global,
    client: &Client,
    id: JobId,
) -> Result<ExitCode, Failure> {
    let taken = client.checkpoint(id).await?;
    output::value(global, &taken, |taken| {
        format!("{} {}", taken.position, taken.cid)
    })?;
    Ok(ExitCode::SUCCESS)
}

pub(super) async fn checkpoints(
    global: &Global,
    client: &Client,
    id: JobId,
) -> Result<ExitCode, Failure> {
    let list = client.checkpoints(id).await?;
    output::value(global, &list, |list| {
        let head = ["POSITION", "CID", "NODE"].map(str::to_owned).to_vec();
        let row = |taken: &CheckpointRecord| {
            vec![
                taken.position.to_string(),
                taken.cid.to_string(),
                taken.node.to_string(),
            ]
        };
        let rows: Vec<_> = std::iter::once(head)
            .chain(list.checkpoints.iter().map(row))
            .collect();
        output::table(&rows)
    })?;
    Ok(ExitCode::SUCCESS)
}

pub(super) async fn migrate(
    global: &Global,
    client: &Client,
    id: JobId,
    to: NodeId,
) -> Result<ExitCode, Failure> {
    let job = client.migrate(id, to).await?;
    output::value(global, &job, |job| format!("{id} {}", job.state))?;
    Ok(ExitCode::SUCCESS)
}

pub(super) async fn result(
    global: &Global,
    client: &Client,
    args: &Fetch,
) -> Result<ExitCode, Failure> {
    leave::check(args.out.as_deref(), &args.dir)?;
    let job = client.job(args.id).await?;
    let Some(cid) = job.outputs_cid else {
        let message = format!("job {} has no result: it is {}", args.id, job.state);
        let failure = Failure::new(ErrorCode::NoResult, message);
        return Err(failure.with_hint(format!("mc-wasm wait {}", args.id)));
    };
    let key = keys::of_job(global, &job)?;
    if let Some(out) = &args.out {
        let outputs = (cid, key.as_ref().map(|key| key.result("/out")));
        client.leave(outputs.into(), out).await?;
    }
    if args.dir.is_empty() {
        return Ok(ExitCode::SUCCESS);
    }
    let left = leave_dirs(global, client, (&job, key.as_ref()), &args.dir).await;
    let json = global.format == Format::Json;
    Ok(leave::conclude(json, ExitCode::SUCCESS, left))
}

/// Changes directories of the user's as a job did that was given them some time ago.
async fn leave_dirs(
    global: &Global,
    client: &Client,
    (job, key): (&JobView, Option<&TaskKey>),
    dirs: &[String],
) -> Result<Left, Failure> {
    let dirs = inputs::dirs(dirs)?;
    leave::recover(global, dirs.values())?;
    let blocks = client.blocks(None);
    let task = blocks.get(&job.task_cid).await?;
    let task: TaskSpec = canonical::decode(&task).map_err(|e| Failure::internal(e.to_string()))?;
    let changed = (0..).zip(dirs).map(|(mount, (guest, host))| {
        let (Some(given), Some(left)) = (task.dirs.get(&guest), job.dirs.get(&guest)) else {
            let message = format!("--dir: the task was given nothing as {guest}");
            return Err(Failure::usage(message));
        };
        Ok(leave::Changed {
            mount,
            host,
            given: (*given, key.map(|key| key.given(&guest))).into(),
            left: (*left, key.map(|key| key.result(&guest))).into(),
        })
    });
    let changed = changed.collect::<Result<Vec<_>, _>>()?;
    tokio::task::block_in_place(|| {
        let seen = leave::recall(&blocks, &changed)?;
        leave::leave_job(&blocks, changed, &seen)
    })
}
