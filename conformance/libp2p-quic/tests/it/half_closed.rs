//! A peer that closes the half of a stream on which it only writes, as go-libp2p does.

use crate::node::{ANY, Node, port};
use futures::{AsyncReadExt, AsyncWriteExt, future::poll_fn};
use libp2p::{core::muxing::StreamMuxerExt, identity::Keypair};
use quinn::crypto::rustls::QuicClientConfig;
use std::{sync::Arc, time::Duration};

#[tokio::test]
async fn its_data_arrives_although_nothing_can_be_said_to_it() {
    let mut node = Node::ours();
    let address = node.listen(ANY).await;
    let key = Keypair::generate_ed25519();
    let tls = libp2p_tls::make_client_config(&key, None).unwrap();
    let tls = QuicClientConfig::try_from(tls).unwrap();
    let mut peer = quinn::Endpoint::client("127.0.0.1:0".parse().unwrap()).unwrap();
    peer.set_default_client_config(quinn::ClientConfig::new(Arc::new(tls)));
    let server = ([127, 0, 0, 1], port(&address)).into();
    let connecting = tokio::spawn(peer.connect(server, "l").unwrap());
    let (id, mut muxer) = node.accept().await;
    assert_eq!(id, key.public().to_peer_id());
    let connection = connecting.await.unwrap().unwrap();

    let (mut send, mut receive) = connection.open_bi().await.unwrap();
    send.write_all(b"before").await.unwrap();
    receive.stop(0_u32.into()).unwrap();
    let mut stream = poll_fn(|cx| muxer.poll_inbound_unpin(cx)).await.unwrap();
    let mut read = [0; 6];
    stream.read_exact(&mut read).await.unwrap();
    assert_eq!(&read, b"before");
    // The request to stop is here for certain some time after the data that was sent before it.
    tokio::time::sleep(Duration::from_millis(300)).await;
    for _ in 0..3 {
        stream.write_all(b"the protocol is spoken").await.unwrap();
        stream.flush().await.unwrap();
    }
    send.write_all(b" and after").await.unwrap();
    send.finish().unwrap();
    let mut rest = Vec::new();
    stream.read_to_end(&mut rest).await.unwrap();
    assert_eq!(rest, b" and after");
    stream.close().await.unwrap();
}
