//! Listening and dialling.

use crate::{
    Config, Connection, Error, address,
    config::HANDSHAKE_TIMEOUT,
    connection::{Handshake, establish},
    listener::{self, Listener},
    punch::punch,
};
use futures::{FutureExt, StreamExt, channel::oneshot, future::BoxFuture, stream::SelectAll};
use libp2p::{
    Multiaddr, PeerId,
    core::{
        Endpoint,
        transport::{DialOpts, ListenerId, PortUse, TransportError, TransportEvent},
    },
};
use std::{
    collections::HashMap,
    fmt,
    hash::{BuildHasher, BuildHasherDefault, DefaultHasher},
    net::{Ipv4Addr, Ipv6Addr, SocketAddr},
    pin::Pin,
    task::{Context, Poll, Waker},
};

/// quinn wants a name to ask the server for. libp2p has none, and it is not sent.
const SERVER_NAME: &str = "libp2p";

type Established = BoxFuture<'static, Result<(PeerId, Connection), Error>>;

/// QUIC for a libp2p swarm. It must be used within a tokio runtime.
pub struct Transport {
    config: Config,
    listeners: SelectAll<Listener>,
    /// For dialling over IP version 4 (true) and 6 while nothing listens there.
    dialers: HashMap<bool, quinn::Endpoint>,
    /// Who waits for a connection from where.
    punching: HashMap<SocketAddr, oneshot::Sender<Handshake>>,
    waker: Option<Waker>,
}

impl fmt::Debug for Transport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Transport").finish_non_exhaustive()
    }
}

impl Transport {
    /// A transport that neither listens nor dials yet.
    #[must_use]
    pub fn new(config: Config) -> Self {
        Self {
            config,
            listeners: SelectAll::new(),
            dialers: HashMap::new(),
            punching: HashMap::new(),
            waker: None,
        }
    }

    /// The listener from whose socket a peer is dialled: always the same one for the same peer, since a
    /// router may know the two by that, in whatever order there are listeners.
    fn listener(&self, peer: SocketAddr) -> Option<&Listener> {
        let hash = BuildHasherDefault::<DefaultHasher>::default();
        let reaching = self.listeners.iter().filter(|l| l.reaches(peer.ip()));
        reaching.max_by_key(|l| hash.hash_one((peer, l.id())))
    }

    /// Where to dial from.
    fn dialer(&mut self, peer: SocketAddr, ports: PortUse) -> Result<quinn::Endpoint, Error> {
        let bind = |config| {
            let any = if peer.is_ipv4() {
                SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0))
            } else {
                SocketAddr::from((Ipv6Addr::UNSPECIFIED, 0))
            };
            listener::bind(config, None, any).map(|(endpoint, _)| endpoint)
        };
        if ports == PortUse::New {
            return Ok(bind(&self.config)?);
        }
        if let Some(listener) = self.listener(peer) {
            return Ok(listener.endpoint().clone());
        }
        if let Some(dialer) = self.dialers.get(&peer.is_ipv4()) {
            return Ok(dialer.clone());
        }
        let dialer = bind(&self.config)?;
        self.dialers.insert(peer.is_ipv4(), dialer.clone());
        Ok(dialer)
    }

    fn connect(&mut self, peer: SocketAddr, ports: PortUse) -> Result<Established, Error> {
        let dialer = self.dialer(peer, ports)?;
        let client = self.config.client.clone();
        let connected = async move {
            let handshake = Handshake {
                connecting: dialer.connect_with(client, peer, SERVER_NAME)?,
                counted: None,
            };
            establish(handshake).await
        };
        Ok(connected.boxed())
    }

    /// Makes way for the connection that the peer begins at the same time, if there is a socket to
    /// which it can.
    fn expect(&mut self, peer: SocketAddr) -> Result<Option<Established>, Error> {
        let Some(listener) = self.listener(peer) else {
            return Ok(None);
        };
        let socket = listener.socket().try_clone()?;
        // Those that were given up must not stand in the way.
        self.punching.retain(|_, waiting| !waiting.is_canceled());
        if self.punching.contains_key(&peer) {
            return Err(Error::Punching(peer));
        }
        let (sender, handshake) = oneshot::channel();
        self.punching.insert(peer, sender);
        let begun = async move {
            tokio::select! {
                handshake = handshake => handshake.map_err(|_| Error::HandshakeTimeout),
                error = punch(socket, peer) => Err(error.into()),
                () = tokio::time::sleep(HANDSHAKE_TIMEOUT) => Err(Error::HandshakeTimeout),
            }
        };
        Ok(Some(async move { establish(begun.await?).await }.boxed()))
    }

    /// Gives a connection to the dial that waits for it; if there is none, returns it.
    fn hand_over(&mut self, handshake: Handshake) -> Option<Handshake> {
        match self.punching.remove(&handshake.connecting.remote_address()) {
            Some(waiting) => waiting.send(handshake).err(),
            None => Some(handshake),
        }
    }

    fn wake(&mut self) {
        if let Some(waker) = self.waker.take() {
            waker.wake();
        }
    }
}

impl libp2p::core::Transport for Transport {
    type Output = (PeerId, Connection);
    type Error = Error;
    type ListenerUpgrade = Established;
    type Dial = Established;

    fn listen_on(
        &mut self,
        id: ListenerId,
        address: Multiaddr,
    ) -> Result<(), TransportError<Error>> {
        let Some(socket) = address::parse(&address) else {
            return Err(TransportError::MultiaddrNotSupported(address));
        };
        let listener = Listener::new(id, &self.config, socket)
            .map_err(|error| TransportError::Other(error.into()))?;
        self.listeners.push(listener);
        // It ends with the last connection that was made from it.
        self.dialers.remove(&socket.is_ipv4());
        self.wake();
        Ok(())
    }

    fn remove_listener(&mut self, id: ListenerId) -> bool {
        let listener = self.listeners.iter().find(|l| l.id() == id && l.listens());
        listener.inspect(|l| l.close()).is_some()
    }

    fn dial(
        &mut self,
        address: Multiaddr,
        options: DialOpts,
    ) -> Result<Established, TransportError<Error>> {
        let Some(peer) =
            address::parse(&address).filter(|peer| peer.port() != 0 && !peer.ip().is_unspecified())
        else {
            return Err(TransportError::MultiaddrNotSupported(address));
        };
        let expected = match options.role {
            Endpoint::Listener => self.expect(peer).transpose(),
            Endpoint::Dialer => None,
        };
        expected
            .unwrap_or_else(|| self.connect(peer, options.port_use))
            .map_err(TransportError::Other)
    }

    fn poll(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<TransportEvent<Established, Error>> {
        while let Poll::Ready(Some(event)) = self.listeners.poll_next_unpin(cx) {
            let TransportEvent::Incoming {
                listener_id,
                upgrade,
                local_addr,
                send_back_addr,
            } = event
            else {
                return Poll::Ready(event.map_upgrade(|upgrade| establish(upgrade).boxed()));
            };
            if let Some(upgrade) = self.hand_over(upgrade) {
                return Poll::Ready(TransportEvent::Incoming {
                    listener_id,
                    upgrade: establish(upgrade).boxed(),
                    local_addr,
                    send_back_addr,
                });
            }
        }
        // With no listeners nothing else would wake the task when there is one.
        self.waker = Some(cx.waker().clone());
        Poll::Pending
    }
}
