//! The handle to the network side.

use crate::{
    ConnectError, Error, FetchError, RequestError,
    dht::{Class, Entry, Kind, Refusal, Refused},
    ended,
};
use bytes::Bytes;
use libp2p::Multiaddr;
use mc_protocol::{Request, Response};
use mc_types::{Cid, Clock, ErrorCode, NodeId, Reachability, SystemClock};
use std::{collections::BTreeMap, net::SocketAddr, time::Duration};
use tokio::sync::{mpsc, oneshot};

/// Between two looks whether a node is connected.
const LOOK_EVERY: Duration = Duration::from_millis(50);

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
        reply: oneshot::Sender<Result<Bytes, FetchError>>,
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
        what: (Kind, String),
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
    Guests {
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

/// What is known about a peer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PeerInfo {
    /// Its id.
    pub id: NodeId,
    /// Where it may be reached.
    pub addresses: Vec<String>,
    /// What it calls itself, if it is connected.
    pub agent: Option<String>,
    /// The last measured round trip.
    pub rtt: Option<Duration>,
    /// Whether all connections with it lead over another node.
    pub is_relayed: bool,
}

/// A record of the DHT. What it says is its publisher's claim.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DhtRecord {
    /// Its value.
    pub value: Vec<u8>,
    /// Who claims to have published it.
    pub publisher: Option<NodeId>,
}

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

/// Answers one request. If it is dropped without an answer, it answers with an error.
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

/// A cheap handle to the network side.
#[derive(Debug, Clone)]
pub struct Client {
    pub(crate) local: NodeId,
    pub(crate) network: String,
    pub(crate) commands: mpsc::Sender<Command>,
}

impl Client {
    /// This node.
    #[must_use]
    pub const fn local_id(&self) -> &NodeId {
        &self.local
    }

    async fn ask<T>(
        &self,
        command: impl FnOnce(oneshot::Sender<T>) -> Command,
    ) -> Result<T, Error> {
        let (reply, answer) = oneshot::channel();
        self.commands
            .send(command(reply))
            .await
            .map_err(|_| Error::Closed)?;
        answer.await.map_err(|_| Error::Closed)
    }

    /// The addresses under which this node may be reached, each ending in its id.
    ///
    /// # Errors
    ///
    /// [`Error::Closed`].
    pub async fn addresses(&self) -> Result<Vec<Multiaddr>, Error> {
        self.ask(|reply| Command::Addresses { reply }).await
    }

    /// Whether others can connect to this node.
    ///
    /// # Errors
    ///
    /// [`Error::Closed`].
    pub async fn reachability(&self) -> Result<Reachability, Error> {
        self.ask(|reply| Command::Reachability { reply }).await
    }

    /// The connected peers of this network.
    ///
    /// # Errors
    ///
    /// [`Error::Closed`].
    pub async fn peers(&self) -> Result<Vec<PeerInfo>, Error> {
        self.ask(|reply| Command::Peers { reply }).await
    }

    /// How many IPFS nodes are connected, with which only blocks are exchanged.
    ///
    /// # Errors
    ///
    /// [`Error::Closed`].
    pub async fn guests(&self) -> Result<usize, Error> {
        self.ask(|reply| Command::Guests { reply }).await
    }

    /// Connects to the peer that `address` ends in, or, if it names none, to whoever is there: a peer of this network,
    /// or an IPFS node, with which blocks are exchanged from then on.
    ///
    /// # Errors
    ///
    /// [`ConnectError`].
    ///
    /// # Cancel safety
    ///
    /// Dropping the future does not end the attempt.
    pub async fn connect(&self, address: Multiaddr) -> Result<(), ConnectError> {
        self.ask(|reply| Command::Connect { address, reply })
            .await
            .unwrap_or(Err(ConnectError::Closed))
    }

    /// Begins to connect to some more of the peers that the DHT's routing table knows.
    pub async fn recruit(&self, peers: usize) {
        // Without a network there is nobody to connect to.
        let _ = self.commands.send(Command::Recruit { peers }).await;
    }

    /// Asks a node something.
    ///
    /// # Errors
    ///
    /// [`RequestError`]. The node may have acted on the request all the same. What is given is one of the request's
    /// answers, or an error that the node gave; anything else is [`RequestError::UnsupportedAnswer`].
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

    /// Whether the process of a node has ended that was connected until just now: the machine that it ran on says that
    /// nobody listens any more where the node did. `false` if that cannot be known.
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

    /// Opens a session that fetches blocks from `providers` first, then from connected peers, then from those that the
    /// DHT names. `timeout` replaces the usual patience; it also holds while no block comes from peers that promise
    /// one.
    ///
    /// # Errors
    ///
    /// [`FetchError::Closed`].
    pub async fn session(
        &self,
        providers: Vec<NodeId>,
        timeout: Option<Duration>,
    ) -> Result<Session, FetchError> {
        let open = |reply| Command::OpenSession {
            providers,
            timeout,
            reply,
        };
        let key = self.ask(open).await.map_err(|_| FetchError::Closed)?;
        Ok(Session {
            key,
            client: self.clone(),
        })
    }

    /// Blocks are in the store now that peers may be waiting for.
    pub async fn blocks_added(&self, cids: Vec<Cid>) {
        // Without a network nobody waits.
        let _ = self.commands.send(Command::BlocksAdded { cids }).await;
    }

