//! Benchmarks that compare side by side in one run: medians and ratios, one JSON object at the end.
//!
//! `cargo run --release --package mc-bench [-- --wasmtime PATH]`. The other programs are used when
//! they are there, and named as absent when they are not.

mod process;
#[expect(
    clippy::indexing_slicing,
    reason = "JSON values give null for what is not there"
)]
mod throughput;

use anyhow::{Result, bail};
use std::{path::PathBuf, process::Command};

#[expect(
    clippy::print_stdout,
    reason = "the result is what this command is for"
)]
fn main() -> Result<()> {
    let mut arguments = std::env::args().skip(1);
    let mut wasmtime = None;
    while let Some(argument) = arguments.next() {
        match argument.as_str() {
            "--wasmtime" => wasmtime = arguments.next().map(PathBuf::from),
            other => bail!("unknown argument {other:?}; --wasmtime PATH is accepted"),
        }
    }
    let wasmtime = wasmtime.or_else(|| on_path("wasmtime"));
    let result = serde_json::json!({
        "whole_process": process::compare(wasmtime.as_deref(), on_path("crun").as_deref())?,
        "one_node": throughput::measure()?,
    });
    println!("{result:#}");
    Ok(())
}

/// Where a program is, if it is there and answers.
fn on_path(program: &str) -> Option<PathBuf> {
    let answers = Command::new(program)
        .arg("--version")
        .output()
        .ok()?
        .status
        .success();
    answers.then(|| PathBuf::from(program))
}

/// The middle one of some measurements.
fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}
