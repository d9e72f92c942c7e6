//! `ps`, `status`, `wait`, `cancel`, `result`

use crate::{
    client::NodeClient,
    exit,
    failure::Failure,
    follow::{self, Ended},
    inputs::{self, Dirs},
    keys,
    leave::{self, OutputsReport},
    out, output, show,
};
use mc_api::JobView;
use mc_content::{BlockSource, TaskKey};
use mc_options::{Fetch, Format, Global, JobName, Jobs, Links, Ps, Wait};
use mc_types::{CheckpointRecord, ErrorCode, NodeId, TaskSpec, canonical};
use std::{cell::Cell, process::ExitCode};

pub(super) async fn ps(
    global: &Global,
    client: &NodeClient,
    args: &Ps,
) -> Result<ExitCode, Failure> {
    let list = client.jobs(args.state, args.limit).await?;
    if global.quiet && global.format == Format::Text {
        for id in list.jobs.iter().filter_map(|job| job.id) {
            output::line(&id.to_string())?;
        }
        return Ok(ExitCode::SUCCESS);
    }
    output::value(global, &list, |list| show::table(&list.jobs))?;
    if list.more {
        let shown = list.jobs.len();
        let note = format!("only the newest {shown} are shown; --limit N shows more");
        output::note(global, &note);
    }
    Ok(ExitCode::SUCCESS)
}

/// Does something with each of some jobs, even after a failure. The exit code is the first that is not 0.
async fn each(
    global: &Global,
    names: &[JobName],
    act: impl AsyncFn(&JobName) -> Result<ExitCode, Failure>,
) -> ExitCode {
    let json = global.format == Format::Json;
    let mut code = ExitCode::SUCCESS;
    for name in names {
        let done = act(name).await;
        let done = done.unwrap_or_else(|failure| failure.report(json));
        if code == ExitCode::SUCCESS {
            code = done;
        }
    }
    code
}

pub(super) async fn status(
    global: &Global,
    client: &NodeClient,
    args: &Jobs,
) -> Result<ExitCode, Failure> {
    let is_list = args.ids.len() > 1 && global.format == Format::Text;
    let show = async |name: &JobName| {
        let job = client.job(client.find(name).await?).await?;
        output::value(global, &job, show::description)?;
        if is_list {
            output::line("")?;
        }
        Ok(ExitCode::SUCCESS)
    };
    Ok(each(global, &args.ids, show).await)
}

pub(super) async fn wait(
    global: &Global,
    client: &NodeClient,
    args: &Wait,
) -> Result<ExitCode, Failure> {
    let (is_over, has_begun) = (Cell::new(false), Cell::new(false));
    let names = Cell::new(args.jobs.ids.as_slice());
    let wait = async |name: &JobName| {
        let left = names.get();
        names.set(left.get(1..).unwrap_or_default());
        if is_over.get() {
            return Ok(ExitCode::from(exit::DETACHED));
        }
        // No node answers any more, so the remaining jobs would fail too.
        let lost = |failure| {
            is_over.set(true);
            let left: Vec<_> = left.iter().map(ToString::to_string).collect();
            let again = follow::command(global, "wait", left.join(" "));
            Ok(follow::lost(global, name, &again, failure))
        };
        let asked = async { client.job(client.find(name).await?).await };
        let job = match asked.await {
            Err(failure) if has_begun.get() && failure.is_away() => return lost(failure),
            asked => asked?,
        };
        has_begun.set(true);
        if client.is_stuck(&job).await? {
            return Ok(follow::stuck(global, &job));
        }
        match follow::to_end(client, global, job, None).await? {
            Ended::Job(job) => follow::conclude(global, &job, "wait"),
            Ended::Detached => {
                is_over.set(true);
                Ok(ExitCode::from(exit::DETACHED))
            }
            Ended::Lost(failure) => lost(failure),
        }
    };
    let all = each(global, &args.jobs.ids, wait);
    let Some(timeout) = args.timeout else {
        return Ok(all.await);
    };
    Ok(tokio::time::timeout(timeout.0, all)
        .await
        .unwrap_or_else(|_| {
            output::note(global, "not all have ended yet; they go on");
            ExitCode::from(exit::DETACHED)
        }))
}