    /// Says in the DHT that this node has a DAG.
    pub async fn provide(&self, cid: Cid) {
        // Without a network nobody asks.
        let to_ipfs = false;
        let _ = self.commands.send(Command::Provide { cid, to_ipfs }).await;
    }

    /// The same, also in the DHT of IPFS if this node is in that.
    pub async fn announce(&self, cid: Cid) {
        let to_ipfs = true;
        let _ = self.commands.send(Command::Provide { cid, to_ipfs }).await;
    }

    /// The nodes that say in the DHT that they have a DAG.
    ///
    /// # Errors
    ///
    /// [`Error::Closed`].
    pub async fn find_providers(&self, cid: Cid) -> Result<Vec<PeerInfo>, Error> {
        let meet = false;
        self.ask(|reply| Command::FindProviders { cid, meet, reply })
            .await
    }

    /// The same, and they are connected to, so that they can be asked something.
    ///
    /// # Errors
    ///
    /// [`Error::Closed`].
    pub async fn meet_providers(&self, cid: Cid) -> Result<Vec<PeerInfo>, Error> {
        let meet = true;
        self.ask(|reply| Command::FindProviders { cid, meet, reply })
            .await
    }

    /// Publishes something about a subject in the DHT, for `ttl` at most. A completion needs the grant of its job, with
    /// its token.
    ///
    /// # Errors
    ///
    /// [`Refusal::Oversized`] or [`Refusal::Malformed`] when nobody would keep it.
    pub async fn publish(
        &self,
        what: (Kind, String),
        grant: Option<(u64, Vec<u8>)>,
        body: Vec<u8>,
        ttl: Duration,
    ) -> Result<(), Refusal> {
        let publish = |reply| Command::Publish {
            what,
            grant,
            body,
            ttl,
            reply,
        };
        // Without a network nobody asks.
        self.ask(publish).await.unwrap_or(Ok(()))
    }

    /// What was published about a subject in the DHT, signed by one who may, and not expired.
    ///
    /// # Errors
    ///
    /// [`Error::Closed`].
    pub async fn lookup(&self, kind: Kind, subject: &str) -> Result<Option<Entry>, Error> {
        let key = kind.key(&self.network, subject);
        self.ask(|reply| Command::Lookup { key, reply }).await
    }

    /// Enters this node into the index of idle nodes, in these classes and no others, until the next
    /// [`crate::dht::EPOCH`] has passed.
    pub async fn register(&self, classes: Vec<Class>) {
        // Without a network nobody asks.
        let _ = self.commands.send(Command::Register { classes }).await;
    }

    /// Nodes that said lately that they are idle and of this class. They may no longer be.
    ///
    /// # Errors
    ///
    /// [`Error::Closed`].
    pub async fn find_registered(&self, class: Class) -> Result<Vec<PeerInfo>, Error> {
        let keys = class.keys(&self.network, SystemClock.now());
        let find = keys
            .into_iter()
            .map(|key| self.ask(|reply| Command::FindRegistered { key, reply }));
        let found = futures::future::try_join_all(find).await?;
        let mut by_id = BTreeMap::new();
        for peer in found.into_iter().flatten() {
            by_id.insert(peer.id.clone(), peer);
        }
        Ok(by_id.into_values().collect())
    }

    /// How many entries of others were refused, by reason.
    ///
    /// # Errors
    ///
    /// [`Error::Closed`].
    pub async fn refused(&self) -> Result<Refused, Error> {
        self.ask(|reply| Command::Refused { reply }).await
    }

    /// Asks a node something, and connects to it before if need be.
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

    /// A record of the DHT.
    ///
    /// # Errors
    ///
    /// [`Error::Closed`].
    pub async fn record(&self, key: Vec<u8>) -> Result<Option<DhtRecord>, Error> {
        self.ask(|reply| Command::GetRecord { key, reply }).await
    }

    /// The nodes of the DHT's routing table.
    ///
    /// # Errors
    ///
    /// [`Error::Closed`].
    pub async fn routing_table(&self) -> Result<Vec<PeerInfo>, Error> {
        self.ask(|reply| Command::RoutingTable { reply }).await
    }

    /// Ends the network side. What waits for it fails.
    pub async fn shutdown(&self) {
        // An error means that it has ended already.
        let _ = self.commands.send(Command::Shutdown).await;
    }
}

/// Fetches blocks that belong together.
#[derive(Debug)]
pub struct Session {
    key: SessionKey,
    client: Client,
}

impl Session {
    /// A block, verified. Any number may be under way at a time.
    ///
    /// # Errors
    ///
    /// [`FetchError::NotFound`] when nobody who could be asked has it.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future cancels the want.
    pub async fn get(&self, cid: Cid) -> Result<Bytes, FetchError> {
        let get = |reply| Command::Get {
            session: self.key,
            cid,
            reply,
        };
        self.client.ask(get).await.map_err(|_| FetchError::Closed)?
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        let close = Command::CloseSession { session: self.key };
        if let Err(mpsc::error::TrySendError::Full(close)) = self.client.commands.try_send(close) {
            let commands = self.client.commands.clone();
            if let Ok(runtime) = tokio::runtime::Handle::try_current() {
                // It ends as soon as the loop takes what waits before, or has ended itself.
                runtime.spawn(async move { commands.send(close).await });
            }
        }
    }
}
