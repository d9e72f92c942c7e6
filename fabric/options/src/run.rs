//! `run`, `resume`

use crate::Task;
use clap::{Args, ValueEnum};
use mc_node::config::Period;
use std::path::PathBuf;

#[derive(Debug, Args)]
pub struct Run {
    #[command(flatten)]
    pub task: Task,
    /// What executes the component: this machine, or an interpreter that is the same on all
    #[arg(long, value_enum, default_value_t = EngineName::Cranelift)]
    pub engine: EngineName,
    /// Let it see this machine's directories, clock and network as they are
    #[arg(long)]
    pub relaxed: bool,
    /// Stop it at the first place beyond N executed operators, and leave a checkpoint
    #[arg(long, value_name = "N", help_heading = "Checkpoints")]
    pub checkpoint_at: Option<u64>,
    /// Where the checkpoint goes
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
    /// The checkpoint
    pub snapshot: PathBuf,
    /// The inputs that the run had, unless it had none or a node can find them; repeatable
    #[arg(
        long,
        value_name = "NAME=PATH|CID",
        help_heading = "What it sees and leaves"
    )]
    pub input: Vec<String>,
    /// Where to leave what the component writes to /out
    #[arg(long, value_name = "DIR", help_heading = "What it sees and leaves")]
    pub out: Option<PathBuf>,
    /// What standard input was read from
    #[arg(long, value_name = "FILE", help_heading = "What it sees and leaves")]
    pub stdin: Option<String>,
    /// The directories that the run had, as they were when it began; repeatable
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
    /// Where the next checkpoint goes
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
