//! Connections on the loopback interface. Those with `libp2p-quic` at the far end are in `conformance/libp2p-quic`.

#![expect(
    clippy::unwrap_used,
    reason = "a failed expectation is how a test fails"
)]

mod node;
mod punching;
mod way;

use futures::AsyncWriteExt;
use libp2p::{
    Multiaddr,
    core::transport::{PortUse, Transport as _, TransportError, TransportEvent},
};
use node::{ANY, DEADLINE, Ended, Node, kept_going, keys, meet, open, talk};
use std::{net::UdpSocket, time::Duration};
use way::Way;

#[tokio::test]
async fn what_is_said_arrives() {
    for address in [ANY, "/ip6/::1/udp/0/quic-v1"] {
        talk(Node::ours(), Node::ours(), address).await;
    }
}

#[tokio::test]
async fn peers_with_keys_of_any_type_are_who_they_say() {
    for key in keys() {
        meet(Node::ours(), Node::with_key(&key)).await;
        meet(Node::with_key(&key), Node::ours()).await;
    }
}

#[tokio::test]
async fn dials_from_the_port_that_it_listens_on_unless_told_not_to() {
    let (mut one, mut other) = (Node::ours(), Node::ours());
    let address = one.listen(ANY).await;
    let from = other.listen(ANY).await;
    for (ports, same) in [(PortUse::Reuse, true), (PortUse::New, false)] {
        let dial = tokio::spawn(other.dial(address.clone(), ports));
        let (seen, upgrade) = one.incoming().await;
        assert_eq!(seen == from, same);
        upgrade.await.unwrap();
        dial.await.unwrap().unwrap();
    }
}

#[tokio::test]
async fn tells_the_addresses_of_all_interfaces() {
    let mut node = Node::ours();
    let address = node.listen("/ip4/0.0.0.0/udp/0/quic-v1").await;
    assert!(!address.to_string().contains("0.0.0.0"), "{address}");
}

#[tokio::test]
async fn refuses_what_it_cannot_dial() {
    let mut node = Node::ours();
    for address in [
        "/ip4/127.0.0.1/tcp/1",
        "/ip4/127.0.0.1/udp/0/quic-v1",
        "/ip4/0.0.0.0/udp/1/quic-v1",
    ] {
        let address: Multiaddr = address.parse().unwrap();
        let refused = node.try_dial(address);
        assert!(matches!(
            refused,
            Err(TransportError::MultiaddrNotSupported(_))
        ));
    }
}

#[tokio::test]
async fn a_port_that_is_taken_is_an_error() {
    let taken = UdpSocket::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port();
    let address = format!("/ip4/127.0.0.1/udp/{port}/quic-v1");
    let mut node = Node::ours();
    let id = libp2p::core::transport::ListenerId::next();
    let refused = node.transport.listen_on(id, address.parse().unwrap());
    assert!(refused.is_err());
}

