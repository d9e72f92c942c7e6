//! Requests about work, in both directions.

use super::EventLoop;
use crate::{
    RequestError,
    client::{Answered, InboundRequest, Reply},
    identity::{node_id, peer_id},
    message::{Request, Response},
};
use futures::{FutureExt, StreamExt, future::BoxFuture, stream::FuturesUnordered};
use libp2p::{
    PeerId,
    request_response::{Event, Message, OutboundFailure, OutboundRequestId, ResponseChannel},
};
use mc_types::NodeId;
use std::collections::HashMap;
use tokio::sync::{mpsc, oneshot};

type Channel = ResponseChannel<Response>;

pub(super) struct Requests {
    inbound: mpsc::Sender<InboundRequest>,
    answering: FuturesUnordered<BoxFuture<'static, Option<(Channel, Response)>>>,
    asked: HashMap<OutboundRequestId, Asked>,
}

/// A request that waits for its answer.
struct Asked {
    peer: PeerId,
    reply: oneshot::Sender<Answered>,
    /// To be sent once more if the connection is closed by which it went, and there is another one. All
    /// requests may arrive twice without harm.
    request: Option<Box<Request>>,
}

impl Requests {
    pub(super) fn new(inbound: mpsc::Sender<InboundRequest>) -> Self {
        Self {
            inbound,
            answering: FuturesUnordered::new(),
            asked: HashMap::new(),
        }
    }

    /// The next answer that is ready to be sent; never ready when none is awaited.
    pub(super) async fn next_answer(&mut self) -> Option<(Channel, Response)> {
        if self.answering.is_empty() {
            std::future::pending::<()>().await;
        }
        self.answering.next().await.flatten()
    }

    fn accept(&mut self, peer: &PeerId, request: Request, channel: Channel) {
        let (reply, answer) = oneshot::channel();
        let inbound = InboundRequest {
            from: node_id(peer),
            request,
            reply: Reply(Some(reply)),
        };
        let refused = self.inbound.try_send(inbound).is_err();
        let answer = async move {
            let busy = || Response::Error {
                message: "this node is overloaded".to_owned(),
            };
            let response = if refused { busy() } else { answer.await.ok()? };
            Some((channel, response))
        };
        self.answering.push(answer.boxed());
    }
}

/// Why there is no answer of a peer that is gone.
fn closed(peer: &PeerId) -> RequestError {
    RequestError::Failed {
        node: node_id(peer),
        reason: "the connection was closed".to_owned(),
    }
}

impl EventLoop {
    pub(super) fn send_request(
        &mut self,
        node: NodeId,
        request: Request,
        reply: oneshot::Sender<Answered>,
    ) {
        let peer = peer_id(&node);
        let Some(peer) = peer.filter(|peer| self.peers.contains_key(peer)) else {
            // Whoever asks again finds it connected, if it can be.
            if let Some(peer) = peer {
                self.connect(peer, Vec::new());
            }
            // Whoever asked may have lost interest.
            let _ = reply.send(Err(RequestError::NotConnected(node)));
            return;
        };
        let again = Some(Box::new(request.clone()));
        self.ask(peer, request, reply, again);
    }

    fn ask(
        &mut self,
        peer: PeerId,
        request: Request,
        reply: oneshot::Sender<Answered>,
        again: Option<Box<Request>>,
    ) {
        let id = self.swarm.behaviour_mut().work.send_request(&peer, request);
        let asked = Asked {
            peer,
            reply,
            request: again,
        };
        self.requests.asked.insert(id, asked);
    }

    /// A connection was closed before the answer came: asks again by another one, if there is any.
    fn cut_off(&mut self, id: OutboundRequestId) {
        let Some(asked) = self.requests.asked.remove(&id) else {
            return;
        };
        match asked.request {
            Some(request) if self.swarm.is_connected(&asked.peer) => {
                self.ask(asked.peer, *request, asked.reply, None);
            }
            // Whoever asked may have lost interest.
            _ => drop(asked.reply.send(Err(closed(&asked.peer)))),
        }
    }

    pub(super) fn work_event(&mut self, event: Event<Request, Response>) {
        match event {
            Event::Message {
                peer,
                message:
                    Message::Request {
                        request, channel, ..
                    },
                ..
            } => {
                // The protocol's name has the network in it, so that a peer which speaks it belongs to that.
                self.introduced(peer);
                self.requests.accept(&peer, request, channel);
            }
            Event::Message {
                message:
                    Message::Response {
                        request_id,
                        response,
                    },
                ..
            } => {
                self.answered(request_id, Ok(response));
            }
            Event::OutboundFailure {
                request_id,
                error: OutboundFailure::ConnectionClosed,
                ..
            } => self.cut_off(request_id),
            Event::OutboundFailure {
                peer,
                request_id,
                error,
                ..
            } => {
                let node = node_id(&peer);
                self.answered(
                    request_id,
                    Err(match error {
                        OutboundFailure::Timeout => RequestError::Timeout(node),
                        OutboundFailure::DialFailure => RequestError::NotConnected(node),
                        error => RequestError::Failed {
                            node,
                            reason: error.to_string(),
                        },
                    }),
                );
            }
            Event::InboundFailure { peer, error, .. } => {
                tracing::debug!(%peer, %error, "request not answered");
            }
            Event::ResponseSent { .. } => {}
        }
    }

    /// Fails what the peer was asked: it is gone.
    pub(super) fn fail_requests(&mut self, peer: &PeerId) {
        let gone = self
            .requests
            .asked
            .extract_if(|_, asked| asked.peer == *peer);
        for (_, asked) in gone.collect::<Vec<_>>() {
            // It may have acted before it went.
            let _ = asked.reply.send(Err(closed(peer)));
        }
    }

    fn answered(&mut self, id: OutboundRequestId, answer: Answered) {
        if let Some(asked) = self.requests.asked.remove(&id) {
            let _ = asked.reply.send(answer);
        }
    }
}
