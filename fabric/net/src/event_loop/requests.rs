//! Requests about work, in both directions.

use super::EventLoop;
use crate::{
    RequestError,
    client::{Answered, InboundRequest, Reply},
    identity::{node_id, peer_id},
};
use futures::{FutureExt, StreamExt, future::BoxFuture, stream::FuturesUnordered};
use libp2p::{
    PeerId,
    request_response::{Event, Message, OutboundFailure, OutboundRequestId, ResponseChannel},
};
use mc_protocol::{Heard, Request, Response, Unsupported};
use mc_types::{ErrorCode, NodeId};
use std::collections::HashMap;
use tokio::sync::{mpsc, oneshot};

type Channel = ResponseChannel<Heard<Response>>;

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

    fn accept(&mut self, peer: &PeerId, request: Heard<Request>, channel: Channel) {
        let request = match request {
            Ok(request) => request,
            Err(Unsupported { kind, reason }) => {
                tracing::debug!(%peer, ?kind, ?reason, "a request is not understood");
                let answer = Response::Unsupported { kind };
                self.answering
                    .push(std::future::ready(Some((channel, answer))).boxed());
                return;
            }
        };
        let (reply, answer) = oneshot::channel();
        let inbound = InboundRequest {
            from: node_id(peer),
            request,
            reply: Reply(Some(reply)),
        };
        let refused = self.inbound.try_send(inbound).is_err();
        let answer = async move {
            let busy = || Response::error(ErrorCode::Overloaded, "this node is overloaded");
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

/// What has come of a request that was answered.
fn understood(peer: &PeerId, response: Heard<Response>) -> Answered {
    let node = node_id(peer);
    match response {
        Ok(Response::Unsupported { kind }) => Err(RequestError::Unsupported { node, kind }),
        Ok(response) => Ok(response),
        Err(Unsupported { kind, reason }) => {
            tracing::debug!(%node, ?kind, ?reason, "an answer is not understood");
            Err(RequestError::UnsupportedAnswer { node, kind })
        }
    }
}

/// Why a request was not answered.
fn failed(peer: &PeerId, error: &OutboundFailure) -> RequestError {
    let node = node_id(peer);
    match error {
        OutboundFailure::Timeout => RequestError::Timeout(node),
        OutboundFailure::DialFailure => RequestError::NotConnected(node),
        OutboundFailure::UnsupportedProtocols => RequestError::NoVersion(node),
        error => RequestError::Failed {
            node,
            reason: error.to_string(),
        },
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
        let id = self
            .swarm
            .behaviour_mut()
            .work
            .send_request(&peer, Ok(request));
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

    pub(super) fn work_event(&mut self, event: Event<Heard<Request>, Heard<Response>>) {
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
                peer,
                message:
                    Message::Response {
                        request_id,
                        response,
                    },
                ..
            } => {
                self.answered(request_id, understood(&peer, response));
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
            } => self.answered(request_id, Err(failed(&peer, &error))),
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
