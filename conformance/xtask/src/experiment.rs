//! Experiments on whole fleets: `cargo xtask experiment NAME …`, and their short forms one after the other.

use crate::ci::{cargo, root};
use anyhow::{Context, Result, ensure};

/// The short forms that every change has to pass.
const SHORT: &[&[&str]] = &[
    &["kill", "--kill", "50"],
    &["scale"],
    &["outage"],
    &["outage", "--ledger", "postgres"],
    &["partition"],
    &["throughput"],
    &["throughput", "--ledger", "postgres"],
    &["swarm"],
];

pub(crate) fn run(arguments: impl Iterator<Item = String>) -> Result<()> {
    let arguments: Vec<String> = arguments.collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    // The nodes of the fleet are this binary.
    cargo(&root(), &["build", "--release", "--package", "mc-cli"])?;
    if arguments != ["all", "--short"] {
        return experiment(&arguments);
    }
    for short in SHORT {
        let flags = ["--short", "--format", "json"];
        experiment(&[*short, &flags].concat())?;
    }
    Ok(())
}

fn experiment(arguments: &[&str]) -> Result<()> {
    let run = [
        "run",
        "--quiet",
        "--release",
        "--package",
        "mc-experiment",
        "--",
    ];
    cargo(&root(), &[&run, arguments].concat())
}

/// The scheduler's simulation on other seeds than those of every test run: `cargo xtask simulate FROM..TO`.
pub(crate) fn simulate(mut arguments: impl Iterator<Item = String>) -> Result<()> {
    let seeds = arguments
        .next()
        .unwrap_or_else(|| "100000..110000".to_owned());
    let mut test = mc_artifacts::cargo();
    test.args([
        "test",
        "--release",
        "--package",
        "mc-scheduler",
        "--test",
        "it",
        "simulation",
    ])
    .args(["--", "--nocapture"])
    .env("MC_SEEDS", &seeds)
    .current_dir(root());
    let status = test.status().context("cargo test")?;
    ensure!(
        status.success(),
        "one of the seeds {seeds} broke an invariant"
    );
    Ok(())
}
