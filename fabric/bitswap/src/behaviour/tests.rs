use super::*;
use crate::{NoBlocks, handler::FromHandler};
use libp2p::swarm::NetworkBehaviour;
use mc_types::cid;
use std::task::Poll;

/// What the answers take that are to be sent before anything else happens.
async fn answers(behaviour: &mut Behaviour) -> usize {
    std::future::poll_fn(|cx| {
        let mut bytes = 0;
        while let Poll::Ready(event) = behaviour.poll(cx) {
            if let ToSwarm::NotifyHandler { event, .. } = event {
                bytes += event.0.answer_bytes();
            }
        }
        Poll::Ready(bytes)
    })
    .await
}

fn wants(round: u32, want_type: i32) -> Box<crate::handler::Incoming> {
    let cid = |n: u32| cid::of(cid::RAW, &[round.to_le_bytes(), n.to_le_bytes()].concat());
    let entries = (0..4096).map(|n| entry(&cid(n), want_type, false));
    let wantlist = Wantlist {
        entries: entries.collect(),
        full: false,
    };
    Box::new(crate::handler::Incoming(Message {
        wantlist: Some(wantlist),
        ..Message::default()
    }))
}

/// Once, it cost two megabytes a second for as long as the peer liked.
#[tokio::test]
async fn a_peer_that_asks_and_never_reads_is_given_no_more_than_fits() {
    let config = Config {
        max_presences_per_second: u32::MAX,
        ..Config::default()
    };
    let most = config.max_outgoing_bytes_per_peer + (64 << 10);
    let (peer, line) = (PeerId::random(), ConnectionId::new_unchecked(1));
    for want_type in [WANT_HAVE, WANT_BLOCK] {
        let mut behaviour = Behaviour::new(config.clone(), Arc::new(NoBlocks));
        behaviour.connected(peer, line);
        let mut queued = 0;
        for round in 0..100 {
            let received = FromHandler::Received(wants(round, want_type));
            behaviour.on_connection_handler_event(peer, line, received);
            // Another connection comes and goes, and takes nothing with it.
            let other = ConnectionId::new_unchecked(2 + round as usize);
            behaviour.connected(peer, other);
            behaviour.disconnected(peer, other, 1);
            queued += answers(&mut behaviour).await;
            assert!(queued <= most, "{queued} bytes wait");
        }
        assert!(queued > most / 2, "{queued}");
        // Once it reads, it is given the rest of what was kept.
        let answer_bytes = queued;
        let sent = FromHandler::Sent { answer_bytes };
        behaviour.on_connection_handler_event(peer, line, sent);
        let rest = answers(&mut behaviour).await;
        assert!(rest > 0 && rest <= most, "{rest}");
    }
}
