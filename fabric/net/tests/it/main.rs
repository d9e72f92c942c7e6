//! Real nodes on the loopback interface.

#![expect(
    clippy::unwrap_used,
    reason = "a failed expectation is how a test fails"
)]

mod next_version;

use bytes::Bytes;
use futures::{StreamExt, future::BoxFuture};
use libp2p::{Swarm, SwarmBuilder, identity::Keypair, ping, swarm::SwarmEvent};
use mc_net::{
    BlockStore, ConnectError, DhtMode, Error, FetchError, Identity, Multiaddr, Options, Started,
    StoreError,
    dht::{Class, RecordKind, Refusal},
};
use mc_protocol::{Announcement, Request, RequestError, Response};
use mc_types::{Cid, cid};
use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

/// Blocks in memory, and how often they were read.
#[derive(Debug, Default)]
struct Blocks {
    blocks: Mutex<HashMap<Cid, Bytes>>,
    reads: AtomicUsize,
}

impl Blocks {
    fn put(&self, bytes: Vec<u8>) -> Cid {
        let cid = cid::of(cid::RAW, &bytes);
        self.blocks.lock().unwrap().insert(cid, bytes.into());
        cid
    }
}

impl BlockStore for Blocks {
    fn get(&self, cid: Cid) -> BoxFuture<'static, Result<Option<Bytes>, StoreError>> {
        self.reads.fetch_add(1, Ordering::Relaxed);
        let block = self.blocks.lock().unwrap().get(&cid).cloned();
        Box::pin(async move { Ok(block) })
    }

    fn has(&self, cid: Cid) -> BoxFuture<'static, Result<bool, StoreError>> {
        self.reads.fetch_add(1, Ordering::Relaxed);
        let has = self.blocks.lock().unwrap().contains_key(&cid);
        Box::pin(async move { Ok(has) })
    }
}

struct Peer {
    started: Started,
    blocks: Arc<Blocks>,
    address: Multiaddr,
}

fn options(bootstrap: &[&Peer]) -> Options {
    Options {
        network: "test".to_owned(),
        listen: vec!["/ip4/127.0.0.1/tcp/0".parse().unwrap()],
        bootstrap: bootstrap.iter().map(|peer| peer.address.clone()).collect(),
        peer_cache: None,
        mdns: false,
        dht: DhtMode::Server,
        relay: true,
        ipfs: true,
        ipfs_dht: Vec::new(),
        agent: "test/1".to_owned(),
        fetch_timeout: Duration::from_secs(5),
    }
}

async fn start(options: Options) -> Peer {
    let blocks: Arc<Blocks> = Arc::default();
    let started = mc_net::start(Identity::generate(), options, blocks.clone())
        .await
        .unwrap();
    let address = started
        .client
        .addresses()
        .await
        .unwrap()
        .first()
        .unwrap()
        .clone();
    Peer {
        started,
        blocks,
        address,
    }
}

