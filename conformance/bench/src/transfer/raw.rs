//! Streams of libp2p, and of TCP, with nothing on top: what there is to be had.

use anyhow::{Context, Result, bail, ensure};
use futures::{AsyncReadExt, AsyncWriteExt, StreamExt, future::poll_fn};
use libp2p::{
    Multiaddr, PeerId, Transport,
    core::{
        Endpoint,
        muxing::{StreamMuxerBox, StreamMuxerExt, SubstreamBox},
        transport::{Boxed, DialOpts, ListenerId, PortUse, TransportEvent},
        upgrade::Version,
    },
    identity::Keypair,
    noise, tcp, yamux,
};
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

/// Bytes that are written and read at a time.
const PIECE_BYTES: usize = 256 << 10;

type Connections = Boxed<(PeerId, StreamMuxerBox)>;

fn transport(name: &str) -> Result<(Connections, Multiaddr)> {
    let key = Keypair::generate_ed25519();
    if name == "quic" {
        let quic = mc_quic::Transport::new(mc_quic::Config::new(&key)?);
        let boxed = quic.map(|(peer, connection), _| (peer, StreamMuxerBox::new(connection)));
        return Ok((boxed.boxed(), "/ip4/127.0.0.1/udp/0/quic-v1".parse()?));
    }
    let tcp = tcp::tokio::Transport::new(tcp::Config::default().nodelay(true))
        .upgrade(Version::V1Lazy)
        .authenticate(noise::Config::new(&key)?)
        .multiplex(yamux::Config::default());
    Ok((tcp.boxed(), "/ip4/127.0.0.1/tcp/0".parse()?))
}

/// Keeps a connection going.
fn drive(mut muxer: StreamMuxerBox) {
    tokio::spawn(async move {
        loop {
            let event = poll_fn(|cx| {
                while muxer.poll_inbound_unpin(cx)?.is_ready() {}
                muxer.poll_unpin(cx)
            });
            if event.await.is_err() {
                return;
            }
        }
    });
}

/// How long so many mebibytes take over one stream.
pub(super) async fn transfer(name: &str, mebibytes: usize) -> Result<Duration> {
    let (mut listening, any) = transport(name)?;
    listening.listen_on(ListenerId::next(), any)?;
    let address = loop {
        match listening.select_next_some().await {
            TransportEvent::NewAddress { listen_addr, .. } => break listen_addr,
            TransportEvent::ListenerError { error, .. } => bail!("{error}"),
            _ => {}
        }
    };
    tokio::spawn(async move {
        loop {
            if let TransportEvent::Incoming { upgrade, .. } = listening.select_next_some().await {
                tokio::spawn(async move {
                    if let Ok((_, muxer)) = upgrade.await {
                        serve(muxer, mebibytes).await;
                    }
                });
            }
        }
    });
    let (mut dialling, _) = transport(name)?;
    let options = DialOpts {
        role: Endpoint::Dialer,
        port_use: PortUse::New,
    };
    let dial = dialling.dial(address, options)?;
    tokio::spawn(async move { while dialling.next().await.is_some() {} });
    let (_, mut muxer) = dial.await?;
    let mut stream = poll_fn(|cx| muxer.poll_outbound_unpin(cx)).await?;
    drive(muxer);
    let begin = Instant::now();
    stream.write_all(&[1]).await?;
    stream.flush().await?;
    let mut piece = vec![0; PIECE_BYTES];
    let mut received = 0;
    while received < mebibytes << 20 {
        let read = stream.read(&mut piece).await?;
        ensure!(read > 0, "the stream ended after {received} bytes");
        received += read;
    }
    Ok(begin.elapsed())
}

async fn serve(mut muxer: StreamMuxerBox, mebibytes: usize) {
    let stream = poll_fn(|cx| {
        // It is driven by being polled.
        while let std::task::Poll::Ready(Ok(_)) = muxer.poll_unpin(cx) {}
        muxer.poll_inbound_unpin(cx)
    });
    let Ok(stream) = stream.await else {
        return;
    };
    drive(muxer);
    // The other side may have gone.
    let _ = send(stream, mebibytes).await;
}

async fn send(mut stream: SubstreamBox, mebibytes: usize) -> std::io::Result<()> {
    stream.read_exact(&mut [0]).await?;
    let piece = vec![7; PIECE_BYTES];
    for _ in 0..(mebibytes << 20) / PIECE_BYTES {
        stream.write_all(&piece).await?;
    }
    stream.flush().await
}

/// How long it takes when so many clients get so many mebibytes each from one server, by plain TCP.
pub(super) async fn plain(clients: usize, mebibytes: usize) -> Result<Duration> {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                let piece = vec![7; PIECE_BYTES];
                for _ in 0..(mebibytes << 20) / PIECE_BYTES {
                    if stream.write_all(&piece).await.is_err() {
                        return;
                    }
                }
            });
        }
    });
    let begin = Instant::now();
    let client = || async move {
        let mut stream = tokio::net::TcpStream::connect(address).await?;
        let mut piece = vec![0; PIECE_BYTES];
        let mut received = 0;
        while received < mebibytes << 20 {
            let read = stream.read(&mut piece).await?;
            ensure!(read > 0, "the server left");
            received += read;
        }
        Ok::<_, anyhow::Error>(())
    };
    let clients = (0..clients).map(|_| client());
    let done = futures::future::try_join_all(clients).await;
    done.context("plain TCP")?;
    Ok(begin.elapsed())
}
