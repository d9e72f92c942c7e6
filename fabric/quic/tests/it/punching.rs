//! Waiting for a connection that the peer begins at the same time.

use crate::node::{ANY, Node};
use libp2p::core::{Endpoint, transport::PortUse};
use std::time::Duration;

#[tokio::test]
async fn who_waits_gets_the_connection_that_the_peer_begins() {
    let (mut waiting, mut beginning) = (Node::ours(), Node::ours());
    let waits_at = waiting.listen(ANY).await;
    let begins_at = beginning.listen(ANY).await;
    let expected = waiting
        .dial_as(Endpoint::Listener, begins_at, PortUse::Reuse)
        .unwrap();
    let dial = beginning.dial(waits_at, PortUse::Reuse);
    let (waits_for, begins_for) = (beginning.id, waiting.id);
    beginning.run();
    // Polling it must not show the connection a second time.
    let shown = tokio::time::timeout(Duration::from_secs(1), waiting.incoming());
    let (expected, dialled, shown) = tokio::join!(expected, dial, shown);
    assert_eq!(expected.unwrap().0, waits_for);
    assert_eq!(dialled.unwrap().0, begins_for);
    assert!(shown.is_err(), "it was shown as one that came by itself");
}

#[tokio::test]
async fn one_waits_once_for_the_same_peer() {
    let (mut waiting, mut beginning) = (Node::ours(), Node::ours());
    waiting.listen(ANY).await;
    let begins_at = beginning.listen(ANY).await;
    let mut wait = || waiting.dial_as(Endpoint::Listener, begins_at.clone(), PortUse::Reuse);
    let first = wait().unwrap();
    assert!(wait().is_err());
    drop(first);
    let again = wait().unwrap();
    drop(waiting);
    assert!(again.await.is_err());
}
