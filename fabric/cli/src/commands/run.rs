//! `run`

use crate::{
    args::{Format, Global, Run},
    client::Client,
    component::{self, Component},
    connect, exit,
    failure::Failure,
    follow,
    inputs::{self, Input},
    job,
};
use mc_content::unixfs;
use mc_engine::{
    CancellationToken, Engine, Execution, Invocation, MAX_COMPONENT_BYTES, Mount, Options, Output,
    Program, RunError, Stdin,
};
use mc_gateway::api::{self, JobView};
use mc_types::{Cid, Determinism, ErrorCode, JobState, Outcome, canonical};
use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    process::ExitCode,
};

/// The name that every guest is called by, so that a task is the same wherever its file lies.
const PROGRAM_NAME: &str = "task";

/// The directories that the guest sees, and what keeps them.
struct Sandbox {
    scratch: tempfile::TempDir,
    mounts: Vec<Mount>,
    out: PathBuf,
}

pub(super) async fn run(global: &Global, args: Run) -> Result<ExitCode, Failure> {
    let component = component::resolve(&args.task.component, args.task.bin.as_deref(), global)?;
    let json = global.format == Format::Json;
    let program = program(global, &component).await?;
    let sandbox = sandbox(global, &args).await?;
    if !args.dir.is_empty() {
        crate::output::note(global, "note: --dir makes this run non-deterministic");
    }
    let log = |name: &str| {
        if json {
            Output::File(sandbox.scratch.path().join(name))
        } else {
            Output::Inherit
        }
    };
    let invocation = Invocation {
        name: PROGRAM_NAME.to_owned(),
        args: args.task.args.clone(),
        env: inputs::pairs("--env", &args.task.env)?,
        limits: job::limits(&args.task),
        mounts: sandbox.mounts.clone(),
        stdin: match args.task.stdin.as_deref() {
            None if json => Stdin::Empty,
            None | Some("-") => Stdin::Inherit,
            Some(path) => Stdin::File(PathBuf::from(path)),
        },
        stdout: log("stdout"),
        stderr: log("stderr"),
        timeout: args.task.timeout.map(|timeout| timeout.0),
        cancel: CancellationToken::new(),
    };
    let ended = tokio::select! {
        ended = program.run(invocation) => ended,
        _ = tokio::signal::ctrl_c() => return Ok(ExitCode::from(exit::CANCELLED)),
    };
    let name = &args.task.component;
    match ended {
        Ok(execution) if json => {
            let job = view(&args, &component, &sandbox, execution).await?;
            follow::conclude(global, &job, name)
        }
        Ok(execution) => follow::conclude(global, &brief(&execution), name),
        Err(RunError::Timeout { .. }) => {
            let failed = JobView {
                failure: Some(api::Failure::Timeout),
                ..empty(JobState::Failed)
            };
            follow::conclude(global, &failed, name)
        }
        Err(error) => Err(Failure::new(ErrorCode::Infrastructure, error.to_string())),
    }
}

/// The program, from the cache of compiled code if it is there.
async fn program(global: &Global, component: &Component) -> Result<Program, Failure> {
    let config = connect::configuration(global)?.config;
    let options = Options {
        cache_dir: Some(config.cache.dir.clone()),
        cache_max_bytes: config.cache.max.0,
        ..Options::default()
    };
    let engine = Engine::new(&options)?;
    let (cid, bytes) = match component {
        Component::File(path) => {
            let bytes = std::fs::read(path).map_err(|e| Failure::path(path, &e))?;
            let added = unixfs::add_bytes(&bytes, &mc_content::CountingSink::default()).await?;
            (added.cid, bytes)
        }
        Component::Cid(cid) => {
            if let Some(program) = engine.cached(cid) {
                return Ok(program);
            }
            (*cid, fetched(global, *cid).await?)
        }
    };
    let name = match component {
        Component::File(path) => path.display().to_string(),
        Component::Cid(cid) => cid.to_string(),
    };
    engine
        .load(&cid, &bytes)
        .map_err(|e| Failure::from(e).about(&name))
}

async fn fetched(global: &Global, cid: Cid) -> Result<Vec<u8>, Failure> {
    let connection = connect::connect(global).await?;
    let blocks = connection.client.blocks(None);
    let bytes = unixfs::read_to_vec(&blocks, cid, MAX_COMPONENT_BYTES).await;
    connection.close().await;
    Ok(bytes?)
}

