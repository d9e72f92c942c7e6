//! `run`, `resume`

use crate::Task;
use clap::{Args, ValueEnum};
use mc_config::Period;
use std::path::PathBuf;

#[derive(Debug, Args)]
pub struct Run {
    #[command(flatten)]
    pub task: Task,
    /// What executes the component: native code, or an interpreter that behaves the same on all machines
    #[arg(long, value_enum, default_value_t = EngineName::Cranelift)]
    pub engine: EngineName,
    /// Give it this machine's real directories, clock and network; its outcome may then differ elsewhere
    #[arg(long)]
    pub relaxed: bool,
    /// Stop it at the first place beyond N executed operators, and leave a checkpoint
    #[arg(long, value_name = "N", help_heading = "Checkpoints")]
    pub checkpoint_at: Option<u64>,
    /// Where to write the checkpoint
    #[arg(
        short = 'o',
        long = "checkpoint",
        value_name = "FILE",
        help_heading = "Checkpoints"
    )]
    pub checkpoint: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub struct Resume {
    /// The file with the checkpoint
    #[arg(value_name = "FILE")]
    pub snapshot: PathBuf,
    /// The inputs of the run, unless it had none or a node can find them; repeatable
    #[arg(
        long,
        value_name = "NAME=PATH|CID",
        help_heading = "What it sees and leaves"
    )]
    pub input: Vec<String>,
    /// Where to write the files that the component leaves in /out
    #[arg(long, value_name = "DIR", help_heading = "What it sees and leaves")]
    pub out: Option<PathBuf>,
    /// The file from which the run read standard input
    #[arg(long, value_name = "FILE", help_heading = "What it sees and leaves")]
    pub stdin: Option<String>,
    /// The directories of the run, as they were when it began; repeatable
    #[arg(
        long,
        value_name = "HOST::GUEST",
        help_heading = "What it sees and leaves"
    )]
    pub dir: Vec<String>,
    /// Kill it after this time, such as 30s; default: never
    #[arg(long, value_name = "TIME", help_heading = "Limits")]
    pub timeout: Option<Period>,
    /// What executes the component
    #[arg(long, value_enum, default_value_t = EngineName::Cranelift)]
    pub engine: EngineName,
    /// Stop it again at the first place beyond N executed operators
    #[arg(long, value_name = "N", help_heading = "Checkpoints")]
    pub checkpoint_at: Option<u64>,
    /// Where to write the next checkpoint
    #[arg(
        short = 'o',
        long = "checkpoint",
        value_name = "FILE",
        help_heading = "Checkpoints"
    )]
    pub checkpoint: Option<PathBuf>,
}

/// What executes a component.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum EngineName {
    /// Native code, made by Cranelift.
    Cranelift,
    /// The interpreter Pulley.
    Pulley,
}
