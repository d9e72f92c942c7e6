//! What can be typed.

use crate::{job::JobName, links::Links, place::Place};
use clap::{Args, Parser, Subcommand, ValueEnum};
use mc_content::{
    AddOptions, Key,
    unixfs::{Skipped, Symlinks},
};
use mc_node::config::{ByteSize, Period};
use mc_types::{CheckpointEvery, Cid, Digest, JobState, NodeId, Policy, cid};
use std::{ffi::OsString, path::PathBuf, time::Duration};

/// Lends and borrows idle machines: runs WebAssembly tasks on whichever peer is free.
#[derive(Debug, Parser)]
#[command(name = "mc-wasm", version, after_long_help = crate::exit::HELP)]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) global: Global,
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// How results are printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub(crate) enum Format {
    /// For humans.
    #[default]
    Text,
    /// For machines.
    Json,
}

/// Options of every command.
#[derive(Debug, Clone, Args)]
pub(crate) struct Global {
    /// The node to talk to, such as http://127.0.0.1:7780, or several that share a ledger, with commas between
    /// them; default: that of the data directory
    #[arg(
        long,
        global = true,
        value_name = "URL",
        help_heading = "Options of all commands"
    )]
    pub(crate) node: Option<String>,
    /// Where identity, blocks and ledger are kept
    #[arg(
        long,
        global = true,
        value_name = "DIR",
        help_heading = "Options of all commands"
    )]
    pub(crate) data_dir: Option<PathBuf>,
    /// A configuration file instead of the usual one
    #[arg(
        long,
        global = true,
        value_name = "FILE",
        help_heading = "Options of all commands"
    )]
    pub(crate) config: Option<PathBuf>,
    /// How results are printed
    #[arg(
        long,
        global = true,
        value_enum,
        default_value_t,
        help_heading = "Options of all commands"
    )]
    pub(crate) format: Format,
    /// Print nothing but results and errors
    #[arg(short, long, global = true, help_heading = "Options of all commands")]
    pub(crate) quiet: bool,
    /// Print more about what is going on; repeat for more
    #[arg(short, long, global = true, action = clap::ArgAction::Count, help_heading = "Options of all commands")]
    pub(crate) verbose: u8,
    /// The network (namespace) to belong to
    #[arg(long, global = true, value_name = "NAME", help_heading = "Network")]
    pub(crate) network: Option<String>,
    /// Connect to this peer, a multiaddr ending in /p2p/<id>; repeatable
    #[arg(long, global = true, value_name = "ADDR", help_heading = "Network")]
    pub(crate) bootstrap: Vec<String>,
    /// Do not look for peers on the local network
    #[arg(long, global = true, help_heading = "Network")]
    pub(crate) no_mdns: bool,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Run a component here and now, without a node
    Run(Run),
    /// Go on with a run from a checkpoint that it left
    Resume(Resume),
    /// Show what a component is: imports, modules, and whether it can be stopped and resumed
    Inspect { component: String },
    /// Run a component on whichever peer is idle, and wait for its result
    Submit(Submit),
    /// List jobs, newest first; with --quiet only their ids
    Ps(Ps),
    /// Show jobs
    Status(Jobs),
    /// Wait for jobs to end, and exit as the first of them that did not succeed
    Wait(Wait),
    /// Say why a job does not run yet: what the nodes lack that are known, and who goes first
    Why { id: JobName },
    /// Print what a job has written
    Logs(Logs),
    /// Call jobs off
    Cancel(Jobs),
    /// Take a checkpoint of a running job now
    Checkpoint { id: JobName },
    /// List the checkpoints of a job, newest first
    Checkpoints { id: JobName },
    /// Move a job to another node, with what it has done so far
    Migrate {
        id: JobName,
        /// The node
        #[arg(long, value_name = "NODE")]
        to: NodeId,
    },
    /// Fetch what a job left in /out
    Result(Fetch),
    /// Start a node
    Node(Node),
    /// List the nodes that the node knows
    Nodes(Nodes),
    /// Add a file or directory to the node's store, pinned; print its CID
    Add(Add),
    /// Fetch a file or directory by its CID
    Get(Get),
    /// Print a file, or a part of it, by its CID
    Cat(Cat),
    /// List a directory by its CID
    Ls(Look),
    /// Say what a CID is
    Stat(Look),
    /// Content as CAR files, as other IPFS software reads and writes them
    #[command(subcommand)]
    Car(Car),
    /// Layers of container images, by the digests that registries give them
    #[command(subcommand)]
    Layer(Layer),
    /// Single blocks
    #[command(subcommand)]
    Block(Block),
    /// Names that keep content from collection
    #[command(subcommand)]
    Pin(Pin),
    /// Remove the blocks that no pin needs
    Gc {
        /// Those too that were stored or asked for in the last minutes
        #[arg(long)]
        now: bool,
    },
    /// Look whether all stored blocks are what they should be, and set aside those that are not
    Fsck,
    /// Look into the DHT
    #[command(subcommand)]
    Dht(Dht),
    /// Export, examine or move the jobs of a node that does not run
    #[command(subcommand)]
    Ledger(Ledger),
    /// The configuration
    #[command(subcommand)]
    Config(Config),
    /// Check this installation, and say how to mend it
    Doctor,
    /// Explain an error code, or list all of them
    Explain { code: Option<String> },
    /// Print completions for a shell
    Completions { shell: clap_complete::Shell },
    /// Print the version
    Version,
    /// Compile a component for a node
    #[command(hide = true)]
    Compile { args: Vec<OsString> },
}

