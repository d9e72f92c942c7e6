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

#[cfg(test)]
mod tests {
    use super::*;

    fn kind(words: &[&str]) -> clap::error::ErrorKind {
        let words = [&["mc-wasm"][..], words].concat();
        Cli::try_parse_from(words).unwrap_err().kind()
    }

    #[test]
    fn the_command_line_is_one_that_clap_takes() {
        Cli::command().debug_assert();
    }

    #[test]
    fn what_does_not_go_together_is_refused() {
        use clap::error::ErrorKind::{
            ArgumentConflict, MissingRequiredArgument, UnknownArgument, ValueValidation,
        };
        for (words, expected) in [
            (&["add", "--encrypt", "x"][..], MissingRequiredArgument),
            (
                &["add", "--encrypt", "--key-file=k", "--only-hash", "x"],
                ArgumentConflict,
            ),
            (&["logs", "-f", "--attempt=1", "01jd5"], ArgumentConflict),
            (&["wait", "nonsense!"], ValueValidation),
            (&["result", "01jd5"], MissingRequiredArgument),
            (&["ps", "--staet=queued"], UnknownArgument),
        ] {
            assert_eq!(kind(words), expected, "{words:?}");
        }
    }

    #[test]
    fn completions_know_the_commands() {
        let script = String::from_utf8(completions(Shell::Bash)).unwrap();
        for command in ["submit", "doctor", "checkpoints"] {
            assert!(script.contains(command), "{command}");
        }
    }
}
