//! Options of `run` and `submit`.

use clap::Args;
use mc_config::{ByteSize, Period};
use std::path::PathBuf;

/// The computation.
#[derive(Debug, Clone, Args)]
pub struct Task {
    /// A .wasm file, a directory with a Cargo.toml to build, or a CID
    pub component: String,
    /// Arguments of the component; after `--`, they may begin with a dash
    #[arg(value_name = "ARGS")]
    pub args: Vec<String>,
    /// The component's name, its zeroth argument, for a file with several programs; default: task
    #[arg(long, value_name = "NAME")]
    pub argv0: Option<String>,
    /// A file, directory or CID that appears as /in/NAME; repeatable
    #[arg(
        long,
        value_name = "NAME=PATH|CID",
        help_heading = "What it sees and leaves"
    )]
    pub input: Vec<String>,
    /// Where to write the files that the component leaves in /out
    #[arg(long, value_name = "DIR", help_heading = "What it sees and leaves")]
    pub out: Option<PathBuf>,
    /// An environment variable; repeatable
    #[arg(long, value_name = "K=V", help_heading = "What it sees and leaves")]
    pub env: Vec<String>,
    /// What standard input reads: a file, or - for this command's own
    #[arg(long, value_name = "FILE", num_args = 0..=1, default_missing_value = "-", help_heading = "What it sees and leaves")]
    pub stdin: Option<String>,
    /// Most units of fuel, about one per wasm operator; default: not limited
    #[arg(long, value_name = "N", help_heading = "Limits")]
    pub fuel: Option<u64>,
    /// Most linear memory, such as 256MiB; default 1GiB
    #[arg(long, value_name = "SIZE", help_heading = "Limits")]
    pub memory: Option<ByteSize>,
    /// Most standard output and error together, such as 64MiB; default 1GiB
    #[arg(long, value_name = "SIZE", help_heading = "Limits")]
    pub output: Option<ByteSize>,
    /// Most bytes in files that the component writes; default 1GiB
    #[arg(long, value_name = "SIZE", help_heading = "Limits")]
    pub scratch: Option<ByteSize>,
    /// Most files that the component makes; default 100000
    #[arg(long, value_name = "N", help_heading = "Limits")]
    pub files: Option<u64>,
    /// Most open files, streams and timers at a time; default 10000
    #[arg(long, value_name = "N", help_heading = "Limits")]
    pub handles: Option<u64>,
    /// Most stack, as the meter counts it; default 8MiB
    #[arg(long, value_name = "SIZE", help_heading = "Limits")]
    pub stack: Option<ByteSize>,
    /// Most entries of all tables together; default 10000000
    #[arg(long, value_name = "N", help_heading = "Limits")]
    pub table: Option<u64>,
    /// The start time that the component sees, in seconds since 1970; default: the beginning of 2026
    #[arg(long, value_name = "SECONDS")]
    pub clock: Option<u64>,
    /// A directory of this machine that the component sees as GUEST and may change, / too; repeatable
    #[arg(
        long,
        value_name = "HOST::GUEST",
        help_heading = "What it sees and leaves"
    )]
    pub dir: Vec<String>,
    /// Kill it after this time, such as 30s; default: never
    #[arg(long, value_name = "TIME", help_heading = "Limits")]
    pub timeout: Option<Period>,
    /// Which binary of the directory to build, if it has several
    #[arg(long, value_name = "NAME")]
    pub bin: Option<String>,
}
