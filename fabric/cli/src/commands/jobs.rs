//! `ps`, `status`, `wait`, `logs`, `cancel`, `result`

use crate::{
    args::{Fetch, Global, Logs, Ps},
    client::Client,
    exit,
    failure::Failure,
    follow::{self, Ended},
    keys, output,
};
use futures::StreamExt;
use mc_gateway::{api::JobView, backend::LogStream};
use mc_types::{CheckpointRecord, ErrorCode, JobId, NodeId};
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
    let job = client.job(args.id).await?;
    let Some(cid) = job.outputs_cid else {
        let message = format!("job {} has no result: it is {}", args.id, job.state);
        let failure = Failure::new(ErrorCode::NoResult, message);
        return Err(failure.with_hint(format!("mc-wasm wait {}", args.id)));
    };
    let key = keys::of_job(global, &job)?;
    let outputs = (cid, key.map(|key| key.result("/out")));
    client.leave(outputs.into(), &args.out).await?;
    Ok(ExitCode::SUCCESS)
}
