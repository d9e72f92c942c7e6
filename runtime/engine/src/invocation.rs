//! What one execution depends on, and what it comes to.

use crate::checkpoint::{Checkpoints, Resume};
use mc_types::{Limits, Meter, Termination, Usage};
use std::{collections::BTreeMap, path::PathBuf, time::Duration};
use tokio_util::sync::CancellationToken;

/// Everything that one execution depends on.
#[derive(Debug)]
pub struct Invocation {
    /// The program's own name, its zeroth argument.
    pub name: String,
    /// Its arguments.
    pub args: Vec<String>,
    /// Its environment: this and nothing else.
    pub env: BTreeMap<String, String>,
    /// What it may use.
    pub limits: Limits,
    /// What it sees of the world.
    pub world: World,
    /// Where its standard output goes.
    pub stdout: Output,
    /// Where its standard error goes.
    pub stderr: Output,
    /// After which time it is killed.
    pub timeout: Option<Duration>,
    /// Kills it when cancelled.
    pub cancel: CancellationToken,
    /// When it is stopped, if it can be.
    pub checkpoints: Option<Checkpoints>,
    /// What it goes on with, if it does not begin.
    pub resume: Option<Resume>,
}

/// What a guest sees of the world.
pub enum World {
    /// What it was given, and a clock and random numbers that follow from that.
    Deterministic {
        /// Its directories.
        mounts: Vec<mc_wasi::Mount>,
        /// Reads what it was given.
        inputs: Box<dyn mc_wasi::Inputs>,
        /// When it believes to start, in seconds since 1970.
        start_seconds: Option<u64>,
    },
    /// Directories of this machine, its clock and its network.
    Relaxed {
        /// Its directories.
        mounts: Vec<Mount>,
        /// Where its standard input comes from.
        stdin: Stdin,
    },
}

impl std::fmt::Debug for World {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (name, mounts): (_, &dyn std::fmt::Debug) = match self {
            Self::Deterministic { mounts, .. } => ("Deterministic", mounts),
            Self::Relaxed { mounts, .. } => ("Relaxed", mounts),
        };
        f.debug_tuple(name).field(mounts).finish()
    }
}

/// A directory of this machine that a relaxed guest sees.
#[derive(Debug, Clone)]
pub struct Mount {
    /// The host's directory.
    pub host: PathBuf,
    /// The guest's name for it.
    pub guest: String,
    /// Whether the guest may change it. What it writes there counts as output.
    pub writable: bool,
}

/// Where the standard input of a relaxed guest comes from.
#[derive(Debug, Clone)]
pub enum Stdin {
    /// Nothing to read.
    Empty,
    /// The process's own.
    Inherit,
    /// A file.
    File(PathBuf),
}

/// Where an output stream goes.
#[derive(Debug, Clone)]
pub enum Output {
    /// The process's own stream.
    Inherit,
    /// A file, which may be read while it grows. It is made, with its directory, when there is something to
    /// be written.
    File(PathBuf),
    /// A file with the guest's earlier output.
    Append(PathBuf),
    /// The process's own stream, and [`Execution::stdout`] or [`Execution::stderr`] too.
    Copy,
    /// [`Execution::stdout`] or [`Execution::stderr`].
    Memory,
}

/// An execution that reached its end.
#[derive(Debug)]
pub struct Execution {
    /// How the guest ended.
    pub end: Termination,
    /// What it used.
    pub usage: Usage,
    /// What counted the fuel.
    pub meter: Meter,
    /// What it wrote to standard output, if that went to memory.
    pub stdout: Vec<u8>,
    /// What it wrote to standard error, if that went to memory.
    pub stderr: Vec<u8>,
    /// Its world at the end, with the files that it wrote; absent if it was relaxed.
    pub world: Option<mc_wasi::Host>,
}
