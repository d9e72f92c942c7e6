//! `node`, `nodes`, `dht`, `ledger`, `config`

use crate::settings::{Typed, options};
use clap::{Args, Subcommand, ValueEnum};
use mc_config::{ByteSize, Period};
use mc_types::Cid;
use std::path::PathBuf;

options! {
    #[derive(Debug, Args)]
    pub struct Node {
        /// Multiaddr to listen on, such as /ip4/0.0.0.0/tcp/7781; repeatable
        #[arg(long, value_name = "ADDR", help_heading = "Network")]
        "p2p.listen" => pub listen: Vec<String>,
        /// Address of the HTTP API; default: 127.0.0.1:7780, or a free port if that is taken
        #[arg(long, value_name = "IP:PORT", help_heading = "Network")]
        "api.listen" => pub api: Option<String>,
        /// Grant leases and keep content, but run nothing
        #[arg(long, help_heading = "What it lends")]
        "worker.execute" => pub no_execute: bool,
        /// Tasks at a time; default: one per core
        #[arg(long, value_name = "N", help_heading = "What it lends")]
        "worker.slots" => pub slots: Option<u32>,
        /// Most memory of all tasks together; default: four fifths of the machine's
        #[arg(long, value_name = "SIZE", help_heading = "What it lends")]
        "worker.memory" => pub memory: Option<ByteSize>,
        /// Most disk for the files of all tasks together; default: as --disk
        #[arg(long, value_name = "SIZE", help_heading = "What it lends")]
        "worker.scratch" => pub scratch: Option<ByteSize>,
        /// Most disk for the printed output of all tasks together; default: as --disk
        #[arg(long, value_name = "SIZE", help_heading = "What it lends")]
        "worker.output" => pub output: Option<ByteSize>,
        /// Most disk for files and printed output together; default: four fifths of the free space
        #[arg(long, value_name = "SIZE", help_heading = "What it lends")]
        "worker.disk" => pub disk: Option<ByteSize>,
        /// Longest time of one attempt; default: as long as the job allows
        #[arg(long, value_name = "TIME", help_heading = "What it lends")]
        "worker.attempt_time" => pub attempt_time: Option<Period>,
        /// How long a worker may be silent before its task is given to another node; default: 15s
        #[arg(long, value_name = "TIME", help_heading = "Jobs")]
        "lease.ttl" => pub lease_ttl: Option<Period>,
        /// Whether to keep records of the DHT for others; default: when others can connect to this node
        #[arg(long, value_name = "MODE", help_heading = "Network")]
        "p2p.dht" => pub dht: Option<DhtName>,
        /// PostgreSQL database for jobs, which several nodes can share; default: a file in the data directory
        #[arg(long, value_name = "URL", help_heading = "Jobs")]
        "ledger.url" => pub ledger: Option<String>,
        /// How long to keep jobs and results after their end, such as 30d; default: for ever
        #[arg(long, value_name = "TIME", help_heading = "Jobs")]
        "ledger.keep" => pub keep: Option<Period>,
        /// File to which jobs are appended as JSON before --keep removes them
        #[arg(long, value_name = "PATH", help_heading = "Jobs")]
        "ledger.archive" => pub archive: Option<PathBuf>,
        /// A name and value that describe this node, for jobs with --require; repeatable
        #[arg(long, value_name = "K=V", help_heading = "What it lends")]
        pub label: Vec<String>,
    }
}

/// `node --dht`
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum DhtName {
    /// Once others have connected to this node.
    Auto,
    /// Always.
    Server,
    /// Never.
    Client,
}

impl DhtName {
    /// The value of the setting `p2p.dht`.
    #[must_use]
    pub fn setting(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::Server => "server",
            Self::Client => "client",
        }
    }
}

impl Typed for Option<DhtName> {
    fn value(&self) -> Option<toml::Value> {
        self.map(|dht| dht.setting().into())
    }
}

#[derive(Debug, Args)]
pub struct Nodes {
    /// Search the DHT too, not only the connected nodes; each of the options below implies it
    #[arg(long)]
    pub find: bool,
    /// Only nodes with a free slot
    #[arg(long)]
    pub idle: bool,
    /// Only nodes with a GPU
    #[arg(long)]
    pub gpu: bool,
    /// Only nodes with at least this much memory
    #[arg(long, value_name = "SIZE")]
    pub memory: Option<ByteSize>,
    /// Only nodes with this label; repeatable
    #[arg(long, value_name = "K=V")]
    pub label: Vec<String>,
}

#[derive(Debug, Subcommand)]
pub enum Dht {
    /// Print a record
    Get {
        /// The key of the record, as text
        key: String,
    },
    /// List the nodes that provide a CID
    Providers {
        /// The CID
        cid: Cid,
    },
    /// List the nodes of the routing table
    Peers,
}

#[derive(Debug, Subcommand)]
pub enum Ledger {
    /// Print every job as a line of JSON, oldest first
    Export,
    /// Check all jobs for contradictions
    Verify,
    /// Copy all jobs to a PostgreSQL database; then start the node with --ledger
    Migrate {
        /// The database, as postgres://user:password@host/database
        #[arg(long, value_name = "URL")]
        to: String,
    },
}

#[derive(Debug, Subcommand)]
pub enum Config {
    /// Print the configuration in force, and where each value comes from
    Print,
}