pub(super) async fn cancel(
    global: &Global,
    client: &NodeClient,
    args: &Jobs,
) -> Result<ExitCode, Failure> {
    let cancel = async |name: &JobName| {
        let id = client.find(name).await?;
        let job = client.cancel(id).await?;
        output::value(global, &job, |job| format!("{id} {}", job.state))?;
        Ok(ExitCode::SUCCESS)
    };
    Ok(each(global, &args.ids, cancel).await)
}

pub(super) async fn checkpoint(
    global: &Global,
    client: &NodeClient,
    job: &JobName,
) -> Result<ExitCode, Failure> {
    let taken = client.checkpoint(client.find(job).await?).await?;
    output::value(global, &taken, |taken| {
        format!("{} {}", taken.position, taken.cid)
    })?;
    Ok(ExitCode::SUCCESS)
}

pub(super) async fn checkpoints(
    global: &Global,
    client: &NodeClient,
    job: &JobName,
) -> Result<ExitCode, Failure> {
    let list = client.checkpoints(client.find(job).await?).await?;
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
    client: &NodeClient,
    job: &JobName,
    to: NodeId,
) -> Result<ExitCode, Failure> {
    let id = client.find(job).await?;
    let job = client.migrate(id, to).await?;
    output::value(global, &job, |job| format!("{id} {}", job.state))?;
    Ok(ExitCode::SUCCESS)
}

pub(super) async fn result(
    global: &Global,
    client: &NodeClient,
    args: &Fetch,
) -> Result<ExitCode, Failure> {
    let dirs = inputs::dirs(&args.dir)?;
    leave::check(args.out.as_deref(), &dirs)?;
    args.out.as_deref().map_or(Ok(()), out::place)?;
    let id = client.find(&args.id).await?;
    let job = client.job(id).await?;
    let Some(cid) = job.outputs_cid else {
        let message = format!("job {id} has no result: it is {}", job.state);
        let failure = Failure::new(ErrorCode::NoResult, message);
        return Err(failure.with_hint(follow::command(global, "wait", id)));
    };
    let key = keys::of_job(global, client, &job).await?;
    let mut written = Ok(OutputsReport::default());
    if let Some(out) = &args.out {
        let outputs = (cid, key.as_ref().map(|key| key.result("/out")));
        let links = args.links.unwrap_or(Links::Skip);
        let left = client.leave(outputs.into(), out, links).await;
        written = left.map(|()| OutputsReport::default());
    }
    // Each is tried, whatever becomes of the other.
    let left = match dirs.is_empty() {
        true => Ok(OutputsReport::default()),
        false => leave_dirs(global, client, (&job, key.as_ref()), dirs).await,
    };
    let json = global.format == Format::Json;
    let code = leave::conclude(json, ExitCode::SUCCESS, written);
    Ok(leave::conclude(json, code, left))
}

/// Applies the changes of an earlier job to directories of the user.
async fn leave_dirs(
    global: &Global,
    client: &NodeClient,
    (job, key): (&JobView, Option<&TaskKey>),
    dirs: Dirs,
) -> Result<OutputsReport, Failure> {
    leave::recover(global, dirs.values())?;
    let blocks = client.blocks(None);
    let task = blocks.get(&job.task_cid).await?;
    let task: TaskSpec = canonical::decode(&task).map_err(|e| Failure::internal(e.to_string()))?;
    let changed = (0..).zip(dirs).map(|(mount, (guest, host))| {
        let (Some(given), Some(left)) = (task.dirs.get(&guest), job.dirs.get(&guest)) else {
            let message = format!("--dir: the task was given no directory {guest}");
            return Err(Failure::usage(message));
        };
        let place = (mount, host, &*guest);
        Ok(leave::Changed::new(place, (*given, *left), key))
    });
    let changed = changed.collect::<Result<Vec<_>, _>>()?;
    tokio::task::block_in_place(|| {
        let seen = leave::recall(&blocks, &changed)?;
        leave::leave_job(&blocks, changed, &seen)
    })
}
