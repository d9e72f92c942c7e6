//! A program that was compiled, and what one execution of it depends on.

use crate::{
    RunError,
    checkpoint::{Checkpoints, Resume},
    config::Counting,
    deterministic,
    guest::Guest,
    relaxed, sites,
    ticker::Ticker,
};
use mc_checkpoint::Sites;
use mc_types::{End, Limits, Meter, Usage};
use std::{collections::BTreeMap, path::PathBuf, sync::Arc, time::Duration};
use tokio_util::sync::CancellationToken;
use wasmtime::component::ComponentExportIndex;

/// A program that is ready to run. Cheap to clone.
#[derive(Clone)]
pub struct Program {
    // Not the engine itself, which keeps programs and would keep itself alive through them.
    pub(crate) raw: wasmtime::Engine,
    pub(crate) ticker: Arc<Ticker>,
    /// Called by the thread that runs it, before.
    pub(crate) on_thread: Option<fn()>,
    pub(crate) counting: Counting,
    pub(crate) code: Code,
    pub(crate) sites: Option<Arc<sites::Source>>,
    pub(crate) resumes: bool,
}

/// Compiled code, linked.
#[derive(Clone)]
pub(crate) enum Code {
    /// A component of which the function is called.
    Component(
        wasmtime::component::InstancePre<Guest>,
        ComponentExportIndex,
    ),
    /// A core module.
    Module(wasmtime::InstancePre<Guest>),
    /// A component or core module whose task is relaxed.
    Relaxed(relaxed::Command),
}

impl std::fmt::Debug for Program {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Program").finish_non_exhaustive()
    }
}

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
    /// A file that has what the guest wrote before.
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
    pub end: End,
    /// What it used.
    pub usage: Usage,
    /// What counted the fuel.
    pub meter: Meter,
    /// What it wrote to standard output, if that went to memory.
    pub stdout: Vec<u8>,
    /// What it wrote to standard error, if that went to memory.
    pub stderr: Vec<u8>,
    /// What is left of its world, with the files that it wrote; absent if it was relaxed.
    pub world: Option<mc_wasi::Host>,
}

impl Program {
    /// Runs the program to its end, which may take long: call it where that may block.
    ///
    /// # Errors
    ///
    /// [`RunError`]: the execution has no outcome.
    pub fn run(&self, invocation: Invocation) -> Result<Execution, RunError> {
        match &self.code {
            Code::Relaxed(command) => relaxed::run(self, command, invocation),
            Code::Component(..) | Code::Module(_) => deterministic::run(self, invocation),
        }
    }

    /// Whether an execution can go on from where one was stopped: if it was loaded for that, and can be
    /// stopped at all.
    #[must_use]
    pub const fn resumes(&self) -> bool {
        self.resumes
    }

    /// Whether an execution can be stopped.
    #[must_use]
    pub const fn stops(&self) -> bool {
        self.sites.is_some()
    }

    /// Where it can be stopped.
    pub(crate) fn sites(&self) -> Result<Arc<Sites>, String> {
        let cannot = "the program cannot be stopped and resumed";
        self.sites.as_ref().ok_or(cannot)?.get()
    }

    /// What counts the fuel.
    #[must_use]
    pub const fn meter(&self) -> Meter {
        match self.counting {
            Counting::Instrumented => Meter::Operators1,
            Counting::Wasmtime => Meter::Wasmtime48,
        }
    }
}
