//! Checks of the repository itself, and what takes longer than tests do: `cargo xtask COMMAND`.

#![expect(
    clippy::print_stderr,
    clippy::print_stdout,
    reason = "this is a command for the terminal"
)]

mod ci;
mod circles;
mod command;
mod cross;
mod deny;
mod experiment;
mod features;
mod fuzz;
mod layers;
mod requirements;
mod test;
mod timings;

use std::process::ExitCode;

const USAGE: &str = "usage: cargo xtask COMMAND
  layers   dependencies point downwards, heavy libraries have one home, and no files use each other in a circle
  test     [ARGUMENTS OF cargo test]: the whole suite, after what it needs was looked for and installed
  features every command compiles libraries with the same features
  check    formatting, layers and features
  clippy   lints
  deny     licences, duplicates and origins of libraries, and what is known against them
  ci       check, clippy and deny
  timings  [COMMIT]: what building it from nothing costs, as a table
  cross    [--resumes N]: the same outcomes on aarch64, by QEMU, and checkpoints from one processor to the other
  libp2p-quic  the tests against the QUIC that others use, which take a minute to compile
  fuzz     [--seconds N] [TARGET]: run the fuzz targets
  simulate [FROM..TO]: the scheduler under seeded failures, 10,000 seeds unless told otherwise
  experiment kill|scale|outage|partition|throughput|swarm [--agents N] [--tasks N] [--kill PERCENT]
           [--ttl SECONDS] [--away SECONDS] [--ledger sqlite|postgres] [--seed N] [--busy] [--short]
           [--format json|human]: a fleet of real nodes; `all --short` for all of them in short";

fn main() -> ExitCode {
    let command = std::env::args().nth(1).unwrap_or_default();
    if command == "runner" {
        return test::runner(std::env::args().skip(2)).unwrap_or_else(|error| {
            eprintln!("{error:?}");
            ExitCode::FAILURE
        });
    }
    let done = match command.as_str() {
        "layers" => layers::check(),
        "features" => features::check(),
        "install-helia" => mc_artifacts::helia().map(drop).map_err(Into::into),
        "timings" => timings::run(std::env::args().skip(2)),
        "test" => test::run(std::env::args().skip(2)),
        "ci" => ci::run(),
        "check" => ci::check(),
        "clippy" => ci::clippy(),
        "cross" => cross::run(std::env::args().skip(2)),
        "deny" => deny::check(),
        "experiment" => experiment::run(std::env::args().skip(2)),
        "simulate" => experiment::simulate(std::env::args().skip(2)),
        "libp2p-quic" => test::with_libp2p_quic(),
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
