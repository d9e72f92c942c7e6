//! Benchmarks that compare side by side in one run: medians and ratios, one JSON object at the end.
//!
//! `cargo run --release --package mc-bench [-- --wasmtime PATH] [--only PART]`. The other programs are used when
//! they are there, and named as absent when they are not.

mod checkpoints;
mod in_process;
mod process;
#[expect(
    clippy::indexing_slicing,
    reason = "JSON values give null for what is not there"
)]
mod throughput;
mod transfer;

use anyhow::{Result, bail};
use std::{path::PathBuf, process::Command};

#[expect(
    clippy::print_stdout,
    reason = "the result is what this command is for"
)]
fn main() -> Result<()> {
    mc_system::memory::keep_freed();
    let mut arguments = std::env::args().skip(1);
    let (mut wasmtime, mut only) = (None, None);
    while let Some(argument) = arguments.next() {
        match argument.as_str() {
            "--wasmtime" => wasmtime = arguments.next().map(PathBuf::from),
            "--only" => only = arguments.next(),
            other => {
                bail!("unknown argument {other:?}; --wasmtime PATH and --only PART are accepted")
            }
        }
    }
    let wasmtime = wasmtime.or_else(|| on_path("wasmtime"));
    let wanted = |part: &str| only.as_deref().is_none_or(|only| only == part);
    let mut result = serde_json::Map::new();
    if wanted("whole_process") {
        let crun = on_path("crun");
        let part = process::compare(wasmtime.as_deref(), crun.as_deref())?;
        result.insert("whole_process".to_owned(), part);
    }
    if wanted("in_process") {
        result.insert("in_process".to_owned(), in_process::measure()?);
    }
    if wanted("checkpoints") {
        result.insert("checkpoints".to_owned(), checkpoints::measure()?);
    }
    if wanted("one_node") {
        result.insert("one_node".to_owned(), throughput::measure()?);
    }
    if wanted("transfer") {
        result.insert("transfer".to_owned(), transfer::measure()?);
    }
    let result = serde_json::Value::Object(result);
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
