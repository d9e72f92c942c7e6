//! What can be typed: the commands of `mc-wasm`, their options, and what `--help` says of them.
//!
//! Here are data only; what a command does is in `mc-cli`. That crate is compiled without optimisation, since it takes
//! long and brings little; but each start reads options, so they are in a crate of their own, which is optimised. What
//! clap makes of these types is compiled where it is called: here, in [`parse`] and [`completions`].

#![allow(
    missing_docs,
    reason = "doc comments are what `--help` says, which needs none where a name says all"
)]

mod add;
mod cli;
mod command;
mod content;
pub mod exit;
mod global;
mod job_name;
mod jobs;
mod links;
mod node;
mod place;
mod run;
mod settings;
mod submit;
mod task;

pub use add::{Add, SymlinksName};
pub use clap_complete::Shell;
pub use cli::{Cli, completions, parse};
pub use command::Command;
pub use content::{Block, Car, Cat, From, Get, Layer, Look, Opened, Pin};
pub use global::{Format, Global};
pub use job_name::JobName;
pub use jobs::{Fetch, Jobs, Logs, Ps, Wait};
pub use links::Links;
pub use node::{Config, Dht, DhtName, Ledger, Node, Nodes};
pub use place::Place;
pub use run::{EngineName, Resume, Run};
pub use submit::Submit;
pub use task::Task;
