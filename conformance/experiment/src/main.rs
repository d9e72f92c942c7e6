//! Experiments on whole fleets: `cargo xtask experiment kill|scale|outage|partition|throughput|swarm`.
//!
//! Every node is a process of the product's own binary, which talks libp2p over TCP on the loopback interface
//! (or between network namespaces) and writes a real ledger. Each experiment prints one JSON object; what its
//! fields mean is in `conformance/README.md`.

mod arguments;
mod fleet;
mod jobs;
mod kill;
mod outage;
mod partition;
mod processes;
mod recovery;
mod report;
mod scale;
mod swarm;
mod throughput;

use anyhow::Result;
use arguments::{Arguments, Experiment};
use std::process::ExitCode;

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
    let mut given = std::env::args().skip(1);
    if given.next().as_deref() == Some("fetch") {
        let url = given.next().unwrap_or_default();
        println!("{}", fleet::fetch(&url)?);
        return Ok(true);
    }
    let arguments = Arguments::read(std::env::args().skip(1))?;
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
