//! A peer of the next version, over real connections: it speaks one more version of the protocol, and says what this one
//! does not know.

use super::{options, start};
use futures::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, StreamExt};
use libp2p::{
    PeerId, StreamProtocol, Swarm, SwarmBuilder, noise,
    request_response::{self, Event, Message, ProtocolSupport},
    swarm::SwarmEvent,
    tcp, yamux,
};
use mc_net::InboundRequest;
use mc_protocol::{Announcement, Request, RequestError, Response, decode_message, encode};
use mc_types::{ErrorCode, NodeId};
use serde::Serialize;
use std::{collections::BTreeMap, io, time::Duration};
use tokio::sync::mpsc;

/// Messages as the bytes that they are.
#[derive(Debug, Clone, Default)]
struct Raw;

async fn read(io: &mut (impl AsyncRead + Unpin)) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    io.read_to_end(&mut bytes).await?;
    Ok(bytes)
}

async fn write(io: &mut (impl AsyncWrite + Unpin), bytes: Vec<u8>) -> io::Result<()> {
    io.write_all(&bytes).await?;
    io.close().await
}

impl request_response::Codec for Raw {
    type Protocol = StreamProtocol;
    type Request = Vec<u8>;
    type Response = Vec<u8>;

    async fn read_request<T>(&mut self, _: &StreamProtocol, io: &mut T) -> io::Result<Vec<u8>>
    where
        T: AsyncRead + Unpin + Send,
    {
        read(io).await
    }

    async fn read_response<T>(&mut self, _: &StreamProtocol, io: &mut T) -> io::Result<Vec<u8>>
    where
        T: AsyncRead + Unpin + Send,
    {
        read(io).await
    }

    async fn write_request<T>(
        &mut self,
        _: &StreamProtocol,
        io: &mut T,
        bytes: Vec<u8>,
    ) -> io::Result<()>
    where
        T: AsyncWrite + Unpin + Send,
    {
        write(io, bytes).await
    }

    async fn write_response<T>(
        &mut self,
        _: &StreamProtocol,
        io: &mut T,
        bytes: Vec<u8>,
    ) -> io::Result<()>
    where
        T: AsyncWrite + Unpin + Send,
    {
        write(io, bytes).await
    }
}

type Peer = Swarm<request_response::Behaviour<Raw>>;

/// A peer that speaks these protocols.
fn peer(names: impl IntoIterator<Item = String>) -> Peer {
    let names: Vec<_> = names
        .into_iter()
        .map(|name| {
            (
                StreamProtocol::try_from_owned(name).unwrap(),
                ProtocolSupport::Full,
            )
        })
        .collect();
    let builder = SwarmBuilder::with_new_identity().with_tokio();
    let builder = builder.with_tcp(
        tcp::Config::default(),
        noise::Config::new,
        yamux::Config::default,
    );
    let config = request_response::Config::default();
    let behaviour = request_response::Behaviour::<Raw>::new(names, config);
    let swarm = builder.unwrap().with_behaviour(|_| behaviour);
    swarm.unwrap().build()
}

/// The versions of the next version: one more, and those of this one.
fn next_protocols() -> impl Iterator<Item = String> {
    let newest = mc_protocol::VERSIONS.iter().max().unwrap();
    let next = format!("/mc/test/work/{}", newest + 1);
    std::iter::once(next).chain(mc_protocol::protocols("test"))
}

async fn connect(peer: &mut Peer, node: &super::Peer) -> PeerId {
    peer.dial(node.address.clone()).unwrap();
    loop {
        if let SwarmEvent::ConnectionEstablished { peer_id, .. } = peer.select_next_some().await {
            return peer_id;
        }
    }
}

/// What the node answers; `None` if it does not.
async fn ask<T: Serialize>(peer: &mut Peer, node: &PeerId, request: &T) -> Option<Vec<u8>> {
    peer.behaviour_mut()
        .send_request(node, encode(request).unwrap());
    loop {
        match peer.select_next_some().await {
            SwarmEvent::Behaviour(Event::Message {
                message: Message::Response { response, .. },
                ..
            }) => return Some(response),
            SwarmEvent::Behaviour(Event::OutboundFailure { .. })
            | SwarmEvent::ConnectionClosed { .. } => return None,
            _ => {}
        }
    }
}

