//! A transport by itself, without a swarm.

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
use std::{error::Error, io, pin::Pin, time::Duration};
use tokio::task::JoinHandle;

/// Long enough for anything here on a busy machine.
pub(crate) const DEADLINE: Duration = Duration::from_secs(20);
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

    pub(crate) fn new(key: &Keypair, transport: Boxed<Connected>) -> Self {
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

/// Keys of all types that libp2p has. An RSA key cannot be made here: this one was, for this test.
pub(crate) fn keys() -> [Keypair; 4] {
    let mut rsa = include_bytes!("rsa.pk8").to_vec();
    [
        Keypair::generate_ed25519(),
        Keypair::generate_secp256k1(),
        Keypair::generate_ecdsa(),
        Keypair::rsa_from_pkcs8(&mut rsa).unwrap(),
    ]
}

/// Connects one with the other: each learns who the other is.
pub(crate) async fn meet(mut dialling: Node, mut listening: Node) {
    let (dialling_id, listening_id) = (dialling.id, listening.id);
    let address = listening.listen(ANY).await;
    let dial = tokio::spawn(dialling.dial(address, PortUse::Reuse));
    dialling.run();
    let (peer, _accepted) = listening.accept().await;
    assert_eq!(peer, dialling_id);
    let (peer, _dialled) = dial.await.unwrap().unwrap();
    assert_eq!(peer, listening_id);
}

/// The same, and what one says then comes back.
pub(crate) async fn talk(mut dialling: Node, mut listening: Node, address: &str) {
    let address = listening.listen(address).await;
    let (ids, listening_id) = (dialling.id, listening.id);
    let dial = dialling.dial(address, PortUse::Reuse);
    dialling.run();
    let listens = tokio::spawn(async move {
        let (peer, muxer) = listening.accept().await;
        echo(muxer).await;
        peer
    });
    let (peer, mut muxer) = dial.await.unwrap();
    assert_eq!(peer, listening_id);
    let stream = open(&mut muxer).await;
    let going = kept_going(muxer);
    is_echoed(stream, 3 << 20).await;
    going.abort();
    assert_eq!(listens.await.unwrap(), ids);
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
