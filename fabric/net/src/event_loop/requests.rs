//! Requests about work, in both directions.

use super::EventLoop;
use crate::{
    client::{Answered, InboundRequest, Reply},
    identity::{node_id, peer_id},
};
use futures::{FutureExt, StreamExt, future::BoxFuture, stream::FuturesUnordered};
use libp2p::{
    PeerId,
    request_response::{Event, Message, OutboundFailure, OutboundRequestId, ResponseChannel},
};
use mc_protocol::{Heard, Request, RequestError, Response, Unsupported};
use mc_types::{ErrorCode, NodeId};
use std::collections::HashMap;
use tokio::sync::{mpsc, oneshot};

type Channel = ResponseChannel<Heard<Response>>;
/// Who asked, and what it is answered, if it is.
type ForPeer = (PeerId, Option<(Channel, Response)>);

/// How many requests this node answers at a time: of one peer, and of all together. Further ones are refused at once,
/// and the peer asks again later. A worker with a thousand slots sends fewer at a time, and one connection carries at
/// most 256. Each request may be a mebibyte large and has a tokio task of its own, so this bounds how much memory peers
/// can claim here.
const MAX_ANSWERING_OF_PEER: usize = 512;
const MAX_ANSWERING: usize = 4096;
const BUSY: &str = "this node is overloaded";

pub(super) struct Requests {
    inbound: mpsc::Sender<InboundRequest>,
    answering: FuturesUnordered<BoxFuture<'static, ForPeer>>,
    places: Places,
    asked: HashMap<OutboundRequestId, Asked>,
}

/// A request that waits for its answer.
struct Asked {
    peer: PeerId,
    reply: oneshot::Sender<Answered>,
    /// A request that is sent again if its connection closes and there is another one. Every request may arrive twice
    /// without harm.
    request: Option<Box<Request>>,
}

impl Requests {
    pub(super) fn new(inbound: mpsc::Sender<InboundRequest>) -> Self {
        Self {
            inbound,
            answering: FuturesUnordered::new(),
            places: Places::default(),
            asked: HashMap::new(),
        }
    }

    /// The next answer that is ready to be sent; never ready when none is awaited.
    pub(super) async fn next_answer(&mut self) -> Option<(Channel, Response)> {
        if self.answering.is_empty() {
            std::future::pending::<()>().await;
        }
        let (peer, answer) = self.answering.next().await?;
        self.places.leave(&peer);
        answer
    }

    /// Passes a request on; returns the answer if it is already known.
    fn accept(
        &mut self,
        peer: &PeerId,
        request: Heard<Request>,
        channel: Channel,
    ) -> Option<(Channel, Response)> {
        let request = match request {
            Ok(request) => request,
            Err(Unsupported { kind, reason }) => {
                tracing::debug!(%peer, ?kind, ?reason, "a request is not understood");
                return Some((channel, Response::Unsupported { kind }));
            }
        };
        if !self.places.take(peer) {
            return Some((channel, busy(&request)));
        }
        let (reply, answer) = oneshot::channel();
        let inbound = InboundRequest {
            from: node_id(peer),
            request,
            reply: Reply(Some(reply)),
        };
        if let Err(refused) = self.inbound.try_send(inbound) {
            self.places.leave(peer);
            return Some((channel, busy(&refused.into_inner().request)));
        }
        let peer = *peer;
        let answer = async move {
            let response = answer.await.ok();
            (peer, response.map(|response| (channel, response)))
        };
        self.answering.push(answer.boxed());
        None
    }
}

/// The answer of an overloaded node: the caller asks again, or asks another node.
fn busy(request: &Request) -> Response {
    match request {
        Request::Offer { .. } => Response::refused(ErrorCode::Overloaded, BUSY),
        // This message must not be lost.
        Request::Finish { .. }
        | Request::Release { .. }
        | Request::Wrote { .. }
        | Request::Heartbeat { .. } => Response::Elsewhere,
        _ => Response::error(ErrorCode::Overloaded, BUSY),
    }
}

/// The requests that are being answered, by who asked.
#[derive(Debug, Default)]
struct Places {
    of_peers: HashMap<PeerId, usize>,
    all: usize,
}

impl Places {
    /// Takes a place for another request of the peer, if there is one.
    fn take(&mut self, peer: &PeerId) -> bool {
        let taken = self.of_peers.get(peer).copied().unwrap_or_default();
        if self.all >= MAX_ANSWERING || taken >= MAX_ANSWERING_OF_PEER {
            return false;
        }
        self.of_peers.insert(*peer, taken + 1);
        self.all += 1;
        true
    }

    /// One of the requests of the peer is answered.
    fn leave(&mut self, peer: &PeerId) {
        let Some(taken) = self.of_peers.get_mut(peer) else {
            return;
        };
        *taken = taken.saturating_sub(1);
        self.all = self.all.saturating_sub(1);
        if *taken == 0 {
            self.of_peers.remove(peer);
        }
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
            // When the caller asks again, the peer is connected, if it can be reached.
            if let Some(peer) = peer {
                self.connect(peer, Vec::new());
            }
            // The caller may have lost interest.
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

    /// A connection was closed before the answer came: asks again over another one, if there is any.
    fn cut_off(&mut self, id: OutboundRequestId) {
        let Some(asked) = self.requests.asked.remove(&id) else {
            return;
        };
        match asked.request {
            Some(request) if self.swarm.is_connected(&asked.peer) => {
                self.ask(asked.peer, *request, asked.reply, None);
            }
            // The caller may have lost interest.
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
                // The protocol's name contains the network, so a peer that speaks it belongs to that network.
                self.introduced(peer);
                if let Some((channel, busy)) = self.requests.accept(&peer, request, channel) {
                    // The peer may have gone in the meantime.
                    let _ = self
                        .swarm
                        .behaviour_mut()
                        .work
                        .send_response(channel, Ok(busy));
                }
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Identity;

    fn peer() -> PeerId {
        peer_id(&Identity::generate().node_id()).unwrap()
    }

    #[test]
    fn one_peer_does_not_take_the_places_of_others_and_all_have_an_end() {
        let mut places = Places::default();
        let (greedy, another) = (peer(), peer());
        for _ in 0..MAX_ANSWERING_OF_PEER {
            assert!(places.take(&greedy));
        }
        assert!(!places.take(&greedy));
        assert!(places.take(&another));
        places.leave(&greedy);
        assert!(places.take(&greedy));
        while places.all < MAX_ANSWERING {
            let many = peer();
            let taken = (0..MAX_ANSWERING_OF_PEER).take_while(|_| places.take(&many));
            assert!(taken.count() > 0);
        }
        assert!(!places.take(&peer()));
        places.leave(&another);
        assert!(places.take(&peer()));
        places.leave(&another);
        assert_eq!(places.all, MAX_ANSWERING, "it had none any more");
    }

    #[test]
    fn whoever_is_refused_asks_again() {
        use mc_types::{FencingToken, JobId, Timestamp};
        let (job, token) = (JobId::new(Timestamp::from_millis(1), 1), FencingToken(1));
        let reason = String::new();
        let release = Request::Release { job, token, reason };
        assert_eq!(busy(&release), Response::Elsewhere);
        let described = busy(&Request::Describe);
        assert!(matches!(described, Response::Error { .. }));
    }
}
