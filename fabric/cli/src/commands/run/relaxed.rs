//! A run that sees this machine as it is.

use super::{Ready, What, blocks::RunBlocks, conclude_failed, context, execute, view};
use crate::{
    exit,
    failure::Failure,
    follow,
    inputs::{self, Input},
};
use mc_execution::{
    Finished,
    world::{HostMount, HostStdin, TaskInputs},
};
use mc_options::{Format, Global};
use std::{
    path::{Path, PathBuf},
    process::ExitCode,
    sync::Arc,
};

pub(super) async fn run(global: &Global, ready: Ready, what: &What) -> Result<ExitCode, Failure> {
    let args = &what.args;
    let scratch = tempfile::tempdir().map_err(|e| Failure::path(&std::env::temp_dir(), &e))?;
    let inputs = TaskInputs::Machine {
        mounts: mounts(what, scratch.path())?,
        stdin: match args.task.stdin.as_deref() {
            Some(path) => HostStdin::File(PathBuf::from(path)),
            None if global.format == Format::Json => HostStdin::Empty,
            None => HostStdin::Inherit,
        },
    };
    let context = context(global, args, inputs, Arc::new(RunBlocks::default()));
    let name = &args.task.component;
    match execute(ready, context).await {
        Some(Ok(Finished::Ended(ended))) => follow::conclude(global, &view::brief(&ended), name),
        Some(Ok(Finished::Left(_))) => Err(Failure::internal("it left without being asked to")),
        Some(Err(error)) => conclude_failed(global, name, error),
        None => Ok(ExitCode::from(exit::CANCELLED)),
    }
}

/// Directories are mounted as they are; files are linked or copied, since only directories can be.
fn mounts(what: &What, scratch: &Path) -> Result<Vec<HostMount>, Failure> {
    let args = &what.args;
    let inputs_dir = scratch.join("in");
    let out = args.task.out.clone().unwrap_or_else(|| scratch.join("out"));
    for dir in [&inputs_dir, &out] {
        std::fs::create_dir_all(dir).map_err(|e| Failure::path(dir, &e))?;
    }
    let mount = |host: &Path, guest: String, writable| HostMount {
        host: host.to_owned(),
        guest,
        writable,
    };
    let mut mounts = vec![
        mount(&inputs_dir, "/in".to_owned(), false),
        mount(&out, "/out".to_owned(), true),
    ];
    for (name, input) in inputs::inputs(&args.task.input)? {
        let target = inputs_dir.join(&name);
        match input {
            Input::Cid(cid) => {
                return Err(Failure::usage(format!(
                    "--input {name}={cid}: a relaxed run reads files and directories only"
                ))
                .with_hint(format!("get it first: mc-wasm get {cid} --output {name}")));
            }
            Input::Path(path) if path.is_dir() => {
                // An empty directory stands for it where `/in` is listed.
                std::fs::create_dir(&target).map_err(|e| Failure::path(&target, &e))?;
                mounts.push(mount(&path, format!("/in/{name}"), false));
            }
            Input::Path(path) => {
                // A hard link to a symbolic link would point nowhere from there.
                let real = path.canonicalize();
                let real = real.map_err(|e| Failure::path(&path, &e))?;
                let linked = std::fs::hard_link(&real, &target);
                linked
                    .or_else(|_| std::fs::copy(&real, &target).map(drop))
                    .map_err(|e| Failure::path(&path, &e))?;
            }
        }
    }
    for (guest, host) in &what.dirs {
        mounts.push(mount(host, guest.clone(), true));
    }
    Ok(mounts)
}
