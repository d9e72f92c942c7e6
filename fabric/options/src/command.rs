//! The commands.

use crate::{
    Add, Block, Car, Cat, Config, Dht, Fetch, Get, JobName, Jobs, Layer, Ledger, Logs, Look, Node,
    Nodes, Pin, Ps, Resume, Run, Submit, Wait,
};
use clap::Subcommand;
use clap_complete::Shell;
use mc_types::NodeId;
use std::ffi::OsString;

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run a component here and now, without a node
    Run(Run),
    /// Resume a run from a checkpoint
    Resume(Resume),
    /// Show a component's imports and modules, and whether it can be stopped and resumed
    Inspect {
        /// A .wasm file, or a directory with a Cargo.toml to build
        component: String,
    },
    /// Run a component on whichever peer is idle, and wait for its result
    Submit(Submit),
    /// List jobs, newest first; with --quiet only their ids
    Ps(Ps),
    /// Show the state of jobs
    Status(Jobs),
    /// Wait for jobs to end; the exit code is that of the first one that did not succeed
    Wait(Wait),
    /// Say why a job waits: what the known nodes lack, and which jobs go first
    Why {
        /// The job: its id, or a unique beginning of it
        id: JobName,
    },
    /// Print what a job has written
    Logs(Logs),
    /// Cancel jobs
    Cancel(Jobs),
    /// Take a checkpoint of a running job now
    Checkpoint {
        /// The job: its id, or a unique beginning of it
        id: JobName,
    },
    /// List the checkpoints of a job, newest first
    Checkpoints {
        /// The job: its id, or a unique beginning of it
        id: JobName,
    },
    /// Move a job to another node, together with its progress
    Migrate {
        /// The job: its id, or a unique beginning of it
        id: JobName,
        /// The id of the node to move it to, as `nodes` prints it
        #[arg(long, value_name = "NODE")]
        to: NodeId,
    },
    /// Fetch the files that a job left in /out
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
    /// Describe a CID
    Stat(Look),
    /// Write and read CAR files, which other IPFS software reads and writes too
    #[command(subcommand)]
    Car(Car),
    /// Layers of container images, by the digests that registries give them
    #[command(subcommand)]
    Layer(Layer),
    /// Read and write single blocks
    #[command(subcommand)]
    Block(Block),
    /// Keep content from being removed, under names
    #[command(subcommand)]
    Pin(Pin),
    /// Remove the blocks that no pin needs
    Gc {
        /// Remove also those that were stored or requested in the last ten minutes
        #[arg(long)]
        now: bool,
    },
    /// Check all stored blocks, and set aside damaged ones
    Fsck,
    /// Look into the DHT
    #[command(subcommand)]
    Dht(Dht),
    /// Export, examine or move the jobs of a node that does not run
    #[command(subcommand)]
    Ledger(Ledger),
    /// Show the configuration
    #[command(subcommand)]
    Config(Config),
    /// Check this installation, and say how to fix what is wrong
    Doctor,
    /// Explain an error code, or list all of them
    Explain {
        /// A code, such as MC0002, or exit-codes
        code: Option<String>,
    },
    /// Print completions for a shell
    Completions {
        /// The shell
        shell: Shell,
    },
    /// Print the version
    Version,
    /// Compile a component for a node
    #[command(hide = true)]
    Compile { args: Vec<OsString> },
}
