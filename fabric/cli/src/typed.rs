//! Commands as they are typed, for tests.

use clap::Parser;
use mc_options::{Cli, Command, Global, Resume, Run, Submit};

/// What these words say after the name of the program.
pub(crate) fn cli(words: &[&str]) -> Cli {
    parsed(words).unwrap()
}

/// What is said of words that say nothing.
pub(crate) fn refused(words: &[&str]) -> clap::Error {
    parsed(words).unwrap_err()
}

fn parsed(words: &[&str]) -> Result<Cli, clap::Error> {
    Cli::try_parse_from([&["mc-wasm"][..], words].concat())
}

/// The options of every command.
pub(crate) fn global(words: &[&str]) -> Global {
    cli(&[words, &["version"]].concat()).global
}

pub(crate) fn run(words: &[&str]) -> Run {
    match cli(&[&["run"][..], words].concat()).command {
        Command::Run(run) => run,
        other => panic!("{other:?}"),
    }
}

pub(crate) fn resume(words: &[&str]) -> Resume {
    match cli(&[&["resume"][..], words].concat()).command {
        Command::Resume(resume) => resume,
        other => panic!("{other:?}"),
    }
}

pub(crate) fn submit(words: &[&str]) -> Submit {
    match cli(&[&["submit"][..], words].concat()).command {
        Command::Submit(submit) => submit,
        other => panic!("{other:?}"),
    }
}
