//! A socket on which peers connect, and the addresses under which it can be reached.

use crate::{
    Error, address,
    config::{Config, HANDSHAKES, SOCKET_BYTES},
    connection::{CLOSED, Handshake},
};
use futures::{FutureExt, Stream, future::BoxFuture, ready};
use if_watch::{IfEvent, tokio::IfWatcher};
use libp2p::core::transport::{ListenerId, TransportEvent};
use quinn::{Endpoint, Incoming, ServerConfig, TokioRuntime};
use socket2::{Domain, Protocol, Socket, Type};
use std::{
    collections::HashSet,
    io,
    net::{IpAddr, SocketAddr, UdpSocket},
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

type Event = TransportEvent<Handshake, Error>;

/// A UDP socket at an address, with an endpoint of QUIC on it.
pub(crate) fn bind(
    config: &Config,
    server: Option<ServerConfig>,
    address: SocketAddr,
) -> io::Result<(Endpoint, UdpSocket)> {
    let socket = Socket::new(
        Domain::for_address(address),
        Type::DGRAM,
        Some(Protocol::UDP),
    )?;
    if address.is_ipv6() {
        // There is another listener for version 4.
        socket.set_only_v6(true)?;
    }
    // The system gives as much as it may; less is no reason to fail.
    let _ = socket.set_recv_buffer_size(SOCKET_BYTES);
    let _ = socket.set_send_buffer_size(SOCKET_BYTES);
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    let socket = UdpSocket::from(socket);
    let same = socket.try_clone()?;
    let runtime = Arc::new(TokioRuntime);
    let endpoint = Endpoint::new(config.endpoint.clone(), server, socket, runtime)?;
    Ok((endpoint, same))
}

/// One listener. As a stream it says what happens to it, [`TransportEvent::ListenerClosed`] last.
pub(crate) struct Listener {
    id: ListenerId,
    endpoint: Endpoint,
    /// The same socket, for packets that are not QUIC.
    socket: UdpSocket,
    bound: SocketAddr,
    /// The interfaces' addresses, when it listens on all of them.
    interfaces: Option<IfWatcher>,
    addresses: HashSet<IpAddr>,
    accepting: BoxFuture<'static, Option<Incoming>>,
    /// Those that are under way have a copy each.
    handshakes: Arc<()>,
    /// An address that is still to be told of.
    unsaid: Option<IpAddr>,
    ended: bool,
}

impl Listener {
    pub(crate) fn new(id: ListenerId, config: &Config, address: SocketAddr) -> io::Result<Self> {
        let (endpoint, socket) = bind(config, Some(config.server.clone()), address)?;
        let bound = socket.local_addr()?;
        let everywhere = bound.ip().is_unspecified();
        Ok(Self {
            id,
            accepting: accept(&endpoint),
            endpoint,
            socket,
            bound,
            interfaces: everywhere.then(IfWatcher::new).transpose()?,
            addresses: HashSet::new(),
            handshakes: Arc::new(()),
            unsaid: (!everywhere).then_some(bound.ip()),
            ended: false,
        })
    }

    pub(crate) fn id(&self) -> ListenerId {
        self.id
    }

    /// Whether it has not ended. One that has ended stays in the transport until the transport polls it again.
    pub(crate) fn listens(&self) -> bool {
        !self.ended
    }

    pub(crate) fn endpoint(&self) -> &Endpoint {
        &self.endpoint
    }

    pub(crate) fn socket(&self) -> &UdpSocket {
        &self.socket
    }

    /// Whether peers at this address can be reached from its socket.
    pub(crate) fn reaches(&self, peer: IpAddr) -> bool {
        let same_family = self.bound.is_ipv4() == peer.is_ipv4();
        let same_machine = if peer.is_loopback() {
            self.addresses.iter().any(IpAddr::is_loopback)
        } else {
            !self.bound.ip().is_loopback()
        };
        self.listens() && same_family && same_machine
    }

    /// Closes the socket and all connections on it.
    pub(crate) fn close(&self) {
        // Then nothing can be accepted any more, which ends the stream.
        self.endpoint.close(CLOSED, &[]);
    }

    fn arrived(&mut self, ip: IpAddr) -> Event {
        self.addresses.insert(ip);
        TransportEvent::NewAddress {
            listener_id: self.id,
            listen_addr: address::of(SocketAddr::new(ip, self.bound.port())),
        }
    }

    fn left(&mut self, ip: IpAddr) -> Event {
        self.addresses.remove(&ip);
        TransportEvent::AddressExpired {
            listener_id: self.id,
            listen_addr: address::of(SocketAddr::new(ip, self.bound.port())),
        }
    }

    fn poll_interfaces(&mut self, cx: &mut Context<'_>) -> Poll<Event> {
        loop {
            let Some(interfaces) = &mut self.interfaces else {
                return Poll::Pending;
            };
            match ready!(interfaces.poll_if_event(cx)) {
                Ok(IfEvent::Up(net)) if net.addr().is_ipv4() == self.bound.is_ipv4() => {
                    return Poll::Ready(self.arrived(net.addr()));
                }
                Ok(IfEvent::Down(net)) if net.addr().is_ipv4() == self.bound.is_ipv4() => {
                    return Poll::Ready(self.left(net.addr()));
                }
                Ok(_) => {}
                Err(error) => {
                    return Poll::Ready(TransportEvent::ListenerError {
                        listener_id: self.id,
                        error: error.into(),
                    });
                }
            }
        }
    }

    fn poll_accept(&mut self, cx: &mut Context<'_>) -> Poll<Event> {
        loop {
            let incoming = ready!(self.accepting.poll_unpin(cx));
            let Some(incoming) = incoming else {
                self.ended = true;
                return Poll::Ready(TransportEvent::ListenerClosed {
                    listener_id: self.id,
                    reason: Ok(()),
                });
            };
            self.accepting = accept(&self.endpoint);
            if Arc::strong_count(&self.handshakes) > HANDSHAKES && incoming.may_retry() {
                // It fails only for those that may not.
                let _ = incoming.retry();
                continue;
            }
            match incoming.accept() {
                Ok(connecting) => {
                    return Poll::Ready(TransportEvent::Incoming {
                        listener_id: self.id,
                        local_addr: address::of(self.bound),
                        send_back_addr: address::of(connecting.remote_address()),
                        upgrade: Handshake {
                            connecting,
                            counted: Some(Arc::clone(&self.handshakes)),
                        },
                    });
                }
                // Anybody can send a packet that only looks like a beginning.
                Err(error) => tracing::debug!(%error, "not a QUIC connection"),
            }
        }
    }
}

fn accept(endpoint: &Endpoint) -> BoxFuture<'static, Option<Incoming>> {
    let endpoint = endpoint.clone();
    async move { endpoint.accept().await }.boxed()
}

impl Stream for Listener {
    type Item = Event;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Event>> {
        let this = self.get_mut();
        if this.ended {
            return Poll::Ready(None);
        }
        if let Some(ip) = this.unsaid.take() {
            return Poll::Ready(Some(this.arrived(ip)));
        }
        if let Poll::Ready(event) = this.poll_interfaces(cx) {
            return Poll::Ready(Some(event));
        }
        this.poll_accept(cx).map(Some)
    }
}
