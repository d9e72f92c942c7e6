//! Fuzzing: `cargo xtask fuzz [--seconds N] [TARGET]`.

use crate::{command::succeed, requirements};
use anyhow::{Context, Result, bail, ensure};
use mc_artifacts::{root, target_dir};
use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

const TARGETS: &[&str] = &[
    "task_spec",
    "wasi_files",
    "admission",
    "checkpoint",
    "bitswap",
    "car",
    "files",
    "sealed",
];
/// How long each target runs unless told otherwise.
const DEFAULT_SECONDS: u64 = 600;
/// Named to cargo, so that the flags below do not reach build scripts.
const MACHINE: &str = "x86_64-unknown-linux-gnu";
/// What libFuzzer needs: counters of covered code, and a table of where they belong.
const COVERAGE: &str = "-Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4 \
    -Cllvm-args=-sanitizer-coverage-inline-8bit-counters \
    -Cllvm-args=-sanitizer-coverage-pc-table -Cllvm-args=-sanitizer-coverage-trace-compares";

pub(crate) fn run(arguments: impl Iterator<Item = String>) -> Result<()> {
    let mut arguments = arguments;
    let (mut seconds, mut only) = (DEFAULT_SECONDS, None);
    while let Some(argument) = arguments.next() {
        match argument.as_str() {
            "--seconds" => {
                let value = arguments.next().context("--seconds needs a number")?;
                seconds = value.parse().context("--seconds needs a number")?;
            }
            target if TARGETS.contains(&target) => only = Some(argument),
            other => bail!(
                "unknown argument {other:?}; targets are {}",
                TARGETS.join(", ")
            ),
        }
    }
    let targets = TARGETS.iter().copied();
    let targets: Vec<_> = targets
        .filter(|target| only.as_deref().is_none_or(|only| only == *target))
        .collect();
    requirements::provide_for_fuzzing()?;
    let binaries = build(&targets)?;
    for several in targets.chunks(cores()) {
        fuzz(several, &binaries, seconds)?;
    }
    Ok(())
}

fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, Into::into)
}

/// Compiles the targets with coverage.
fn build(targets: &[&str]) -> Result<PathBuf> {
    let target_dir = target_dir().join("fuzz-coverage");
    let bins = targets.iter().flat_map(|target| ["--bin", *target]);
    let mut cargo = mc_artifacts::cargo();
    cargo
        .args(["build", "--release", "--target", MACHINE])
        .args(bins)
        .env("RUSTFLAGS", COVERAGE)
        .env("CARGO_TARGET_DIR", &target_dir)
        .current_dir(root().join("conformance/fuzz"));
    succeed(&mut cargo)?;
    Ok(target_dir.join(MACHINE).join("release"))
}

/// Runs some targets beside each other, each with output of its own once it has ended.
fn fuzz(targets: &[&str], binaries: &Path, seconds: u64) -> Result<()> {
    let mut running = Vec::new();
    for target in targets {
        let corpus = target_dir().join("fuzz-corpus").join(target);
        fs::create_dir_all(&corpus)?;
        seed(target, &corpus)?;
        let child = Command::new(binaries.join(target))
            .arg(&corpus)
            .arg(format!("-max_total_time={seconds}"))
            .args([
                "-rss_limit_mb=4096",
                "-timeout=20",
                "-max_len=65536",
                "-print_final_stats=1",
            ])
            .current_dir(root().join("conformance/fuzz"))
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .with_context(|| format!("fuzzing {target}"))?;
        running.push((target, child));
    }
    let mut found = Vec::new();
    for (target, child) in running {
        let output = child.wait_with_output()?;
        let said = String::from_utf8_lossy(&output.stderr);
        if output.status.success() {
            let runs = said.lines().find(|line| line.starts_with("Done "));
            eprintln!("{target}: {}", runs.unwrap_or("done"));
        } else {
            eprintln!("{said}");
            found.push(*target);
        }
    }
    let found = found.join(", ");
    ensure!(found.is_empty(), "the fuzz targets {found} found something");
    Ok(())
}

/// Puts committed examples into the corpus.
fn seed(target: &str, corpus: &Path) -> Result<()> {
    let (dir, extension) = match target {
        "task_spec" => ("runtime/types/fixtures", "cbor"),
        "admission" => ("conformance/vectors", "wasm"),
        _ => return Ok(()),
    };
    for entry in fs::read_dir(root().join(dir))? {
        let path = entry?.path();
        if path.extension().is_some_and(|found| found == extension)
            && let Some(name) = path.file_name()
        {
            fs::copy(&path, corpus.join(name))?;
        }
    }
    Ok(())
}
