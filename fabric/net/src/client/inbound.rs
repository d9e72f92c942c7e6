//! What other nodes ask this one.

use mc_protocol::{Request, Response};
use mc_types::{ErrorCode, NodeId};
use tokio::sync::oneshot;

/// A request of another node, and how to answer it.
#[derive(Debug)]
pub struct InboundRequest {
    /// Who asks; proven by the connection's encryption.
    pub from: NodeId,
    /// What it asks.
    pub request: Request,
    /// Where the answer goes.
    pub reply: Reply,
}

/// Answers one request. Dropping it unused sends an error.
#[derive(Debug)]
pub struct Reply(pub(crate) Option<oneshot::Sender<Response>>);

impl Reply {
    /// Answers.
    pub fn send(mut self, response: Response) {
        if let Some(reply) = self.0.take() {
            // A peer that went away does not want to know.
            let _ = reply.send(response);
        }
    }
}

impl Drop for Reply {
    fn drop(&mut self) {
        if let Some(reply) = self.0.take() {
            let dropped = Response::error(ErrorCode::Infrastructure, "the request was dropped");
            let _ = reply.send(dropped);
        }
    }
}
