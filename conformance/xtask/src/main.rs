//! Checks of the repository itself, and what takes longer than tests do: `cargo xtask COMMAND`.

mod ci;
mod error_pages;
mod experiment;
mod fuzz;
mod layers;

use std::process::ExitCode;

const USAGE: &str = "usage: cargo xtask COMMAND
  layers   dependencies point downwards, and heavy libraries have one home
  errors   every error code has its help page
  ci       formatting, lints, layers and errors
  fuzz     [--seconds N] [TARGET]: run the fuzz targets
  simulate [FROM..TO]: the scheduler under seeded failures, 10,000 seeds unless told otherwise
  experiment kill|scale|outage|partition|throughput|swarm [--agents N] [--tasks N] [--kill PERCENT]
           [--ttl SECONDS] [--away SECONDS] [--ledger sqlite|postgres] [--seed N] [--short]
           [--format json|human]: a fleet of real nodes; `all --short` for all of them in short";

#[expect(clippy::print_stderr, reason = "this is a command for the terminal")]
fn main() -> ExitCode {
    let command = std::env::args().nth(1).unwrap_or_default();
    let done = match command.as_str() {
        "layers" => layers::check(),
        "errors" => error_pages::check(),
        "ci" => ci::run(),
        "experiment" => experiment::run(std::env::args().skip(2)),
        "simulate" => experiment::simulate(std::env::args().skip(2)),
        "fuzz" => fuzz::run(std::env::args().skip(2)),
        _ => {
            eprintln!("{USAGE}");
            return ExitCode::from(2);
        }
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error:?}");
            ExitCode::FAILURE
        }
    }
}