#[tokio::test]
async fn a_listener_that_is_removed_takes_its_connections_along() {
    let (mut one, mut other) = (Node::ours(), Node::ours());
    let address = one.listen(ANY).await;
    let dial = tokio::spawn(other.dial(address.clone(), PortUse::Reuse));
    let (_, muxer) = one.accept().await;
    kept_going(muxer);
    let (_, muxer) = dial.await.unwrap().unwrap();
    let ended = kept_going(muxer);
    assert!(one.transport.remove_listener(one.listener.unwrap()));
    assert!(matches!(
        one.event().await,
        TransportEvent::ListenerClosed { reason: Ok(()), .. }
    ));
    let Ended(_) = ended.await.unwrap();
    assert!(!one.transport.remove_listener(one.listener.unwrap()));
    // The port is free as soon as the last connection is forgotten.
    drop(one);
    let again = async {
        loop {
            let mut node = Node::ours();
            if node.try_listen(address.clone()).is_ok() {
                return;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    tokio::time::timeout(DEADLINE, again).await.unwrap();
}

#[tokio::test]
async fn packets_that_are_nothing_do_no_harm() {
    let (mut one, mut other) = (Node::ours(), Node::ours());
    let address = one.listen(ANY).await;
    let port = node::port(&address);
    let noise = UdpSocket::bind("127.0.0.1:0").unwrap();
    for length in 0..1400 {
        // With the first bytes of a packet that begins a connection, too.
        let mut packet = vec![0; length];
        rand::fill(&mut packet[..]);
        for (at, byte) in [0xc3, 0, 0, 0, 1, 8].into_iter().enumerate() {
            if let Some(first) = packet.get_mut(at).filter(|_| length % 2 == 0) {
                *first = byte;
            }
        }
        noise.send_to(&packet, ("127.0.0.1", port)).unwrap();
    }
    let dial = tokio::spawn(other.dial(address, PortUse::Reuse));
    let accepted = tokio::time::timeout(DEADLINE, one.accept()).await.unwrap();
    assert_eq!(accepted.0, other.id);
    dial.await.unwrap().unwrap();
}

#[tokio::test]
async fn with_many_handshakes_under_way_peers_must_show_where_they_are() {
    let (mut one, mut other, mut last) = (Node::ours(), Node::ours(), Node::ours());
    let address = one.listen(ANY).await;
    let (way, round) = Way::to(node::port(&address)).await;
    let mut under_way = Vec::new();
    for many in [false, true] {
        while many && under_way.len() < 20 {
            // It waits for an answer that never comes.
            let dial = tokio::spawn(other.dial(address.clone(), PortUse::New));
            under_way.push((one.incoming().await, dial));
        }
        let dial = tokio::spawn(last.dial(round.clone(), PortUse::New));
        let (peer, _) = one.accept().await;
        assert_eq!(peer, last.id);
        dial.await.unwrap().unwrap();
        assert_eq!(way.retries(), usize::from(many));
    }
    // Those that are given up count no more.
    under_way.clear();
    let dial = tokio::spawn(last.dial(round, PortUse::New));
    one.accept().await;
    dial.await.unwrap().unwrap();
    assert_eq!(way.retries(), 1);
}

/// After ten seconds without a packet it would be given up.
#[tokio::test]
async fn a_connection_on_which_nothing_is_said_stays() {
    let (mut one, mut other) = (Node::ours(), Node::ours());
    let address = one.listen(ANY).await;
    let dial = tokio::spawn(other.dial(address, PortUse::Reuse));
    let (_, muxer) = one.accept().await;
    let (_, dialled) = dial.await.unwrap().unwrap();
    let ended = futures::future::select(kept_going(muxer), kept_going(dialled));
    let silence = tokio::time::timeout(Duration::from_secs(11), ended);
    assert!(silence.await.is_err(), "it was given up");
}

/// Its peers need not wait until their connections have been silent for too long.
#[tokio::test]
async fn a_node_that_starts_again_ends_the_connections_of_the_one_before() {
    let key = libp2p::identity::Keypair::generate_ed25519();
    let (mut before, mut after) = (Node::with_key(&key), Node::with_key(&key));
    let address = before.listen(ANY).await;
    let (way, address) = Way::to(node::port(&address)).await;
    let mut peer = Node::ours();
    let dial = tokio::spawn(peer.dial(address, PortUse::Reuse));
    let (_, muxer) = before.accept().await;
    kept_going(muxer);
    let (_, mut muxer) = dial.await.unwrap().unwrap();
    let mut stream = open(&mut muxer).await;
    let ended = kept_going(muxer);
    // What the first one says from now on is not heard any more.
    way.lead_to(node::port(&after.listen(ANY).await));
    stream.write_all(b"are you there?").await.unwrap();
    let Ended(error) = tokio::time::timeout(DEADLINE, ended)
        .await
        .unwrap()
        .unwrap();
    assert!(error.contains("reset"), "{error}");
}