/// What is to be computed.
#[derive(Debug, Clone, Args)]
pub(crate) struct Task {
    /// A .wasm file, a directory with a Cargo.toml to build, or a CID
    pub(crate) component: String,
    /// Arguments of the component; after `--`, any are
    #[arg(value_name = "ARGS")]
    pub(crate) args: Vec<String>,
    /// What the component is called, its zeroth argument, for one that is several programs; default: task
    #[arg(long, value_name = "NAME")]
    pub(crate) argv0: Option<String>,
    /// A file, directory or CID that appears as /in/NAME; repeatable
    #[arg(
        long,
        value_name = "NAME=PATH|CID",
        help_heading = "What it sees and leaves"
    )]
    pub(crate) input: Vec<String>,
    /// Where to leave what the component writes to /out
    #[arg(long, value_name = "DIR", help_heading = "What it sees and leaves")]
    pub(crate) out: Option<PathBuf>,
    /// An environment variable; repeatable
    #[arg(long, value_name = "K=V", help_heading = "What it sees and leaves")]
    pub(crate) env: Vec<String>,
    /// What standard input reads: a file, or - for this command's own
    #[arg(long, value_name = "FILE", num_args = 0..=1, default_missing_value = "-", help_heading = "What it sees and leaves")]
    pub(crate) stdin: Option<String>,
    /// Most units of fuel, about one per wasm operator; default: not limited
    #[arg(long, value_name = "N", help_heading = "Limits")]
    pub(crate) fuel: Option<u64>,
    /// Most linear memory, such as 256MiB; default 1GiB
    #[arg(long, value_name = "SIZE", help_heading = "Limits")]
    pub(crate) memory: Option<ByteSize>,
    /// Most standard output and error, such as 64MiB; default 1GiB
    #[arg(long, value_name = "SIZE", help_heading = "Limits")]
    pub(crate) output: Option<ByteSize>,
    /// Most bytes in files that the component writes; default 1GiB
    #[arg(long, value_name = "SIZE", help_heading = "Limits")]
    pub(crate) scratch: Option<ByteSize>,
    /// Most files that the component makes; default 100000
    #[arg(long, value_name = "N", help_heading = "Limits")]
    pub(crate) files: Option<u64>,
    /// Most open files, streams and timers at a time; default 10000
    #[arg(long, value_name = "N", help_heading = "Limits")]
    pub(crate) handles: Option<u64>,
    /// Most stack, as the meter counts it; default 8MiB
    #[arg(long, value_name = "SIZE", help_heading = "Limits")]
    pub(crate) stack: Option<ByteSize>,
    /// Most entries of all tables; default 10000000
    #[arg(long, value_name = "N", help_heading = "Limits")]
    pub(crate) table: Option<u64>,
    /// When the component believes to start, in seconds since 1970; default: 2026 begins
    #[arg(long, value_name = "SECONDS")]
    pub(crate) clock: Option<u64>,
    /// A directory of this machine that the component sees as GUEST and may change, / too; repeatable
    #[arg(
        long,
        value_name = "HOST::GUEST",
        help_heading = "What it sees and leaves"
    )]
    pub(crate) dir: Vec<String>,
    /// Kill it after this time, such as 30s; default: never
    #[arg(long, value_name = "TIME", help_heading = "Limits")]
    pub(crate) timeout: Option<Period>,
    /// Which binary of the directory to build, if it has several
    #[arg(long, value_name = "NAME")]
    pub(crate) bin: Option<String>,
}

