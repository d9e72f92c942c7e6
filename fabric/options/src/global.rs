//! Options of every command.

use crate::settings::options;
use clap::{Args, ValueEnum};
use std::path::PathBuf;

/// How results are printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub enum Format {
    /// For humans.
    #[default]
    Text,
    /// For machines.
    Json,
}

options! {
    /// Options of every command.
    #[derive(Debug, Clone, Args)]
    pub struct Global {
        /// The node to talk to, such as http://127.0.0.1:7780, or several that share a ledger, separated by commas;
        /// default: the node of the data directory
        #[arg(
            long,
            global = true,
            value_name = "URL",
            help_heading = "Options of all commands"
        )]
        "node" => pub node: Option<String>,
        /// The directory for identity, blocks and ledger
        #[arg(
            long,
            global = true,
            value_name = "DIR",
            help_heading = "Options of all commands"
        )]
        "data_dir" => pub data_dir: Option<PathBuf>,
        /// A configuration file instead of the usual one
        #[arg(
            long,
            global = true,
            value_name = "FILE",
            help_heading = "Options of all commands"
        )]
        pub config: Option<PathBuf>,
        /// How results are printed
        #[arg(
            long,
            global = true,
            value_enum,
            default_value_t,
            help_heading = "Options of all commands"
        )]
        pub format: Format,
        /// Print nothing but results and errors
        #[arg(short, long, global = true, help_heading = "Options of all commands")]
        pub quiet: bool,
        /// Print more details; repeat for more
        #[arg(short, long, global = true, action = clap::ArgAction::Count, help_heading = "Options of all commands")]
        pub verbose: u8,
        /// The network (namespace) to belong to
        #[arg(long, global = true, value_name = "NAME", help_heading = "Network")]
        "network" => pub network: Option<String>,
        /// Connect to this peer, a multiaddr ending in /p2p/<id>; repeatable
        #[arg(long, global = true, value_name = "ADDR", help_heading = "Network")]
        "p2p.bootstrap" => pub bootstrap: Vec<String>,
        /// Do not look for peers on the local network
        #[arg(long, global = true, help_heading = "Network")]
        "p2p.mdns" => pub no_mdns: bool,
    }
}
