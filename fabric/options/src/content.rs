//! `get`, `cat`, `ls`, `stat`, `layer`, `car`, `block`, `pin`

use crate::{ContentPath, Links};
use clap::{Args, Subcommand};
use mc_config::{ByteSize, Period};
use mc_types::{Cid, Digest};
use std::{path::PathBuf, time::Duration};

/// Where content comes from.
#[derive(Debug, Args)]
pub struct From {
    /// Connect to this peer first, a node or an IPFS node, by a multiaddr that ends in /p2p/<id>; repeatable
    #[arg(long, value_name = "ADDR")]
    pub from: Vec<String>,
    /// Give up after this time without a block
    #[arg(long, value_name = "TIME")]
    pub timeout: Option<Period>,
}

impl From {
    /// The time without a block after which to give up, if given.
    #[must_use]
    pub fn timeout(&self) -> Option<Duration> {
        self.timeout.map(|timeout| timeout.0)
    }
}

/// How content opens.
#[derive(Debug, Args)]
pub struct Opened {
    /// The key, if it was added with --encrypt
    #[arg(long, value_name = "FILE")]
    pub key_file: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub struct Get {
    /// A CID, or a path below one: CID/a/b
    #[arg(value_name = "CID[/PATH]")]
    pub place: ContentPath,
    /// Where to write it; default: here, under its own name
    #[arg(short, long, value_name = "PATH")]
    pub output: Option<PathBuf>,
    /// What to do with symbolic links that lead out of the directory; default: refuse
    #[arg(long, value_enum, value_name = "WHAT")]
    pub links: Option<Links>,
    #[command(flatten)]
    pub opened: Opened,
    #[command(flatten)]
    pub from: From,
}

#[derive(Debug, Args)]
pub struct Cat {
    /// A CID, or a path below one: CID/a/b
    #[arg(value_name = "CID[/PATH]")]
    pub place: ContentPath,
    /// Begin at this byte
    #[arg(long, value_name = "BYTES", default_value_t = 0)]
    pub offset: u64,
    /// Print at most this many bytes
    #[arg(long, value_name = "SIZE")]
    pub length: Option<ByteSize>,
    #[command(flatten)]
    pub opened: Opened,
    #[command(flatten)]
    pub from: From,
}

#[derive(Debug, Args)]
pub struct Look {
    /// A CID, or a path below one: CID/a/b
    #[arg(value_name = "CID[/PATH]")]
    pub place: ContentPath,
    #[command(flatten)]
    pub opened: Opened,
    #[command(flatten)]
    pub from: From,
}

#[derive(Debug, Subcommand)]
pub enum Layer {
    /// Add a file as a layer that peers find by its digest; print the digest
    Add {
        /// The file
        path: PathBuf,
    },
    /// Stop keeping the layer with this digest
    Rm {
        /// As sha256:6af9…
        digest: Digest,
    },
    /// Write the layer with this digest to a file, from any peer that has it
    Get {
        /// As sha256:6af9…
        digest: Digest,
        /// Its expected size in bytes
        #[arg(long, value_name = "BYTES")]
        size: Option<u64>,
        /// Where to write it
        #[arg(short, long, value_name = "FILE")]
        output: PathBuf,
        #[command(flatten)]
        from: From,
    },
}

#[derive(Debug, Subcommand)]
pub enum Car {
    /// Write content and everything below it to a CAR file
    Export {
        /// A CID, or a path below one: CID/a/b
        #[arg(value_name = "CID[/PATH]")]
        place: ContentPath,
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
        /// Do not pin them
        #[arg(long)]
        no_pin: bool,
    },
}

#[derive(Debug, Subcommand)]
pub enum Block {
    /// Print a block
    Get {
        /// Its CID
        cid: Cid,
    },
    /// Store a file of up to 2 MiB as one raw block; print its CID
    Put {
        /// The file
        path: PathBuf,
    },
    /// Print the size of a block
    Stat {
        /// Its CID
        cid: Cid,
    },
    /// Remove a block
    Rm {
        /// Its CID
        cid: Cid,
    },
}

#[derive(Debug, Subcommand)]
pub enum Pin {
    /// Keep a file, directory or other DAG
    Add {
        /// The root of the DAG
        cid: Cid,
        /// The pin's name; default: the CID
        #[arg(long, value_name = "NAME")]
        name: Option<String>,
        /// Give up when parts are still missing after this time
        #[arg(long, value_name = "TIME")]
        timeout: Option<Period>,
    },
    /// Remove a pin
    Rm {
        /// The pin's name
        name: String,
        /// Remove at once the blocks that no other pin needs
        #[arg(long)]
        now: bool,
    },
    /// List the pins
    Ls,
}