#[derive(Debug, Args)]
pub(crate) struct Run {
    #[command(flatten)]
    pub(crate) task: Task,
    /// What executes the component: this machine, or an interpreter that is the same on all
    #[arg(long, value_enum, default_value_t = EngineName::Cranelift)]
    pub(crate) engine: EngineName,
    /// Let it see this machine's directories, clock and network as they are
    #[arg(long)]
    pub(crate) relaxed: bool,
    /// Stop it at the first place beyond N executed operators, and leave a checkpoint
    #[arg(long, value_name = "N", help_heading = "Checkpoints")]
    pub(crate) checkpoint_at: Option<u64>,
    /// Where the checkpoint goes
    #[arg(
        short = 'o',
        long = "checkpoint",
        value_name = "FILE",
        help_heading = "Checkpoints"
    )]
    pub(crate) checkpoint: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(crate) struct Resume {
    /// The checkpoint
    pub(crate) snapshot: PathBuf,
    /// The inputs that the run had, unless it had none or a node can find them; repeatable
    #[arg(
        long,
        value_name = "NAME=PATH|CID",
        help_heading = "What it sees and leaves"
    )]
    pub(crate) input: Vec<String>,
    /// Where to leave what the component writes to /out
    #[arg(long, value_name = "DIR", help_heading = "What it sees and leaves")]
    pub(crate) out: Option<PathBuf>,
    /// What standard input was read from
    #[arg(long, value_name = "FILE", help_heading = "What it sees and leaves")]
    pub(crate) stdin: Option<String>,
    /// The directories that the run had, as they were when it began; repeatable
    #[arg(
        long,
        value_name = "HOST::GUEST",
        help_heading = "What it sees and leaves"
    )]
    pub(crate) dir: Vec<String>,
    /// Kill it after this time, such as 30s; default: never
    #[arg(long, value_name = "TIME", help_heading = "Limits")]
    pub(crate) timeout: Option<Period>,
    /// What executes the component
    #[arg(long, value_enum, default_value_t = EngineName::Cranelift)]
    pub(crate) engine: EngineName,
    /// Stop it again at the first place beyond N executed operators
    #[arg(long, value_name = "N", help_heading = "Checkpoints")]
    pub(crate) checkpoint_at: Option<u64>,
    /// Where the next checkpoint goes
    #[arg(
        short = 'o',
        long = "checkpoint",
        value_name = "FILE",
        help_heading = "Checkpoints"
    )]
    pub(crate) checkpoint: Option<PathBuf>,
}

/// `node --dht`
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum DhtName {
    /// Once others have connected to this node.
    Auto,
    /// Always.
    Server,
    /// Never.
    Client,
}

impl DhtName {
    /// The value of the setting `p2p.dht`.
    pub(crate) fn setting(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::Server => "server",
            Self::Client => "client",
        }
    }
}

/// What executes a component.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum EngineName {
    /// Native code, made by Cranelift.
    Cranelift,
    /// The interpreter Pulley.
    Pulley,
}

