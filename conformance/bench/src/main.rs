//! Benchmarks that compare side by side in one run: medians and ratios, one JSON object at the end.
//!
//! `cargo run --release --package mc-bench [-- --wasmtime PATH] [--only PART] [--mebibytes N]`. A part of a part is
//! `transfer/tcp`, `transfer/quic`, `transfer/bad_providers` or `transfer/swarm`. The other programs are used when
//! they are there, and named as absent when they are not.

mod checkpoints;
mod content;
mod in_process;
mod measurements;
mod process;
#[expect(
    clippy::indexing_slicing,
    reason = "JSON values give null for what is not there"
)]
mod throughput;
mod transfer;

use anyhow::{Context, Result, bail};
use std::{path::PathBuf, process::Command};

/// Length of the large file that is added and fetched.
const CONTENT_MEBIBYTES: usize = 1024;

#[expect(
    clippy::print_stdout,
    reason = "the result is what this command is for"
)]
fn main() -> Result<()> {
    mc_system::memory::keep_freed();
    let mut arguments = std::env::args().skip(1);
    let (mut wasmtime, mut only, mut mebibytes) = (None, None, CONTENT_MEBIBYTES);
    while let Some(argument) = arguments.next() {
        match argument.as_str() {
            "--wasmtime" => wasmtime = arguments.next().map(PathBuf::from),
            "--only" => only = arguments.next(),
            "--mebibytes" => mebibytes = arguments.next().context("a number")?.parse()?,
            other => bail!(
                "unknown argument {other:?}; --wasmtime PATH, --only PART and --mebibytes N are accepted"
            ),
        }
    }
    let wasmtime = wasmtime.or_else(|| on_path("wasmtime"));
    // `PART/OF_IT` is one part of a part.
    let (only, of_it) = match only.as_deref().and_then(|only| only.split_once('/')) {
        Some((part, of_it)) => (Some(part), Some(of_it)),
        None => (only.as_deref(), None),
    };
    let wanted = |part: &str| only.is_none_or(|only| only == part);
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
        result.insert("transfer".to_owned(), transfer::measure(of_it)?);
    }
    if wanted("content") {
        result.insert("content".to_owned(), content::measure(mebibytes)?);
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
