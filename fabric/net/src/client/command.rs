//! What the event loop is asked to do.

use super::peer::{DhtRecord, PeerInfo};
use crate::{
    ConnectError, FetchError,
    dht::{Class, Entry, RecordKind, Refusal, Refused},
};
use bytes::Bytes;
use libp2p::Multiaddr;
use mc_protocol::{Request, RequestError, Response};
use mc_types::{Cid, NodeId, Reachability, Verified};
use std::{net::SocketAddr, time::Duration};
use tokio::sync::oneshot;

/// Names a session between client and event loop.
pub(crate) type SessionKey = mc_bitswap::SessionId;

/// What the event loop is asked to do.
#[derive(Debug)]
pub(crate) enum Command {
    Connect {
        address: Multiaddr,
        reply: oneshot::Sender<Result<(), ConnectError>>,
    },
    Recruit {
        peers: usize,
    },
    Request {
        node: NodeId,
        request: Box<Request>,
        reply: oneshot::Sender<Answered>,
    },
    OpenSession {
        providers: Vec<NodeId>,
        timeout: Option<Duration>,
        reply: oneshot::Sender<SessionKey>,
    },
    Get {
        session: SessionKey,
        cid: Cid,
        reply: oneshot::Sender<Result<Verified<Bytes>, FetchError>>,
    },
    CloseSession {
        session: SessionKey,
    },
    BlocksAdded {
        cids: Vec<Cid>,
    },
    Provide {
        cid: Cid,
        to_ipfs: bool,
    },
    FindProviders {
        cid: Cid,
        /// Whether they will be asked something.
        meet: bool,
        reply: oneshot::Sender<Vec<PeerInfo>>,
    },
    FindRegistered {
        key: Vec<u8>,
        reply: oneshot::Sender<Vec<PeerInfo>>,
    },
    Register {
        classes: Vec<Class>,
    },
    Publish {
        what: (RecordKind, String),
        grant: Option<(u64, Vec<u8>)>,
        body: Vec<u8>,
        ttl: Duration,
        reply: oneshot::Sender<Result<(), Refusal>>,
    },
    Lookup {
        key: Vec<u8>,
        reply: oneshot::Sender<Option<Entry>>,
    },
    Refused {
        reply: oneshot::Sender<Refused>,
    },
    GetRecord {
        key: Vec<u8>,
        reply: oneshot::Sender<Option<DhtRecord>>,
    },
    RoutingTable {
        reply: oneshot::Sender<Vec<PeerInfo>>,
    },
    Peers {
        reply: oneshot::Sender<Vec<PeerInfo>>,
    },
    IpfsPeers {
        reply: oneshot::Sender<usize>,
    },
    Places {
        node: NodeId,
        reply: oneshot::Sender<Vec<SocketAddr>>,
    },
    Addresses {
        reply: oneshot::Sender<Vec<Multiaddr>>,
    },
    Reachability {
        reply: oneshot::Sender<Reachability>,
    },
    Shutdown,
}

pub(crate) type Answered = Result<Response, RequestError>;
