//! What can go wrong between peers.

use mc_types::{Cid, ErrorCode, NodeId};
use std::path::PathBuf;

/// Why the network side cannot start or carry on.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The key file cannot be read or written.
    #[error("cannot use the identity key {path}")]
    KeyFile {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// The key file does not hold a key.
    #[error("the identity key {path} is malformed")]
    MalformedKey {
        /// The file.
        path: PathBuf,
    },
    /// Others may read the key file.
    #[error("the identity key {path} can be read by others; run: chmod 600 {path}")]
    ExposedKey {
        /// The file.
        path: PathBuf,
    },
    /// A node's id does not contain its key, so that nothing can be sealed to it.
    #[error("the id {node} does not contain the node's key")]
    NoPublicKey {
        /// The node.
        node: NodeId,
    },
    /// An address that cannot be listened on.
    #[error("cannot listen on {address}: {reason}")]
    Listen {
        /// The address.
        address: String,
        /// Why.
        reason: String,
    },
    /// A text that is no multiaddr, or lacks what is needed.
    #[error("{address:?} is not a usable multiaddr: {reason}")]
    Address {
        /// The text.
        address: String,
        /// What is wrong.
        reason: String,
    },
    /// The transports cannot be set up.
    #[error("the network cannot be set up: {0}")]
    Setup(String),
    /// The event loop has ended.
    #[error("the network is shut down")]
    Closed,
}

impl Error {
    /// The stable code that users see.
    #[must_use]
    pub const fn code(&self) -> ErrorCode {
        match self {
            Self::KeyFile { .. }
            | Self::MalformedKey { .. }
            | Self::ExposedKey { .. }
            | Self::NoPublicKey { .. } => ErrorCode::Identity,
            Self::Listen { .. } => ErrorCode::Listen,
            Self::Address { .. } => ErrorCode::Usage,
            Self::Setup(_) | Self::Closed => ErrorCode::Infrastructure,
        }
    }
}

/// Why there is no connection to a requested peer.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum ConnectError {
    /// No peer answers at an address that names no peer.
    #[error("cannot connect to {address}: {reason}")]
    Nobody {
        /// The address.
        address: String,
        /// Why.
        reason: String,
    },
    /// No peer answers, or another one than requested.
    #[error("cannot connect to {node}: {reason}")]
    Failed {
        /// The peer.
        node: NodeId,
        /// Why.
        reason: String,
    },
    /// Somebody else answers there.
    #[error("{found} answers there, not {node}")]
    OtherPeer {
        /// The peer that was asked for.
        node: NodeId,
        /// The one that is there.
        found: NodeId,
    },
    /// The peer belongs to another network.
    #[error("{node} belongs to the network {theirs:?}, this node to {ours:?}")]
    OtherNetwork {
        /// The peer.
        node: NodeId,
        /// Its network.
        theirs: String,
        /// That of this node.
        ours: String,
    },
    /// The peer is of another network, and exchanges no blocks with this node either.
    #[error("{node} is no node of this network, and exchanges no blocks with this one")]
    Foreign {
        /// The peer.
        node: NodeId,
    },
    /// The network side has ended.
    #[error("the network is shut down")]
    Closed,
}

impl ConnectError {
    /// The stable code that users see.
    #[must_use]
    pub const fn code(&self) -> ErrorCode {
        match self {
            Self::Nobody { .. }
            | Self::Failed { .. }
            | Self::OtherPeer { .. }
            | Self::OtherNetwork { .. }
            | Self::Foreign { .. } => ErrorCode::PeerUnreachable,
            Self::Closed => ErrorCode::Infrastructure,
        }
    }

    /// What to do about it.
    #[must_use]
    pub const fn hint(&self) -> Option<&'static str> {
        match self {
            Self::Nobody { .. } | Self::Failed { .. } => {
                Some("start a node there, check the address, or open the port in the firewall")
            }
            Self::OtherPeer { .. } => {
                Some("correct the id after /p2p/: the node there says it when it starts")
            }
            Self::OtherNetwork { .. } => Some("give both nodes the same --network"),
            Self::Foreign { .. } | Self::Closed => None,
        }
    }
}

/// Why a block could not be fetched.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FetchError {
    /// No reachable peer has it.
    #[error("{cid} was not found; {peers} peers were asked")]
    NotFound {
        /// The block.
        cid: Cid,
        /// How many peers were asked.
        peers: usize,
    },
    /// The network side has ended.
    #[error("the network is shut down")]
    Closed,
}

/// The innermost cause of an error, which is the one that helps.
pub(crate) fn innermost(error: &dyn std::error::Error) -> String {
    let mut error = error;
    while let Some(source) = error.source() {
        error = source;
    }
    error.to_string()
}
