use super::Round;
use crate::{
    Config,
    client::{
        Ask, Client,
        testing::{LONG, cids, wants},
    },
};
use libp2p::PeerId;
use mc_types::cid;
use std::{
    collections::{HashSet, VecDeque},
    time::{Duration, Instant},
};

#[test]
fn wants_are_spread_over_providers_within_their_windows() {
    let mut client = Client::new(Config {
        window: 3,
        ..Config::default()
    });
    let (a, b) = (PeerId::random(), PeerId::random());
    let session = client.open_session();
    for peer in [a, b] {
        client.connected(peer);
        client.add_provider(session, peer);
    }
    cids(10)
        .into_iter()
        .for_each(|cid| client.want(session, cid));
    let now = Instant::now();
    let round = client.round(now, false);
    assert_eq!((wants(&round, &a), wants(&round, &b)), (3, 3));
    let first = cids(1)[0];
    let from = if round.asks[&a].contains(&Ask::Want(first)) {
        a
    } else {
        b
    };
    assert_eq!(client.received(&from, (&first, LONG), now), [session]);
    let round = client.round(now, false);
    assert_eq!(wants(&round, &from), 1, "room for one more");
}

#[test]
fn refusal_silence_and_departure_lead_to_the_next_provider_and_then_to_exhaustion() {
    let mut client = Client::new(Config::default());
    let peers: Vec<_> = (0..3).map(|_| PeerId::random()).collect();
    let session = client.open_session();
    let cid = cids(1)[0];
    for peer in &peers {
        client.connected(*peer);
        client.add_provider(session, *peer);
    }
    client.want(session, cid);
    let begun = Instant::now();
    let asked = |round: &Round| {
        round
            .asks
            .iter()
            .find(|(_, asks)| asks.contains(&Ask::Want(cid)))
            .map(|(p, _)| *p)
    };
    let first = asked(&client.round(begun, false)).unwrap();
    client.refused(&first, cid);
    let second = asked(&client.round(begun, false)).unwrap();
    let early = client.round(begun + Duration::from_millis(400), true);
    assert!(early.asks.is_empty());
    // When it is late, the third is asked as well.
    let late = client.round(begun + Duration::from_secs(4), true);
    let third = |_: &Round| asked(&late).unwrap();
    let round = client.round(begun + Duration::from_secs(6), true);
    assert_eq!(round.asks[&second], [Ask::Cancel(cid)]);
    let third = third(&round);
    assert_eq!(HashSet::from([first, second, third]).len(), 3);
    client.disconnected(&third);
    let round = client.round(begun, false);
    assert_eq!(round.exhausted, [(session, cid)]);
    assert!(client.round(begun, false).exhausted.is_empty(), "said once");
    client.connected(third);
    assert_eq!(
        asked(&client.round(begun, false)),
        Some(third),
        "asked again after return"
    );
}

#[test]
fn others_are_asked_what_they_have_and_only_then_for_it() {
    let mut client = Client::new(Config::default());
    let (a, b) = (PeerId::random(), PeerId::random());
    let session = client.open_session();
    for peer in [a, b] {
        client.connected(peer);
        client.add_other(session, peer);
    }
    let cid = cids(1)[0];
    client.want(session, cid);
    let now = Instant::now();
    let round = client.round(now, false);
    for peer in [a, b] {
        assert_eq!(round.asks[&peer], [Ask::Have(cid)]);
    }
    assert!(round.exhausted.is_empty(), "not before they have answered");
    client.refused(&a, cid);
    assert!(client.round(now, false).exhausted.is_empty());
    client.offered(&b, cid);
    assert_eq!(client.round(now, false).asks[&b], [Ask::Want(cid)]);
    client.refused(&b, cid);
    assert_eq!(client.round(now, false).exhausted, [(session, cid)]);
    // Those that never say anything count as having nothing.
    client.want(session, cid);
    assert_eq!(client.round(now, false).asks.len(), 2);
    let later = now + Duration::from_secs(6);
    assert_eq!(client.round(later, true).exhausted, [(session, cid)]);
}

#[test]
fn of_small_blocks_more_are_asked_at_a_time() {
    let most_asked = |bytes: usize| {
        let mut client = Client::new(Config::default());
        let (peer, session) = (PeerId::random(), client.open_session());
        client.connected(peer);
        client.add_provider(session, peer);
        let all: Vec<_> = (0..2000_u32)
            .map(|n| cid::of(cid::RAW, &n.to_le_bytes()))
            .collect();
        all.iter().for_each(|cid| client.want(session, *cid));
        let now = Instant::now();
        let (mut asked, mut most) = (VecDeque::new(), 0);
        for _ in 0..1000 {
            let mut round = client.round(now, false);
            let asks = round.asks.remove(&peer).unwrap_or_default();
            asked.extend(asks.into_iter().filter_map(|ask| match ask {
                Ask::Want(cid) => Some(cid),
                _ => None,
            }));
            most = most.max(asked.len());
            let cid = asked.pop_front().unwrap();
            client.received(&peer, (&cid, bytes), now);
        }
        most
    };
    assert_eq!(most_asked(2 * LONG), 32);
    assert_eq!(most_asked(LONG), 32);
    assert_eq!(most_asked(LONG / 2), 64);
    assert_eq!(most_asked(1000), 256);
}