/// Makes `/in` and `/out`. Directories are mounted as they are; files are linked or copied, since
/// only directories can be mounted.
async fn sandbox(global: &Global, args: &Run) -> Result<Sandbox, Failure> {
    let scratch = tempfile::tempdir().map_err(|e| Failure::path(&std::env::temp_dir(), &e))?;
    let inputs_dir = scratch.path().join("in");
    let out = args
        .task
        .out
        .clone()
        .unwrap_or_else(|| scratch.path().join("out"));
    for dir in [&inputs_dir, &out] {
        std::fs::create_dir_all(dir).map_err(|e| Failure::path(dir, &e))?;
    }
    let mount = |host: &Path, guest: String, writable| Mount {
        host: host.to_owned(),
        guest,
        writable,
    };
    let mut mounts = vec![
        mount(&inputs_dir, "/in".to_owned(), false),
        mount(&out, "/out".to_owned(), true),
    ];
    let mut remote: BTreeMap<PathBuf, Cid> = BTreeMap::new();
    for (name, input) in inputs::inputs(&args.task.input)? {
        let target = inputs_dir.join(&name);
        match input {
            Input::Cid(cid) => drop(remote.insert(target, cid)),
            Input::Path(path) if path.is_dir() => {
                // An empty directory stands for it where `/in` is listed.
                std::fs::create_dir(&target).map_err(|e| Failure::path(&target, &e))?;
                mounts.push(mount(&path, format!("/in/{name}"), false));
            }
            Input::Path(path) => {
                let linked = std::fs::hard_link(&path, &target);
                linked
                    .or_else(|_| std::fs::copy(&path, &target).map(drop))
                    .map_err(|e| Failure::path(&path, &e))?;
            }
        }
    }
    if !remote.is_empty() {
        let connection = connect::connect(global).await?;
        let fetched = fetch_all(&connection.client, &remote).await;
        connection.close().await;
        fetched?;
    }
    for dir in &args.dir {
        let (host, guest) = dir
            .split_once("::")
            .ok_or_else(|| Failure::usage(format!("--dir: {dir:?} is not HOST::GUEST")))?;
        let metadata = std::fs::metadata(host);
        metadata.map_err(|e| Failure::path(Path::new(host), &e))?;
        mounts.push(mount(Path::new(host), guest.to_owned(), true));
    }
    Ok(Sandbox {
        scratch,
        mounts,
        out,
    })
}

async fn fetch_all(client: &Client, roots: &BTreeMap<PathBuf, Cid>) -> Result<(), Failure> {
    for (path, cid) in roots {
        unixfs::export(&client.blocks(None), *cid, path, u64::MAX).await?;
    }
    Ok(())
}

/// A view without anything in it.
fn empty(state: JobState) -> JobView {
    JobView {
        id: None,
        task_cid: Cid::default(),
        state,
        exit_code: None,
        trap: None,
        failure: None,
        message: None,
        stdout_cid: None,
        stderr_cid: None,
        outputs_cid: None,
        outcome_cid: None,
        fuel: None,
        memory_peak_bytes: None,
        wall_ms: None,
        node: None,
        attempts: 1,
        submitted_ms: None,
        started_ms: None,
        finished_ms: None,
        labels: BTreeMap::new(),
    }
}

/// How it ended, without any CID: what is not asked for is not computed.
fn brief(execution: &Execution) -> JobView {
    let failure = api::failure(&execution.end);
    let state = if failure.is_none() {
        JobState::Succeeded
    } else {
        JobState::Failed
    };
    JobView {
        exit_code: api::exit_code(&execution.end),
        trap: api::trap(&execution.end),
        failure,
        fuel: Some(execution.usage.fuel),
        memory_peak_bytes: Some(execution.usage.memory_peak_bytes),
        wall_ms: Some(execution.usage.wall_ms),
        ..empty(state)
    }
}

/// How it ended, with every CID that a node would give.
async fn view(
    args: &Run,
    component: &Component,
    sandbox: &Sandbox,
    execution: Execution,
) -> Result<JobView, Failure> {
    let determinism = match args.dir.is_empty() {
        true => Determinism::Deterministic,
        false => Determinism::Relaxed,
    };
    let prepared = job::prepare(&args.task, component, determinism).await?;
    let internal = |e: canonical::Error| Failure::internal(e.to_string());
    let (task, _) = canonical::encode(&prepared.task).map_err(internal)?;
    let outcome = Outcome {
        task,
        end: execution.end.clone(),
        stdout: job::cid_of(&sandbox.scratch.path().join("stdout")).await?,
        stderr: job::cid_of(&sandbox.scratch.path().join("stderr")).await?,
        outputs: job::cid_of(&sandbox.out).await?,
        fuel: execution.usage.fuel,
        meter: execution.meter,
    };
    let (outcome_cid, _) = canonical::encode(&outcome).map_err(internal)?;
    Ok(JobView {
        task_cid: task,
        stdout_cid: Some(outcome.stdout),
        stderr_cid: Some(outcome.stderr),
        outputs_cid: Some(outcome.outputs),
        outcome_cid: Some(outcome_cid),
        ..brief(&execution)
    })
}
