//! What can keep a node from starting or from doing what it was asked.

use mc_types::{Cid, ErrorCode};
use std::path::PathBuf;

/// Why a node cannot start, or cannot carry on.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// Another process uses the data directory.
    #[error("the data directory {path} is in use{}", by_process(*.pid))]
    DataDirLocked {
        /// The directory.
        path: PathBuf,
        /// The process that holds it, if it said so.
        pid: Option<u32>,
    },
    /// The lock of the data directory could not be asked for.
    #[error("cannot lock the data directory {path}")]
    Lock {
        /// The directory.
        path: PathBuf,
        /// Why.
        #[source]
        source: mc_system::lock::LockError,
    },
    /// A file or directory could not be read or written.
    #[error("cannot use {path}")]
    Io {
        /// The path.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// The block store.
    #[error("the block store failed")]
    Content(#[from] mc_content::Error),
    /// The ledger.
    #[error("the ledger failed")]
    Ledger(#[from] mc_ledger::Error),
    /// The network.
    #[error("the network failed")]
    Net(#[from] mc_net::Error),
    /// The engine.
    #[error("the engine failed")]
    Engine(#[from] mc_engine::Error),
    /// The HTTP API.
    #[error("the HTTP API failed")]
    Gateway(#[from] mc_gateway::ServerError),
    /// Content that no reachable peer has.
    #[error("{cid} was not found: {asked} peers were asked")]
    ContentNotFound {
        /// The block that is missing.
        cid: Cid,
        /// How many peers were asked.
        asked: usize,
    },
    /// The node is going down.
    #[error("the node is shutting down")]
    ShuttingDown,
}
