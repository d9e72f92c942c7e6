//! Experiments on whole fleets: `cargo xtask experiment kill|scale|outage|partition|throughput|swarm`.
//!
//! Every node is a process of the product's own binary, which talks libp2p over TCP on the loopback interface
//! (or between network namespaces) and writes a real ledger. Each experiment prints one JSON object; what its
//! fields mean is in `conformance/README.md`.

mod arguments;
mod fleet;
mod jobs;
mod kill;
mod machine;
mod outage;
mod partition;
mod plain_http;
mod processes;
mod recovery;
mod report;
mod scale;
mod swarm;
mod throughput;

use anyhow::Result;
use arguments::{Arguments, Experiment};
use std::{path::Path, process::ExitCode};

#[expect(clippy::print_stderr, reason = "this is a command for the terminal")]
fn main() -> ExitCode {
    match run() {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => {
            eprintln!("the experiment did not reach what it promises");
            ExitCode::FAILURE
        }
        Err(error) => {
            eprintln!("{error:?}");
            ExitCode::FAILURE
        }
    }
}

/// Runs the experiment that was asked for; says whether everything was as it has to be on any machine. How
/// fast it was is no matter of that.
#[expect(clippy::print_stdout, reason = "the result is what the command is for")]
fn run() -> Result<bool> {
    let given: Vec<_> = std::env::args().skip(1).collect();
    // Steps of an experiment that run in a process of their own, within a namespace.
    match given.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["fetch", url] => {
            println!("{}", fleet::fetch(url)?);
            return Ok(true);
        }
        [plain_http::SERVE, path, address] => {
            plain_http::serve(Path::new(path), address)?;
            return Ok(true);
        }
        [plain_http::DOWNLOAD, address] => {
            println!("{}", plain_http::download(address)?);
            return Ok(true);
        }
        _ => {}
    }
    let arguments = Arguments::read(given.into_iter())?;
    let report = match arguments.experiment {
        Experiment::Kill => kill::run(&arguments)?,
        Experiment::Scale => scale::run(&arguments)?,
        Experiment::Outage => outage::run(&arguments)?,
        Experiment::Partition => partition::run(&arguments)?,
        Experiment::Throughput => throughput::run(&arguments)?,
        Experiment::Swarm => swarm::run(&arguments)?,
    };
    println!("{}", report.text(arguments.json)?);
    Ok(report.holds())
}
