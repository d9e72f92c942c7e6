//! Sending requests to nodes, by any transport.

use crate::{Request, Response};
use async_trait::async_trait;
use mc_types::NodeId;

/// Carries requests to nodes, this node included, so callers need not know where the other side runs.
#[async_trait]
pub trait Exchange: std::fmt::Debug + Send + Sync {
    /// This node.
    fn local(&self) -> &NodeId;

    /// Sends `request` to `node` and waits for the answer.
    ///
    /// # Errors
    ///
    /// [`RequestError`]. The node may have acted on the request nevertheless.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future abandons the answer, not the request.
    async fn request(&self, node: &NodeId, request: Request) -> Result<Response, RequestError>;

    /// Whether the process of a node has ended, after its connection was closed; `false` if this node cannot tell.
    async fn has_ended(&self, node: &NodeId) -> bool;
}

/// Why a request has no answer. The other side may have acted on it nevertheless.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RequestError {
    /// There is no connection to the node, and none could be made.
    #[error("node {0} is not connected")]
    NotConnected(NodeId),
    /// The node did not answer in time.
    #[error("node {0} did not answer in time")]
    Timeout(NodeId),
    /// The node speaks no version of the protocol that this one does.
    #[error(
        "node {0} speaks no version of the protocol that this one does; update the older of them"
    )]
    NoVersion(NodeId),
    /// The node does not know what it was asked, and has done nothing.
    #[error("node {node} does not know what it was asked, {kind:?}: it runs another version")]
    Unsupported {
        /// The node.
        node: NodeId,
        /// The name of the request, as the node read it.
        kind: String,
    },
    /// The answer is of a kind that this version does not know, or does not belong to the request.
    #[error("node {node} answered what this one does not understand, {kind:?}")]
    UnsupportedAnswer {
        /// The node.
        node: NodeId,
        /// What the node calls its answer.
        kind: String,
    },
    /// The connection broke, or the bytes that came were no answer.
    #[error("the request to node {node} failed: {reason}")]
    Failed {
        /// The node.
        node: NodeId,
        /// Why.
        reason: String,
    },
    /// The network side has ended.
    #[error("the network is shut down")]
    Closed,
}

impl RequestError {
    /// Whether the node has certainly not acted on the request: the request did not reach it, or the node did not
    /// understand it.
    #[must_use]
    pub const fn is_unsent(&self) -> bool {
        matches!(
            self,
            Self::NotConnected(_) | Self::NoVersion(_) | Self::Unsupported { .. }
        )
    }
}
