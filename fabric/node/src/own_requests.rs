//! What a node asks itself: its roles talk to each other as they do to those of other nodes.

use mc_protocol::{Request, RequestError, Response};
use mc_types::{ErrorCode, NodeId};
use std::time::Duration;
use tokio::sync::{mpsc, oneshot};

/// Requests that may wait to be taken. Who asks beyond that waits to ask.
const WAITING: usize = 256;

/// A request of this node to itself, and where the answer goes.
#[derive(Debug)]
pub(crate) struct OwnRequest {
    /// Who asks: this node.
    pub from: NodeId,
    /// What it asks.
    pub request: Request,
    /// Where the answer goes.
    pub reply: oneshot::Sender<Response>,
}

/// Asks this node itself. Cheap to clone, and keeps nothing alive that would answer.
#[derive(Debug, Clone)]
pub(crate) struct OwnRequests(mpsc::Sender<OwnRequest>);

/// The way from who asks to who answers.
#[must_use]
pub(crate) fn queue() -> (OwnRequests, mpsc::Receiver<OwnRequest>) {
    let (requests, queue) = mpsc::channel(WAITING);
    (OwnRequests(requests), queue)
}

impl OwnRequests {
    /// Asks, and waits for the answer. As long as nobody takes requests yet, this waits, too; if nobody does any more, it
    /// is an error.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future abandons the answer, not the request.
    pub(crate) async fn ask(&self, from: NodeId, request: Request) -> Response {
        let (reply, answer) = oneshot::channel();
        let asked = OwnRequest {
            from,
            request,
            reply,
        };
        let answer = match self.0.send(asked).await {
            Ok(()) => answer.await.ok(),
            Err(_) => None,
        };
        answer.unwrap_or_else(|| {
            let message = "the node is starting, or about to end";
            Response::error(ErrorCode::Infrastructure, message)
        })
    }

    /// The same, but an answer that takes longer than `within` counts as lost, as that of another node does. Otherwise a
    /// worker would wait for its own coordinator, and that for its database, before it writes a result to disk.
    ///
    /// # Errors
    ///
    /// [`RequestError::Timeout`]. The request may be acted on nevertheless.
    ///
    /// # Cancel safety
    ///
    /// As [`Self::ask`].
    pub(crate) async fn ask_within(
        &self,
        within: Duration,
        from: NodeId,
        request: Request,
    ) -> Result<Response, RequestError> {
        let asked = self.ask(from.clone(), request);
        let answer = tokio::time::timeout(within, asked).await;
        answer.map_err(|_| RequestError::Timeout(from))
    }
}
