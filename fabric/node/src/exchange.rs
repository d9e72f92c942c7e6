//! [`Peers`] as those ask by them who need not know what carries a request.

use crate::peers::Peers;
use async_trait::async_trait;
use mc_protocol::{Exchange, Request, RequestError, Response};
use mc_types::NodeId;

#[async_trait]
impl Exchange for Peers {
    fn local(&self) -> &NodeId {
        Self::local(self)
    }

    async fn request(&self, node: &NodeId, request: Request) -> Result<Response, RequestError> {
        Self::request(self, node, request).await
    }

    async fn has_ended(&self, node: &NodeId) -> bool {
        Self::has_ended(self, node).await
    }
}
