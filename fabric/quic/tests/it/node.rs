//! A transport by itself, without a swarm.

use crate::DEADLINE;
use futures::{AsyncReadExt, AsyncWriteExt, StreamExt, future::poll_fn};
use libp2p::{
    Multiaddr, PeerId, Transport,
    core::{
        Endpoint,
        muxing::{StreamMuxerBox, StreamMuxerExt, SubstreamBox},
        transport::{Boxed, DialOpts, ListenerId, PortUse, TransportError, TransportEvent},
    },
    identity::Keypair,
    multiaddr::Protocol,
};
use std::{error::Error, io, pin::Pin};
use tokio::task::JoinHandle;

pub(crate) const ANY: &str = "/ip4/127.0.0.1/udp/0/quic-v1";

type Connected = (PeerId, StreamMuxerBox);
type Upgrade = Pin<Box<dyn Future<Output = io::Result<Connected>> + Send>>;

/// Why a connection ended, with all causes.
pub(crate) struct Ended(pub(crate) String);

pub(crate) struct Node {
    pub(crate) id: PeerId,
    pub(crate) transport: Boxed<Connected>,
    pub(crate) listener: Option<ListenerId>,
}

impl Node {
    pub(crate) fn ours() -> Self {
        Self::with_key(&Keypair::generate_ed25519())
    }

    pub(crate) fn with_key(key: &Keypair) -> Self {
        let transport = mc_quic::Transport::new(mc_quic::Config::new(key).unwrap());
        let boxed = transport.map(|(peer, muxer), _| (peer, StreamMuxerBox::new(muxer)));
        Self::new(key, boxed.boxed())
    }

    /// With the transport that others use.
    pub(crate) fn of_libp2p() -> Self {
        Self::of_libp2p_with_key(&Keypair::generate_ed25519())
    }

    pub(crate) fn of_libp2p_with_key(key: &Keypair) -> Self {
        let transport = libp2p_quic::tokio::Transport::new(libp2p_quic::Config::new(key));
        let boxed = transport.map(|(peer, muxer), _| (peer, StreamMuxerBox::new(muxer)));
        Self::new(key, boxed.boxed())
    }

    fn new(key: &Keypair, transport: Boxed<Connected>) -> Self {
        Self {
            id: key.public().to_peer_id(),
            transport,
            listener: None,
        }
    }

    pub(crate) fn try_listen(
        &mut self,
        address: Multiaddr,
    ) -> Result<(), TransportError<io::Error>> {
        let id = ListenerId::next();
        self.transport.listen_on(id, address)?;
        self.listener = Some(id);
        Ok(())
    }

    pub(crate) async fn listen(&mut self, address: &str) -> Multiaddr {
        self.try_listen(address.parse().unwrap()).unwrap();
        let TransportEvent::NewAddress { listen_addr, .. } = self.event().await else {
            unreachable!("a listener says first where it listens");
        };
        listen_addr
    }

    pub(crate) async fn event(&mut self) -> TransportEvent<Upgrade, io::Error> {
        let next = tokio::time::timeout(DEADLINE, self.transport.select_next_some());
        next.await.unwrap().map_upgrade(|upgrade| upgrade as _)
    }

    pub(crate) async fn incoming(&mut self) -> (Multiaddr, Upgrade) {
        let event = self.event().await;
        let TransportEvent::Incoming {
            send_back_addr,
            upgrade,
            ..
        } = event
        else {
            unreachable!("{event:?} instead of a connection");
        };
        (send_back_addr, upgrade)
    }

    pub(crate) async fn accept(&mut self) -> Connected {
        self.incoming().await.1.await.unwrap()
    }

    pub(crate) fn try_dial(
        &mut self,
        address: Multiaddr,
    ) -> Result<impl Future<Output = io::Result<Connected>> + use<>, TransportError<io::Error>>
    {
        self.dial_as(Endpoint::Dialer, address, PortUse::Reuse)
    }

    pub(crate) fn dial(
        &mut self,
        address: Multiaddr,
        port_use: PortUse,
    ) -> impl Future<Output = io::Result<Connected>> + use<> {
        self.dial_as(Endpoint::Dialer, address, port_use).unwrap()
    }

    pub(crate) fn dial_as(
        &mut self,
        role: Endpoint,
        address: Multiaddr,
        port_use: PortUse,
    ) -> Result<impl Future<Output = io::Result<Connected>> + use<>, TransportError<io::Error>>
    {
        self.transport.dial(address, DialOpts { role, port_use })
    }

    /// Leaves it to itself.
    pub(crate) fn run(mut self) {
        tokio::spawn(async move { while self.transport.next().await.is_some() {} });
    }
}

pub(crate) fn port(address: &Multiaddr) -> u16 {
    let port = address.iter().find_map(|part| match part {
        Protocol::Udp(port) => Some(port),
        _ => None,
    });
    port.unwrap()
}

/// Every cause of an error.
fn causes(error: &dyn Error) -> String {
    let mut causes = error.to_string();
    let mut next = error.source();
    while let Some(error) = next {
        causes = format!("{causes}: {error}");
        next = error.source();
    }
    causes
}

/// Keeps a connection until it ends.
pub(crate) fn kept_going(mut muxer: StreamMuxerBox) -> JoinHandle<Ended> {
    tokio::spawn(async move {
        let end = poll_fn(|cx| muxer.poll_inbound_unpin(cx)).await;
        Ended(end.err().map(|e| causes(&e)).unwrap())
    })
}

pub(crate) async fn open(muxer: &mut StreamMuxerBox) -> SubstreamBox {
    poll_fn(|cx| muxer.poll_outbound_unpin(cx)).await.unwrap()
}

/// Sends back what comes on the first stream, and stays until that has been taken.
pub(crate) async fn echo(mut muxer: StreamMuxerBox) {
    let stream = poll_fn(|cx| muxer.poll_inbound_unpin(cx)).await.unwrap();
    let (receive, mut send) = stream.split();
    let end = kept_going(muxer);
    futures::io::copy(receive, &mut send).await.unwrap();
    send.close().await.unwrap();
    // The peer ends the connection.
    end.await.unwrap();
}

/// Checks that so many bytes come back, and then the end.
pub(crate) async fn is_echoed(stream: SubstreamBox, bytes: usize) {
    let sent: Vec<u8> = (0..=250).cycle().take(bytes).collect();
    let (mut receive, mut send) = stream.split();
    let sending = async {
        send.write_all(&sent).await.unwrap();
        send.close().await.unwrap();
        // Closing twice is what callers do.
        send.close().await.unwrap();
    };
    let mut received = Vec::new();
    let (_, read) = futures::join!(sending, receive.read_to_end(&mut received));
    read.unwrap();
    assert!(received == sent, "{} bytes came back", received.len());
}