#[derive(Debug, Args)]
pub(crate) struct Submit {
    #[command(flatten)]
    pub(crate) task: Task,
    /// A free name and value; target_node=ID names the node that must run it; repeatable
    #[arg(long, value_name = "K=V", help_heading = "Where and when")]
    pub(crate) label: Vec<String>,
    /// How often to try again when a machine fails
    #[arg(
        long,
        value_name = "N",
        default_value_t = 3,
        help_heading = "When a machine fails"
    )]
    pub(crate) retries: u32,
    /// From 0 to 9: it is placed before all jobs that wait with a lower one
    #[arg(
        long,
        value_name = "0-9",
        default_value_t = 5,
        help_heading = "Where and when"
    )]
    pub(crate) priority: u8,
    /// Give up when no node was free for so long
    #[arg(long, value_name = "TIME", help_heading = "Where and when")]
    pub(crate) queue_timeout: Option<Period>,
    /// Which of several nodes gets it: first-answer, random, best-fit, local-first or data-locality; default: as
    /// the node that grants the lease is configured
    #[arg(long, value_name = "NAME", help_heading = "Where and when")]
    pub(crate) policy: Option<Policy>,
    /// Only a node with this label; repeatable
    #[arg(long, value_name = "K=V", help_heading = "Where and when")]
    pub(crate) require: Vec<String>,
    /// What the job is called in lists, as the label `name`; default: the name of the component's file, unless the
    /// job is private
    #[arg(long, value_name = "NAME", help_heading = "Where and when")]
    pub(crate) name: Option<String>,
    /// Whose job it is: submitters share the machines evenly
    #[arg(
        long,
        value_name = "NAME",
        default_value = "",
        help_heading = "Where and when"
    )]
    pub(crate) submitter: String,
    /// Take a checkpoint after every such time, as 5s, or number of operators; a job that loses its machine
    /// goes on from the newest
    #[arg(long, value_name = "TIME|N", value_parser = interval, help_heading = "When a machine fails")]
    pub(crate) checkpoint_every: Option<CheckpointEvery>,
    /// Encrypt the inputs that are read from here, and the results: only the node that runs the job, the
    /// one that it is submitted to, and you can read them. Arguments and variables stay readable
    #[arg(long)]
    pub(crate) encrypt: bool,
    /// Do not wait: print the job's id
    #[arg(long)]
    pub(crate) detach: bool,
}

// A doc comment here would be the help of each command that has this.
#[derive(Debug, Args)]
pub(crate) struct Jobs {
    /// The jobs: ids, or beginnings of ids that no other job has
    #[arg(required = true, value_name = "ID")]
    pub(crate) ids: Vec<JobName>,
}

#[derive(Debug, Args)]
pub(crate) struct Wait {
    #[command(flatten)]
    pub(crate) jobs: Jobs,
    /// Stop waiting after this time, such as 10m; the jobs go on
    #[arg(long, value_name = "TIME")]
    pub(crate) timeout: Option<Period>,
}

#[derive(Debug, Args)]
pub(crate) struct Ps {
    /// Only jobs in this state
    #[arg(long, value_parser = state)]
    pub(crate) state: Option<JobState>,
    /// Most jobs
    #[arg(long, default_value_t = 100)]
    pub(crate) limit: u32,
}

fn interval(text: &str) -> Result<CheckpointEvery, String> {
    if let Ok(operators) = text.parse() {
        return Ok(CheckpointEvery::Operators(operators));
    }
    let Ok(Period(time)) = text.parse() else {
        return Err("give a time such as 5s, or a number of operators".to_owned());
    };
    let millis = u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
    Ok(CheckpointEvery::Millis(millis))
}

fn state(text: &str) -> Result<JobState, String> {
    serde_json::from_value(text.into())
        .map_err(|_| "one of queued, assigned, running, succeeded, failed, cancelled".to_owned())
}

