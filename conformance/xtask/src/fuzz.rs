//! Fuzzing: `cargo xtask fuzz [--seconds N] [TARGET]`.

use crate::ci::root;
use anyhow::{Context, Result, bail, ensure};
use std::fs;

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
    let target_dir = root().join("target/fuzz-coverage");
    for target in TARGETS {
        if only.as_deref().is_some_and(|only| only != *target) {
            continue;
        }
        let corpus = root().join("target/fuzz-corpus").join(target);
        fs::create_dir_all(&corpus)?;
        seed(target, &corpus)?;
        // A target of its own keeps the flags away from build scripts.
        let status = mc_artifacts::cargo()
            .args([
                "run",
                "--release",
                "--target",
                "x86_64-unknown-linux-gnu",
                "--bin",
                target,
            ])
            .arg("--")
            .arg(&corpus)
            .arg(format!("-max_total_time={seconds}"))
            .args([
                "-rss_limit_mb=4096",
                "-timeout=20",
                "-max_len=65536",
                "-print_final_stats=1",
            ])
            .env("RUSTFLAGS", COVERAGE)
            .env("CARGO_TARGET_DIR", &target_dir)
            .current_dir(root().join("conformance/fuzz"))
            .status()
            .with_context(|| format!("fuzzing {target}"))?;
        ensure!(status.success(), "the fuzz target {target} found something");
    }
    Ok(())
}

/// Puts committed examples into the corpus.
fn seed(target: &str, corpus: &std::path::Path) -> Result<()> {
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
