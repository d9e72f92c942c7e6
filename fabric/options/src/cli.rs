//! A whole command line.

use crate::{Command, Global, exit};
use clap::{CommandFactory, Parser};
use clap_complete::Shell;

/// Lends and borrows idle machines: runs WebAssembly tasks on whichever peer is free.
#[derive(Debug, Parser)]
#[command(name = "mc-wasm", version, after_long_help = exit::HELP)]
pub struct Cli {
    #[command(flatten)]
    pub global: Global,
    #[command(subcommand)]
    pub command: Command,
}

/// The arguments of this process; the error is what to print instead, for example help.
///
/// # Errors
///
/// Fails if they cannot be parsed, and if they ask for help or the version.
pub fn parse() -> Result<Cli, clap::Error> {
    Cli::try_parse()
}

/// The script by which a shell completes commands.
#[must_use]
pub fn completions(shell: Shell) -> Vec<u8> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "mc-wasm", &mut script);
    script
}