#[derive(Debug, Args)]
pub(crate) struct Logs {
    pub(crate) id: JobName,
    /// Go on until the job ends
    #[arg(short, long)]
    pub(crate) follow: bool,
    /// Standard error instead of standard output
    #[arg(long)]
    pub(crate) stderr: bool,
    /// What this attempt wrote, from 1 on; default: the newest
    #[arg(long, value_name = "N", conflicts_with = "follow")]
    pub(crate) attempt: Option<u32>,
    /// Begin with the last N lines that were written so far
    #[arg(long, value_name = "N")]
    pub(crate) tail: Option<usize>,
}

#[derive(Debug, Args)]
pub(crate) struct Fetch {
    pub(crate) id: JobName,
    /// Where to leave what it wrote below /out
    #[arg(long, value_name = "DIR", required_unless_present = "dir")]
    pub(crate) out: Option<PathBuf>,
    /// Change a directory that it was given as it did, where it is still as it was given; repeatable
    #[arg(long, value_name = "HOST::GUEST")]
    pub(crate) dir: Vec<String>,
    /// What becomes of symbolic links that lead out of it; default: skip
    #[arg(long, value_enum, value_name = "WHAT")]
    pub(crate) links: Option<Links>,
}

#[derive(Debug, Args)]
pub(crate) struct Node {
    /// Multiaddr to listen on, such as /ip4/0.0.0.0/tcp/7781; repeatable
    #[arg(long, value_name = "ADDR", help_heading = "Network")]
    pub(crate) listen: Vec<String>,
    /// Address of the HTTP API
    #[arg(long, value_name = "IP:PORT", help_heading = "Network")]
    pub(crate) api: Option<String>,
    /// Grant leases and keep content, but run nothing
    #[arg(long, help_heading = "What it lends")]
    pub(crate) no_execute: bool,
    /// Tasks at a time; default: one per core
    #[arg(long, value_name = "N", help_heading = "What it lends")]
    pub(crate) slots: Option<u32>,
    /// Silence after which a task is given to another node
    #[arg(long, value_name = "TIME", help_heading = "Jobs")]
    pub(crate) lease_ttl: Option<Period>,
    /// Whether to keep records of the DHT for others; default: when others can connect to this node
    #[arg(long, value_name = "MODE", help_heading = "Network")]
    pub(crate) dht: Option<DhtName>,
    /// PostgreSQL database in which jobs are kept, together with other nodes; default: a file of its own
    #[arg(long, value_name = "URL", help_heading = "Jobs")]
    pub(crate) ledger: Option<String>,
    /// How long jobs and their results are kept after their end, such as 30d; default: for ever
    #[arg(long, value_name = "TIME", help_heading = "Jobs")]
    pub(crate) keep: Option<Period>,
    /// File to which jobs are appended as JSON before they are removed
    #[arg(long, value_name = "PATH", help_heading = "Jobs")]
    pub(crate) archive: Option<PathBuf>,
    /// A name and value that describe this node; repeatable
    #[arg(long, value_name = "K=V", help_heading = "What it lends")]
    pub(crate) label: Vec<String>,
}

#[derive(Debug, Args)]
pub(crate) struct Nodes {
    /// Look in the DHT, beyond the nodes that are connected; any of the following does so too
    #[arg(long)]
    pub(crate) find: bool,
    /// Only nodes with a free slot
    #[arg(long)]
    pub(crate) idle: bool,
    /// Only nodes with a GPU
    #[arg(long)]
    pub(crate) gpu: bool,
    /// Only nodes with so much memory
    #[arg(long, value_name = "SIZE")]
    pub(crate) memory: Option<ByteSize>,
    /// Only nodes with this label; repeatable
    #[arg(long, value_name = "K=V")]
    pub(crate) label: Vec<String>,
}

