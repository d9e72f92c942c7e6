//! Experiments on whole fleets: `cargo xtask experiment NAME …`, and their short forms one after the other.

use crate::{
    command::{cargo, succeed},
    requirements,
};
use anyhow::{Context, Result, ensure};
use mc_artifacts::{root, target_dir};
use std::process::Command;

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
    requirements::provide()?;
    // The nodes of the fleet are the product's binary. Compiled together, both have the same libraries.
    let both = ["--package", "mc-cli", "--package", "mc-experiment"];
    cargo(&root(), &[&["build", "--release"], &both[..]].concat())?;
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
    let program = target_dir().join("release/mc-experiment");
    let mut experiment = Command::new(program);
    succeed(
        experiment
            .args(arguments)
            .env("PATH", requirements::path()?),
    )
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
