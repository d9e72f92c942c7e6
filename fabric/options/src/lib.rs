//! The command line: the commands of `mc-wasm`, their options, and their `--help`.
//!
//! Here are only data; `mc-cli` has the commands themselves. That crate is compiled without optimisation, which would
//! take long and gain little. But each start parses options, so this crate is separate and optimised. The code that
//! clap generates for these types is compiled where it is called: here, in [`parse`] and [`completions`].

#![allow(
    missing_docs,
    reason = "doc comments are what `--help` says, which needs none where a name says all"
)]

mod add;
mod cli;
mod command;
mod content;
mod content_path;
pub mod exit;
mod global;
mod job_name;
mod jobs;
mod links;
mod node;
mod run;
mod settings;
mod submit;
mod task;

pub use add::{Add, SymlinksName};
pub use clap_complete::Shell;
pub use cli::{Cli, completions, parse};
pub use command::Command;
pub use content::{Block, Car, Cat, From, Get, Layer, Look, Opened, Pin};
pub use content_path::ContentPath;
pub use global::{Format, Global};
pub use job_name::JobName;
pub use jobs::{Fetch, Jobs, Logs, Ps, Wait};
pub use links::Links;
pub use node::{Config, Dht, DhtName, Ledger, Node, Nodes};
pub use run::{EngineName, Resume, Run};
pub use submit::Submit;
pub use task::Task;