#[derive(Debug, Args)]
pub(crate) struct Add {
    /// A file or directory, or - for standard input
    pub(crate) path: PathBuf,
    /// Only print the CID, store nothing
    #[arg(long)]
    pub(crate) only_hash: bool,
    /// The name of the pin that keeps it; default: the CID
    #[arg(long, value_name = "NAME")]
    pub(crate) name: Option<String>,
    /// Cut files into pieces of this size, at most 1MiB. Other settings than the default give other CIDs
    #[arg(long, value_name = "SIZE", default_value = "1MiB", value_parser = chunk_size)]
    pub(crate) chunk_size: ByteSize,
    /// The version of CIDs, as of `ipfs add`
    #[arg(long, value_name = "0|1", default_value_t = 1, value_parser = clap::value_parser!(u8).range(0..=1))]
    pub(crate) cid_version: u8,
    /// Whether pieces of files are blocks of bytes alone; default: with CIDs of version 1
    #[arg(long, value_name = "BOOL")]
    pub(crate) raw_leaves: Option<bool>,
    /// Keep permissions, as to execute a program
    #[arg(long)]
    pub(crate) preserve_mode: bool,
    /// Leave out what cannot be read or has a name that is not UTF-8, and name it
    #[arg(long)]
    pub(crate) skip_unreadable: bool,
    /// What becomes of symbolic links in a directory
    #[arg(long, value_enum, default_value_t = SymlinksName::Keep)]
    pub(crate) symlinks: SymlinksName,
    /// Encrypt files and their names; --key-file says with which key
    #[arg(long, requires = "key_file", conflicts_with_all = ["chunk_size", "only_hash"])]
    pub(crate) encrypt: bool,
    /// Where the key is, or is written if there is no such file
    #[arg(long, value_name = "FILE", requires = "encrypt")]
    pub(crate) key_file: Option<PathBuf>,
}

impl Add {
    /// How files become blocks.
    pub(crate) fn options(&self, key: Option<Key>) -> AddOptions {
        AddOptions {
            key,
            chunk_bytes: usize::try_from(self.chunk_size.0).unwrap_or(usize::MAX),
            cid_version: match self.cid_version {
                0 => cid::Version::V0,
                _ => cid::Version::V1,
            },
            raw_leaves: self.raw_leaves,
            modes: self.preserve_mode,
            skipped: self.skip_unreadable.then(Skipped::default),
            for_guests: false,
            symlinks: match self.symlinks {
                SymlinksName::Keep => Symlinks::Keep,
                SymlinksName::Follow => Symlinks::Follow,
                SymlinksName::Refuse => Symlinks::Refuse,
            },
        }
    }
}

fn chunk_size(text: &str) -> Result<ByteSize, String> {
    let size: ByteSize = text.parse().map_err(|e| format!("{e}"))?;
    if (1 << 10..=1 << 20).contains(&size.0) {
        Ok(size)
    } else {
        Err("from 1KiB to 1MiB are accepted".to_owned())
    }
}

/// `add --symlinks`
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum SymlinksName {
    /// They are kept as links.
    Keep,
    /// What they lead to is added.
    Follow,
    /// The directory is not added.
    Refuse,
}

/// Where content comes from.
#[derive(Debug, Args)]
pub(crate) struct From {
    /// Connect to this peer first, a node or an IPFS node, by a multiaddr that ends in /p2p/<id>; repeatable
    #[arg(long, value_name = "ADDR")]
    pub(crate) from: Vec<String>,
    /// Give up after this time without a block
    #[arg(long, value_name = "TIME")]
    pub(crate) timeout: Option<Period>,
}

/// How content opens.
#[derive(Debug, Args)]
pub(crate) struct Opened {
    /// The key, if it was added with --encrypt
    #[arg(long, value_name = "FILE")]
    pub(crate) key_file: Option<PathBuf>,
}

impl Opened {
    pub(crate) fn key(&self) -> Result<Option<Key>, crate::failure::Failure> {
        self.key_file.as_deref().map(crate::keys::read).transpose()
    }
}

impl From {
    pub(crate) fn timeout(&self) -> Option<Duration> {
        self.timeout.map(|timeout| timeout.0)
    }
}

