//! Saying something about work to a node, which may be this one.

use crate::own_requests::OwnRequests;
use async_trait::async_trait;
use mc_net::NetworkHandle;
use mc_protocol::{Exchange, Request, RequestError, Response};
use mc_types::NodeId;
use std::time::Duration;

/// How long this node may take to answer itself: as long as `mc-net` lets other nodes take.
const ANSWER_WITHIN: Duration = Duration::from_secs(10);

/// Carries requests to other nodes by the network, and to this node's own roles by the queue that the
/// [dispatcher](crate::dispatcher) takes them from. So one node alone works in the same way as many.
#[derive(Debug, Clone)]
pub(crate) struct Peers {
    local: NodeId,
    net: NetworkHandle,
    own: OwnRequests,
}

impl Peers {
    /// Carries requests over `net`, and those to this node itself by `own`.
    #[must_use]
    pub(crate) fn new(net: NetworkHandle, own: OwnRequests) -> Self {
        Self {
            local: net.local_id().clone(),
            net,
            own,
        }
    }
}

#[async_trait]
impl Exchange for Peers {
    fn local(&self) -> &NodeId {
        &self.local
    }

    async fn request(&self, node: &NodeId, request: Request) -> Result<Response, RequestError> {
        if *node == self.local {
            let own = self.own.ask_within(ANSWER_WITHIN, node.clone(), request);
            own.await
        } else {
            self.net.request(node, request).await
        }
    }

    async fn has_ended(&self, node: &NodeId) -> bool {
        self.net.has_ended(node).await
    }
}
