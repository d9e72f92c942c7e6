//! Asking other nodes something.

use super::{
    NetworkHandle,
    command::{Answered, Command},
};
use crate::ended;
use mc_protocol::{Request, RequestError};
use mc_types::NodeId;
use std::time::Duration;

/// Between two looks whether a node is connected.
const LOOK_EVERY: Duration = Duration::from_millis(50);

impl NetworkHandle {
    /// Asks a node something.
    ///
    /// # Errors
    ///
    /// [`RequestError`]. The node may have acted on the request nevertheless. The result is one of the request's
    /// answers or an error of the node; anything else is [`RequestError::UnsupportedAnswer`].
    ///
    /// # Cancel safety
    ///
    /// Dropping the future abandons the answer, not the request.
    pub async fn request(&self, node: &NodeId, request: Request) -> Answered {
        let answers = request.answers();
        let answered = self.answer_of(node.clone(), Box::new(request)).await?;
        if answered.is_among(answers) {
            return Ok(answered);
        }
        Err(RequestError::UnsupportedAnswer {
            node: node.clone(),
            kind: answered.kind().to_owned(),
        })
    }

    async fn answer_of(&self, node: NodeId, request: Box<Request>) -> Answered {
        let answered = self
            .ask(|reply| Command::Request {
                node,
                request,
                reply,
            })
            .await;
        answered.unwrap_or(Err(RequestError::Closed))
    }

    /// Sends a request to a node, and connects to it first if necessary.
    ///
    /// # Errors
    ///
    /// [`RequestError`]; [`RequestError::NotConnected`] once `patience` is over.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future abandons the answer, not the request.
    pub async fn request_within(
        &self,
        node: &NodeId,
        request: Request,
        patience: Duration,
    ) -> Answered {
        let deadline = tokio::time::Instant::now() + patience;
        loop {
            // The first try begins to connect.
            match self.request(node, request.clone()).await {
                Err(RequestError::NotConnected(_)) if tokio::time::Instant::now() < deadline => {
                    tokio::time::sleep(LOOK_EVERY).await;
                }
                answer => return answer,
            }
        }
    }

    /// Whether the process of a node has ended that was connected until just now: its machine refuses connections where
    /// the node listened. `false` if this node cannot tell.
    ///
    /// # Cancel safety
    ///
    /// It only looks.
    pub async fn has_ended(&self, node: &NodeId) -> bool {
        let places = || async {
            let node = node.clone();
            let places = self.ask(|reply| Command::Places { node, reply }).await;
            places.unwrap_or_default()
        };
        // It may have come back while it was looked.
        ended::refused(&places().await).await && !places().await.is_empty()
    }
}