#[derive(Debug, Args)]
pub(crate) struct Get {
    /// A CID, or a path below one: CID/a/b
    #[arg(value_name = "CID[/PATH]")]
    pub(crate) place: Place,
    /// Where to write it; default: a file or directory of its name here
    #[arg(short, long, value_name = "PATH")]
    pub(crate) output: Option<PathBuf>,
    /// What becomes of symbolic links that lead out of it; default: refuse
    #[arg(long, value_enum, value_name = "WHAT")]
    pub(crate) links: Option<Links>,
    #[command(flatten)]
    pub(crate) opened: Opened,
    #[command(flatten)]
    pub(crate) from: From,
}

#[derive(Debug, Args)]
pub(crate) struct Cat {
    /// A CID, or a path below one: CID/a/b
    #[arg(value_name = "CID[/PATH]")]
    pub(crate) place: Place,
    /// Begin at this byte
    #[arg(long, value_name = "BYTES", default_value_t = 0)]
    pub(crate) offset: u64,
    /// Print at most so many bytes
    #[arg(long, value_name = "SIZE")]
    pub(crate) length: Option<ByteSize>,
    #[command(flatten)]
    pub(crate) opened: Opened,
    #[command(flatten)]
    pub(crate) from: From,
}

#[derive(Debug, Args)]
pub(crate) struct Look {
    /// A CID, or a path below one: CID/a/b
    #[arg(value_name = "CID[/PATH]")]
    pub(crate) place: Place,
    #[command(flatten)]
    pub(crate) opened: Opened,
    #[command(flatten)]
    pub(crate) from: From,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Layer {
    /// Make a file a layer that peers find by its digest, and print that
    Add { path: PathBuf },
    /// Let nothing keep the layer with this digest any more
    Rm { digest: Digest },
    /// Write the layer with this digest to a file, from whoever has it
    Get {
        /// As sha256:6af9…
        digest: Digest,
        /// The bytes that it has to have
        #[arg(long, value_name = "BYTES")]
        size: Option<u64>,
        /// The file
        #[arg(short, long, value_name = "FILE")]
        output: PathBuf,
        #[command(flatten)]
        from: From,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum Car {
    /// Write content and everything below it to a CAR file
    Export {
        /// A CID, or a path below one: CID/a/b
        #[arg(value_name = "CID[/PATH]")]
        place: Place,
        /// The file; default: standard output
        #[arg(short, long, value_name = "FILE")]
        output: Option<PathBuf>,
        #[command(flatten)]
        from: From,
    },
    /// Store the blocks of a CAR file, of version 1 or 2, and pin its roots
    Import {
        /// A file, or - for standard input
        path: PathBuf,
        /// Let nothing keep them
        #[arg(long)]
        no_pin: bool,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum Block {
    /// Print a block
    Get { cid: Cid },
    /// Store a file of up to 2 MiB as one raw block; print its CID
    Put { path: PathBuf },
    /// Print the size of a block
    Stat { cid: Cid },
    /// Remove a block
    Rm { cid: Cid },
}

#[derive(Debug, Subcommand)]
pub(crate) enum Pin {
    /// Keep a file, directory or other DAG
    Add {
        cid: Cid,
        /// The pin's name; default: the CID
        #[arg(long)]
        name: Option<String>,
        /// Give up when not all of it is there after this time
        #[arg(long, value_name = "TIME")]
        timeout: Option<Period>,
    },
    /// Remove a pin
    Rm {
        name: String,
        /// Remove the blocks that no other pin needs at once
        #[arg(long)]
        now: bool,
    },
    /// List the pins
    Ls,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Dht {
    /// Print a record
    Get { key: String },
    /// List the nodes that provide a CID
    Providers { cid: Cid },
    /// List the nodes of the routing table
    Peers,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Ledger {
    /// Print every job as a line of JSON, oldest first
    Export,
    /// Look for jobs that cannot be as they are written
    Verify,
    /// Copy all jobs to a PostgreSQL database; then start the node with --ledger
    Migrate {
        /// postgres://user:password@host/database
        #[arg(long, value_name = "URL")]
        to: String,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum Config {
    /// Print the configuration in force, and where each value comes from
    Print,
}