/// Answers the next request of the node; gives what it was.
async fn answer<T: Serialize>(peer: &mut Peer, response: &T) -> Vec<u8> {
    let mut asked = Vec::new();
    loop {
        match peer.select_next_some().await {
            SwarmEvent::Behaviour(Event::Message {
                message:
                    Message::Request {
                        request, channel, ..
                    },
                ..
            }) => {
                asked = request;
                let response = encode(response).unwrap();
                peer.behaviour_mut()
                    .send_response(channel, response)
                    .unwrap();
            }
            SwarmEvent::Behaviour(Event::ResponseSent { .. }) => return asked,
            _ => {}
        }
    }
}

/// Says of the node what it is asked to say.
fn describe(mut requests: mpsc::Receiver<InboundRequest>) {
    tokio::spawn(async move {
        while let Some(InboundRequest { request, reply, .. }) = requests.recv().await {
            reply.send(match request {
                Request::Describe => Response::Described(Announcement::default()),
                _ => Response::error(ErrorCode::Internal, "nobody asks this here"),
            });
        }
    });
}

fn with_fields(kind: &'static str) -> BTreeMap<&'static str, BTreeMap<&'static str, u8>> {
    BTreeMap::from([(kind, BTreeMap::from([("surprise", 2)]))])
}

#[tokio::test(flavor = "multi_thread")]
async fn a_peer_of_the_next_version_and_a_node_of_this_one_work_together() {
    let node = start(options(&[])).await;
    let client = node.started.client.clone();
    let mut peer = peer(next_protocols());
    let own: NodeId = peer.local_peer_id().to_base58().parse().unwrap();
    let id = connect(&mut peer, &node).await;
    describe(node.started.requests);
    let work = async {
        // It asks: for what there is, with a field that is not known; and for what there is not.
        let said = ask(&mut peer, &id, &with_fields("describe")).await.unwrap();
        let described = Response::Described(Announcement::default());
        assert_eq!(decode_message(&said).unwrap(), Ok(described.clone()));
        for kind in ["suspend", "hibernate"] {
            let said = ask(&mut peer, &id, &with_fields(kind)).await.unwrap();
            let kind = kind.to_owned();
            let unsupported = Response::Unsupported { kind };
            assert_eq!(decode_message(&said).unwrap(), Ok(unsupported));
        }
        // It is asked, and answers what is not known, or none of the request's answers.
        for said in ["suspended", "stale"] {
            let request = client.request(&own, Request::Describe);
            let (answered, asked) = tokio::join!(request, answer(&mut peer, &said));
            assert_eq!(decode_message(&asked).unwrap(), Ok(Request::Describe));
            assert!(
                matches!(&answered, Err(RequestError::UnsupportedAnswer { kind, .. }) if kind == said),
                "{answered:?}"
            );
        }
        let unsupported = BTreeMap::from([("unsupported", BTreeMap::from([("kind", "describe")]))]);
        let request = client.request(&own, Request::Describe);
        let (answered, _) = tokio::join!(request, answer(&mut peer, &unsupported));
        assert!(
            matches!(&answered, Err(error @ RequestError::Unsupported { .. }) if error.is_unsent()),
            "{answered:?}"
        );
        // All of that by one connection, on which all is as it was.
        let request = client.request(&own, Request::Describe);
        let (answered, _) = tokio::join!(request, answer(&mut peer, &described));
        assert_eq!(answered.unwrap(), described);
    };
    let done = tokio::time::timeout(Duration::from_secs(30), work).await;
    assert!(done.is_ok(), "somebody never answered");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_peer_without_a_version_in_common_is_refused_at_once() {
    let node = start(options(&[])).await;
    let mut stranger = peer(["/mc/test/work/1".to_owned()]);
    let id = connect(&mut stranger, &node).await;
    let asked = ask(&mut stranger, &id, &Request::Describe);
    let asked = tokio::time::timeout(Duration::from_secs(30), asked).await;
    assert_eq!(asked, Ok(None));
}
