//! Whole processes: `mc-wasm run` of a warm component beside `wasmtime run` with its cache, and beside
//! a container that does nothing.

use crate::measurements::median;
use anyhow::{Context, Result, ensure};
use mc_artifacts::guest;
use mc_conformance::binary;
use serde_json::{Value, json};
use std::{
    fs,
    path::Path,
    process::{Command, Stdio},
    time::Instant,
};

/// Counted runs of each, in turn, after two that are not counted.
const RUNS: usize = 101;

pub(crate) fn compare(wasmtime: Option<&Path>, crun: Option<&Path>) -> Result<Value> {
    let component = guest("exit_zero");
    let scratch = tempfile::tempdir()?;
    let mut commands: Vec<(&str, Command)> = Vec::new();
    let mut ours = Command::new(binary());
    ours.arg("run")
        .arg(&component)
        .env("MC_WASM_CACHE_DIR", scratch.path().join("cache"));
    commands.push(("mc_wasm", ours));
    if let Some(wasmtime) = wasmtime {
        let config = scratch.path().join("wasmtime.toml");
        let cache = scratch.path().join("wasmtime-cache");
        fs::write(
            &config,
            format!("[cache]\ndirectory = {:?}\n", cache.display().to_string()),
        )?;
        let mut theirs = Command::new(wasmtime);
        theirs
            .arg("run")
            .arg("-C")
            .arg(format!("cache=y,cache-config={}", config.display()));
        theirs.arg(&component);
        commands.push(("wasmtime", theirs));
    }
    if let Some(crun) = crun {
        let mut theirs = container(crun, scratch.path())?;
        // Some hosts' control groups are not to its liking: then there is nothing to compare with.
        let works = theirs.stdin(Stdio::null()).stdout(Stdio::null()).status();
        if works.is_ok_and(|status| status.success()) {
            commands.push(("crun", theirs));
        }
    }
    let times = measure(&mut commands)?;
    let median_of = |name: &str| {
        times
            .iter()
            .find(|(other, _)| *other == name)
            .map(|(_, times)| median(times.clone()))
    };
    let ours = median_of("mc_wasm").context("ours was measured")?;
    let ratio = |name: &str| median_of(name).map(|theirs| ours / theirs);
    Ok(json!({
        "runs": RUNS,
        "mc_wasm_ms": ours,
        "wasmtime_ms": median_of("wasmtime"),
        "crun_ms": median_of("crun"),
        "ratio_to_wasmtime": ratio("wasmtime"),
        "ratio_to_crun": ratio("crun"),
    }))
}

type Times<'n> = Vec<(&'n str, Vec<f64>)>;

/// Runs the commands in turn, so that a machine whose speed drifts is fair to all of them.
fn measure<'n>(commands: &mut [(&'n str, Command)]) -> Result<Times<'n>> {
    let mut times: Times<'n> = commands
        .iter()
        .map(|(name, _)| (*name, Vec::new()))
        .collect();
    for run in 0..RUNS + 2 {
        for ((name, command), (_, times)) in commands.iter_mut().zip(&mut times) {
            command
                .stdin(Stdio::null())
                .stdout(Stdio::null())
                .stderr(Stdio::inherit());
            let begun = Instant::now();
            let status = command
                .status()
                .with_context(|| format!("starting {name}"))?;
            let took = begun.elapsed().as_secs_f64() * 1e3;
            ensure!(status.success(), "{name} failed: {status}");
            if run >= 2 {
                times.push(took);
            }
        }
    }
    Ok(times)
}

/// A container of the host's own programs that runs `true`.
fn container(crun: &Path, scratch: &Path) -> Result<Command> {
    let bundle = scratch.join("bundle");
    let rootfs = bundle.join("rootfs");
    for dir in ["usr", "dev"] {
        fs::create_dir_all(rootfs.join(dir))?;
    }
    for link in ["bin", "lib", "lib64"] {
        std::os::unix::fs::symlink(format!("usr/{link}"), rootfs.join(link))?;
    }
    let made = Command::new(crun)
        .arg("spec")
        .current_dir(&bundle)
        .status()?;
    ensure!(made.success(), "crun spec failed");
    let path = bundle.join("config.json");
    let mut config: Value = serde_json::from_slice(&fs::read(&path)?)?;
    if let Some(config) = config.as_object_mut() {
        // The host's programs serve; nothing else is needed to do nothing.
        let usr = json!({
            "destination": "/usr",
            "type": "bind",
            "source": "/usr",
            "options": ["rbind", "ro"],
        });
        config.insert("mounts".to_owned(), json!([usr]));
        // A name of its own would need a namespace of its own.
        config.remove("hostname");
        if let Some(process) = config.get_mut("process").and_then(Value::as_object_mut) {
            process.insert("args".to_owned(), json!(["/bin/true"]));
            process.insert("terminal".to_owned(), json!(false));
        }
        if let Some(linux) = config.get_mut("linux").and_then(Value::as_object_mut) {
            linux.insert(
                "namespaces".to_owned(),
                json!([{ "type": "pid" }, { "type": "mount" }]),
            );
            linux.remove("maskedPaths");
            linux.remove("readonlyPaths");
            linux.remove("resources");
        }
    }
    fs::write(&path, serde_json::to_vec(&config)?)?;
    let mut command = Command::new(crun);
    command
        .arg("--cgroup-manager=disabled")
        .arg("run")
        .arg("--bundle")
        .arg(&bundle);
    command.arg(format!("mc-bench-{}", std::process::id()));
    Ok(command)
}