/// Waits until `peer` is connected to `n` others.
async fn connected(peer: &mut Peer, n: usize) {
    let enough = peer.started.peers.wait_for(|peers| peers.len() >= n);
    let waited = tokio::time::timeout(Duration::from_secs(20), enough).await;
    assert!(
        waited.is_ok_and(|peers| peers.is_ok()),
        "never connected to {n} peers"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_are_answered_in_both_directions() {
    let mut a = start(options(&[])).await;
    let mut b = start(options(&[&a])).await;
    connected(&mut a, 1).await;
    connected(&mut b, 1).await;
    let (a_id, b_id) = (
        a.started.client.local_id().clone(),
        b.started.client.local_id().clone(),
    );
    for (asking, answering, id, from) in [
        (&a.started.client, &mut b.started.requests, &b_id, &a_id),
        (&b.started.client, &mut a.started.requests, &a_id, &b_id),
    ] {
        let announcement = Announcement {
            slots_total: 3,
            ..Announcement::default()
        };
        let request = Request::Announce(announcement);
        let (answer, ()) = tokio::join!(asking.request(id, request.clone()), async {
            let inbound = answering.recv().await.unwrap();
            assert_eq!((&inbound.from, &inbound.request), (from, &request));
            inbound.reply.send(Response::Wanted);
        });
        assert_eq!(answer.unwrap(), Response::Wanted);
    }
    let nobody = Identity::generate().node_id();
    let unknown = a
        .started
        .client
        .request(&nobody, Request::Announce(Announcement::default()));
    assert!(matches!(unknown.await, Err(RequestError::NotConnected(_))));
    b.started.client.shutdown().await;
    b.started.task.await.unwrap();
    let gone = a.started.peers.wait_for(|peers| peers.is_empty());
    tokio::time::timeout(Duration::from_secs(20), gone)
        .await
        .unwrap()
        .unwrap();
}

/// A peer of stock libp2p, over TCP.
fn stock_peer(key: Keypair) -> Swarm<ping::Behaviour> {
    let builder = SwarmBuilder::with_existing_identity(key).with_tokio();
    let builder = builder.with_tcp(
        libp2p::tcp::Config::default(),
        libp2p::noise::Config::new,
        libp2p::yamux::Config::default,
    );
    let builder = builder.unwrap();
    let swarm = builder.with_behaviour(|_| ping::Behaviour::default());
    swarm.unwrap().build()
}

/// Whether it hears from the one that it is connected with, who talks to nobody whose key it cannot read.
async fn hears(mut peer: Swarm<ping::Behaviour>) -> bool {
    let heard = async {
        loop {
            match peer.select_next_some().await {
                SwarmEvent::Behaviour(event) => return event.result.is_ok(),
                SwarmEvent::ConnectionClosed { .. } => return false,
                _ => {}
            }
        }
    };
    tokio::time::timeout(Duration::from_secs(20), heard).await == Ok(true)
}

/// What libp2p has ever used as keys of peers. The RSA key was made for tests.
#[tokio::test(flavor = "multi_thread")]
async fn peers_with_keys_of_any_type_connect_over_tcp() {
    let mut rsa = include_bytes!("../../../quic/tests/it/rsa.pk8").to_vec();
    let keys = [
        Keypair::generate_ed25519(),
        Keypair::generate_secp256k1(),
        Keypair::generate_ecdsa(),
        Keypair::rsa_from_pkcs8(&mut rsa).unwrap(),
    ];
    let node = start(options(&[])).await;
    for key in keys {
        let kind = key.key_type();
        let mut dialling = stock_peer(key.clone());
        dialling.dial(node.address.clone()).unwrap();
        assert!(hears(dialling).await, "{kind:?} dials");

        let mut dialled = stock_peer(key);
        let any = "/ip4/127.0.0.1/tcp/0".parse().unwrap();
        dialled.listen_on(any).unwrap();
        let address = loop {
            let event = dialled.select_next_some().await;
            if let SwarmEvent::NewListenAddr { address, .. } = event {
                break address;
            }
        };
        // What it is to this node is of no matter here: a stranger, which is refused later.
        let client = node.started.client.clone();
        let connecting = tokio::spawn(async move { client.connect(address).await });
        assert!(hears(dialled).await, "{kind:?} is dialled");
        connecting.abort();
    }
}

/// TCP and QUIC, from a named provider, from a peer that is merely connected.
#[tokio::test(flavor = "multi_thread")]
async fn blocks_come_from_providers_and_from_connected_peers() {
    for listen in ["/ip4/127.0.0.1/tcp/0", "/ip4/127.0.0.1/udp/0/quic-v1"] {
        let listen = Options {
            listen: vec![listen.parse().unwrap()],
            ..options(&[])
        };
        let mut a = start(listen.clone()).await;
        let bootstrap = vec![a.address.clone()];
        let b = start(Options {
            bootstrap,
            ..listen
        })
        .await;
        connected(&mut a, 1).await;
        let cids: Vec<_> = (0..100u8).map(|n| b.blocks.put(vec![n; 1 << 20])).collect();
        let begun = std::time::Instant::now();
        for providers in [vec![b.started.client.local_id().clone()], vec![]] {
            let session = a.started.client.session(providers, None).await.unwrap();
            let gets = cids.iter().map(|cid| session.get(*cid));
            let blocks = futures::future::try_join_all(gets).await.unwrap();
            for (cid, block) in cids.iter().zip(blocks) {
                assert_eq!(block.cid(), cid);
            }
        }
        println!(
            "200 blocks of 1 MiB over {} took {:?}",
            b.address,
            begun.elapsed()
        );
    }
}

/// c knows only b, and b does not have it; the DHT names a.
#[tokio::test(flavor = "multi_thread")]
async fn blocks_are_found_through_the_dht() {
    let a = start(options(&[])).await;
    let mut b = start(options(&[&a])).await;
    connected(&mut b, 1).await;
    let cid = a.blocks.put(b"far away".to_vec());
    a.started.client.provide(cid).await;
    let c = start(options(&[&b])).await;
    let session = c
        .started
        .client
        .session(Vec::new(), Some(Duration::from_secs(20)))
        .await
        .unwrap();
    assert_eq!(*session.get(cid).await.unwrap().bytes(), "far away");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_nobody_has_is_not_found_in_time_and_comes_when_it_appears() {
    let mut a = start(options(&[])).await;
    let b = start(options(&[&a])).await;
    connected(&mut a, 1).await;
    let absent = cid::of(cid::RAW, b"absent");
    let session = a
        .started
        .client
        .session(Vec::new(), Some(Duration::from_secs(1)))
        .await
        .unwrap();
    let missing = session.get(absent).await;
    assert!(matches!(missing, Err(FetchError::NotFound { cid, .. }) if cid == absent));
    let session = a
        .started
        .client
        .session(Vec::new(), Some(Duration::from_secs(20)))
        .await
        .unwrap();
    let late = cid::of(cid::RAW, b"late");
    let appearing = async {
        // Asked once in vain before it appears.
        while b.blocks.reads.load(Ordering::Relaxed) == 0 {
            tokio::task::yield_now().await;
        }
        b.blocks.put(b"late".to_vec());
        b.started.client.blocks_added(vec![late]).await;
    };
    let (got, ()) = tokio::join!(session.get(late), appearing);
    assert_eq!(*got.unwrap().bytes(), "late");
}

#[tokio::test(flavor = "multi_thread")]
async fn peers_of_another_network_are_not_peers() {
    let a = start(options(&[])).await;
    let b = start(Options {
        network: "other".to_owned(),
        ..options(&[&a])
    })
    .await;
    let same = start(options(&[&a])).await;
    let mut a = a;
    connected(&mut a, 1).await;
    let ids: Vec<_> = a.started.peers.borrow().iter().cloned().collect();
    assert_eq!(ids, [same.started.client.local_id().clone()]);
    assert!(b.started.peers.borrow().is_empty());
}

#[tokio::test]
async fn ports_in_use_and_bad_addresses_are_named() {
    let a = start(options(&[])).await;
    let taken: Multiaddr = a.address.iter().take(2).collect();
    let listen = Options {
        listen: vec![taken.clone()],
        ..options(&[])
    };
    let refused = mc_net::start(Identity::generate(), listen, Arc::<Blocks>::default()).await;
    let error = refused.err().unwrap();
    assert!(
        matches!(&error, Error::Listen { address, .. } if *address == taken.to_string()),
        "{error}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_node_says_in_the_dht_is_found_by_others_and_outlives_its_connection() {
    let mut hub = start(options(&[])).await;
    let mut speaker = start(options(&[&hub])).await;
    let mut reader = start(options(&[&hub])).await;
    connected(&mut hub, 2).await;
    connected(&mut speaker, 1).await;
    connected(&mut reader, 1).await;
    let (hub, speaker, reader) = (hub.started, speaker.started, reader.started);
    let id = speaker.client.local_id().clone();
    let what = || (RecordKind::Node, id.to_string());
    let ttl = Duration::from_secs(60);
    let said = speaker.client.publish(what(), None, b"idle".to_vec(), ttl);
    said.await.unwrap();
    speaker.client.register(vec![Class::Any]).await;
    let found = async {
        loop {
            let entry = reader
                .client
                .lookup(RecordKind::Node, id.as_str())
                .await
                .unwrap();
            let idle = reader.client.find_registered(Class::Any).await.unwrap();
            if let Some(entry) = entry
                && idle.iter().any(|peer| peer.id == id)
            {
                return entry;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    };
    let entry = tokio::time::timeout(Duration::from_secs(20), found)
        .await
        .unwrap();
    assert_eq!(
        (entry.publisher, entry.body),
        (id.clone(), b"idle".to_vec())
    );
    assert!(
        reader
            .client
            .find_registered(Class::Memory128)
            .await
            .unwrap()
            .is_empty()
    );
    // About others nothing can be said.
    let other = (RecordKind::Node, hub.client.local_id().to_string());
    let forged = speaker.client.publish(other, None, Vec::new(), ttl).await;
    assert_eq!(forged, Err(Refusal::Forged));
    speaker.client.shutdown().await;
    let entry = reader
        .client
        .lookup(RecordKind::Node, id.as_str())
        .await
        .unwrap();
    assert_eq!(entry.unwrap().body, b"idle");
}

/// A bootstrap address need not say who is there either.
#[tokio::test(flavor = "multi_thread")]
async fn whoever_is_at_an_address_is_connected_to() {
    let there = start(options(&[])).await;
    let mut here = start(options(&[])).await;
    let bare = |peer: &Peer| -> Multiaddr {
        let address = peer.address.to_string();
        address.split("/p2p/").next().unwrap().parse().unwrap()
    };
    let client = here.started.client.clone();
    client.connect(bare(&there)).await.unwrap();
    connected(&mut here, 1).await;
    // Once more, and this node itself, named and not.
    client.connect(bare(&there)).await.unwrap();
    client.connect(bare(&here)).await.unwrap();
    client.connect(here.address.clone()).await.unwrap();
    let nobody = "/ip4/127.0.0.1/tcp/1".parse().unwrap();
    let refused = client.connect(nobody).await.unwrap_err();
    assert!(matches!(refused, ConnectError::Nobody { .. }), "{refused}");
}

/// It says that it has everything, and sends nothing.
#[derive(Debug)]
struct Promises;

impl BlockStore for Promises {
    fn get(&self, _: Cid) -> BoxFuture<'static, Result<Option<Bytes>, StoreError>> {
        Box::pin(std::future::pending::<Result<Option<Bytes>, StoreError>>())
    }

    fn has(&self, _: Cid) -> BoxFuture<'static, Result<bool, StoreError>> {
        Box::pin(async { Ok(true) })
    }
}

/// Once, it took as long as it is waited for such a peer, and that again and again.
#[tokio::test(flavor = "multi_thread")]
async fn peers_that_promise_and_send_nothing_keep_nobody_longer_than_he_would_wait() {
    let mut here = start(options(&[])).await;
    let bootstrap = vec![here.address.clone()];
    let there = Options {
        bootstrap,
        ..options(&[])
    };
    let there = mc_net::start(Identity::generate(), there, Arc::new(Promises));
    let there = there.await.unwrap();
    connected(&mut here, 1).await;
    let id = there.client.local_id().clone();
    for providers in [vec![id], Vec::new()] {
        let timeout = Some(Duration::from_secs(1));
        let session = here.started.client.session(providers, timeout).await;
        let begun = std::time::Instant::now();
        let cid = cid::of(cid::RAW, b"what is promised");
        let fetched = session.unwrap().get(cid).await;
        let error = fetched.unwrap_err();
        assert!(matches!(error, FetchError::NotFound { .. }), "{error}");
        let waited = begun.elapsed();
        assert!(waited < Duration::from_secs(4), "{waited:?}");
    }
}
