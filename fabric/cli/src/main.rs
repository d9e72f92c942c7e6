//! `mc-wasm`: the command line of Mutual Cloud.

mod client;
mod commands;
mod component;
mod connect;
mod exit;
mod failure;
mod follow;
mod foreign;
mod hand_in;
mod hidden;
mod home;
mod inputs;
mod job;
mod keys;
mod known_files;
mod leave;
mod links;
mod out;
mod output;
mod progress;
mod sealed;
mod show;
mod terminal;
#[cfg(test)]
mod typed;
mod unread;

use failure::Failure;
use mc_options::{Command, Format};
use std::{process::ExitCode, time::Duration};

/// How long blocking work may take to end once the command is over. Work that hangs must not keep the process alive.
const END_WITHIN: Duration = Duration::from_secs(10);

fn main() -> ExitCode {
    mc_system::memory::keep_freed();
    let cli = match mc_options::parse() {
        Ok(cli) => cli,
        Err(error) => return failure::usage(&error),
    };
    output::init_logging(&cli.global);
    let json = cli.global.format == Format::Json;
    let done = runtime(&cli.command).and_then(|runtime| {
        let done = runtime.block_on(commands::run(cli));
        runtime.shutdown_timeout(END_WITHIN);
        done
    });
    match done {
        Ok(code) => code,
        Err(failure) => failure.report(json),
    }
}

/// A command that runs one guest, or describes this program, needs no further threads.
fn runtime(command: &Command) -> Result<tokio::runtime::Runtime, Failure> {
    let mut builder = match command {
        Command::Run(_) | Command::Version | Command::Explain { .. } => {
            tokio::runtime::Builder::new_current_thread()
        }
        _ => tokio::runtime::Builder::new_multi_thread(),
    };
    builder
        .enable_all()
        .build()
        .map_err(|e| Failure::internal(e.to_string()))
}
