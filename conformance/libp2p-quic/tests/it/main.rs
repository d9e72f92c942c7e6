//! Connections on the loopback interface, with `libp2p-quic` at the far end.

mod half_closed;
#[path = "../../../../fabric/quic/tests/it/node.rs"]
#[expect(dead_code, reason = "the tests beside it need more of it")]
mod node;

use libp2p::{Transport, core::muxing::StreamMuxerBox, identity::Keypair};
use node::{ANY, Node, keys, meet, talk};

/// With the transport that others use.
fn of_libp2p(key: &Keypair) -> Node {
    let transport = libp2p_quic::tokio::Transport::new(libp2p_quic::Config::new(key));
    let boxed = transport.map(|(peer, muxer), _| (peer, StreamMuxerBox::new(muxer)));
    Node::new(key, boxed.boxed())
}

#[tokio::test]
async fn either_dials_the_other() {
    for address in [ANY, "/ip6/::1/udp/0/quic-v1"] {
        let key = Keypair::generate_ed25519();
        talk(Node::ours(), of_libp2p(&key), address).await;
        talk(of_libp2p(&key), Node::ours(), address).await;
    }
}

#[tokio::test]
async fn peers_with_keys_of_any_type_are_who_they_say() {
    for key in keys() {
        meet(Node::ours(), of_libp2p(&key)).await;
        meet(of_libp2p(&key), Node::ours()).await;
    }
}
