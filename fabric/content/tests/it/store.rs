use ipld_core::ipld::Ipld;
use mc_content::{Block, Error, GcReport, Options, Store, unixfs};
use mc_types::{Cid, Clock, Timestamp, cid};
use std::{
    fs,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

/// A clock that is set by hand.
#[derive(Debug, Default)]
struct Hand(AtomicU64);

impl Clock for Hand {
    fn now(&self) -> Timestamp {
        Timestamp::from_millis(self.0.load(Ordering::Relaxed))
    }
}

impl Hand {
    fn advance(&self, time: Duration) {
        let millis = u64::try_from(time.as_millis()).unwrap();
        self.0.fetch_add(millis, Ordering::Relaxed);
    }
}

async fn open(dir: &Path, clock: &Arc<Hand>) -> Store {
    let clock: Arc<dyn Clock> = clock.clone();
    Store::open(
        dir,
        Options {
            gc_grace: Duration::from_secs(600),
            max_bytes: None,
            clock,
        },
    )
    .await
    .unwrap()
}

fn raw(bytes: &[u8]) -> Block {
    Block::encode(cid::RAW, bytes.to_vec()).unwrap()
}

#[tokio::test]
async fn blocks_and_pins_are_there_after_reopening() {
    let dir = tempfile::tempdir().unwrap();
    let clock = Arc::default();
    let block = raw(&[7; 1 << 20]);
    {
        let store = open(dir.path(), &clock).await;
        store.put(block.clone()).await.unwrap();
        store.pin("name", *block.cid()).await.unwrap();
        store.close().await;
        assert!(matches!(store.put(raw(b"late")).await, Err(Error::Closed)));
    }
    let store = open(dir.path(), &clock).await;
    assert_eq!(
        store.get(block.cid()).await.unwrap().as_ref(),
        Some(block.bytes())
    );
    assert_eq!(store.size(block.cid()).await.unwrap(), Some(1 << 20));
    assert_eq!(
        store.pins().await.unwrap(),
        [("name".to_owned(), *block.cid())]
    );
    assert!(!store.has(raw(b"absent").cid()).await.unwrap());
}

#[tokio::test]
async fn same_bytes_under_two_codecs_are_one_block() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path(), &Arc::default()).await;
    store.put(raw(b"\xa0")).await.unwrap();
    assert!(store.has(&cid::of(cid::DAG_CBOR, b"\xa0")).await.unwrap());
}

#[tokio::test]
async fn collection_removes_what_is_neither_pinned_nor_recent() {
    let dir = tempfile::tempdir().unwrap();
    let clock: Arc<Hand> = Arc::default();
    let store = open(dir.path(), &clock).await;
    let tree = tempfile::tempdir().unwrap();
    std::fs::create_dir(tree.path().join("sub")).unwrap();
    std::fs::write(tree.path().join("sub/file"), vec![1; 3 << 20]).unwrap();
    let added = unixfs::add_path(tree.path(), &store, &Default::default())
        .await
        .unwrap();
    store.pin("tree", added.cid).await.unwrap();
    store.put(raw(b"old")).await.unwrap();
    assert_eq!(
        store.gc().await.unwrap().removed_blocks,
        0,
        "everything is recent"
    );
    clock.0.store(601_000, Ordering::Relaxed);
    store.put(raw(b"new")).await.unwrap();
    let report = store.gc().await.unwrap();
    assert_eq!((report.removed_blocks, report.removed_bytes), (1, 3));
    assert_eq!((report.recent_blocks, report.recent_bytes), (1, 3));
    assert!(!store.has(raw(b"old").cid()).await.unwrap());
    assert!(
        mc_content::missing(&store, added.cid, 10)
            .await
            .unwrap()
            .is_empty()
    );
    let refused = store.remove(&added.cid).await;
    assert!(matches!(refused, Err(Error::Pinned { .. })), "{refused:?}");
    assert!(store.unpin("tree").await.unwrap());
    assert!(!store.unpin("tree").await.unwrap());
    clock.0.store(602_000, Ordering::Relaxed);
    let report = store.gc().await.unwrap();
    assert_eq!((report.kept_blocks, report.recent_blocks), (1, 1));
    let report = store.gc_now().await.unwrap();
    assert_eq!((report.kept_blocks, report.recent_blocks), (0, 0));
    assert!(!store.has(&added.cid).await.unwrap());
}

/// Pins that are added while blocks are being collected win: either the pinned block survives, or
/// it was gone before the pin was there.
#[tokio::test(flavor = "multi_thread")]
async fn collection_never_takes_what_was_pinned_while_it_was_there() {
    let dir = tempfile::tempdir().unwrap();
    let clock: Arc<Hand> = Arc::default();
    let store = open(dir.path(), &clock).await;
    for n in 0..200u32 {
        store.put(raw(&n.to_le_bytes())).await.unwrap();
    }
    clock.0.store(601_000, Ordering::Relaxed);
    let pinning = {
        let store = store.clone();
        tokio::spawn(async move {
            let mut kept = Vec::new();
            for n in 0..200u32 {
                let block = raw(&n.to_le_bytes());
                store.pin(&n.to_string(), *block.cid()).await.unwrap();
                if store.has(block.cid()).await.unwrap() {
                    kept.push(*block.cid());
                }
            }
            kept
        })
    };
    for _ in 0..5 {
        // It may give up when pins come too quickly; that takes nothing away.
        let _ = store.gc().await;
    }
    for cid in pinning.await.unwrap() {
        assert!(store.has(&cid).await.unwrap(), "{cid}");
    }
}

/// A block that is stored again while it is being collected is there when the call returns.
#[tokio::test(flavor = "multi_thread")]
async fn collection_never_takes_what_was_stored_again() {
    let dir = tempfile::tempdir().unwrap();
    let clock: Arc<Hand> = Arc::default();
    let store = open(dir.path(), &clock).await;
    for round in 1..=20u64 {
        for n in 0..100u32 {
            store.put(raw(&n.to_le_bytes())).await.unwrap();
        }
        clock.0.store(round * 1_000_000, Ordering::Relaxed);
        let storing = {
            let store = store.clone();
            tokio::spawn(async move {
                for n in 0..100u32 {
                    store.put(raw(&n.to_le_bytes())).await.unwrap();
                }
            })
        };
        store.gc().await.unwrap();
        storing.await.unwrap();
        for n in 0..100u32 {
            assert!(
                store.has(raw(&n.to_le_bytes()).cid()).await.unwrap(),
                "round {round}: {n}"
            );
        }
    }
}

#[tokio::test]
async fn names_of_pins_are_bounded() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path(), &Arc::default()).await;
    for name in ["", "a\nb", &"x".repeat(257)] {
        let refused = store.pin(name, *raw(b"x").cid()).await;
        assert!(matches!(refused, Err(Error::PinName { .. })), "{name:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn many_small_writers_share_their_commits() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path(), &Arc::default()).await;
    let begun = std::time::Instant::now();
    let writers: Vec<_> = (0..64u32)
        .map(|writer| {
            let store = store.clone();
            tokio::spawn(async move {
                for n in 0..20u32 {
                    store
                        .put(raw(&[writer.to_le_bytes(), n.to_le_bytes()].concat()))
                        .await
                        .unwrap();
                }
            })
        })
        .collect();
    for writer in writers {
        writer.await.unwrap();
    }
    println!("1280 durable puts by 64 writers took {:?}", begun.elapsed());
    assert!(
        store
            .has(raw(&[63u32.to_le_bytes(), 19u32.to_le_bytes()].concat()).cid())
            .await
            .unwrap()
    );
}

#[tokio::test]
async fn second_process_is_told_that_the_store_is_in_use() {
    let dir = tempfile::tempdir().unwrap();
    let _first = open(dir.path(), &Arc::default()).await;
    let second = Store::open(dir.path(), Options::default()).await;
    assert!(matches!(second, Err(Error::Locked { .. })), "{second:?}");
}

/// A block of so many bytes, one of a kind for each number.
fn sized(number: u32, bytes: usize) -> Block {
    let mut content = vec![7; bytes];
    content[..4].copy_from_slice(&number.to_le_bytes());
    raw(&content)
}

#[tokio::test]
async fn what_is_used_least_makes_room_for_the_new() {
    let dir = tempfile::tempdir().unwrap();
    let clock = Arc::new(Hand::default());
    let options = Options {
        gc_grace: Duration::from_secs(60),
        max_bytes: Some(1_000_000),
        clock: Arc::clone(&clock) as Arc<dyn Clock>,
    };
    let store = Store::open(dir.path(), options).await.unwrap();
    for number in 0..10 {
        clock.advance(Duration::from_secs(100));
        store.put(sized(number, 95_000)).await.unwrap();
    }
    store.pin("kept", *sized(0, 95_000).cid()).await.unwrap();
    // Number 1 is the oldest, but was read; numbers 2 and 3 go.
    clock.advance(Duration::from_secs(100));
    store.get(sized(1, 95_000).cid()).await.unwrap();
    store.put(sized(10, 95_000)).await.unwrap();
    let mut left = Vec::new();
    for number in 0..=10 {
        if store.has(sized(number, 95_000).cid()).await.unwrap() {
            left.push(number);
        }
    }
    assert_eq!(left, [0, 1, 4, 5, 6, 7, 8, 9, 10]);
    assert_eq!(store.bytes(), 9 * 95_000);
    // What was stored just now stays, and then there is no room.
    let many = (100..106).map(|n| sized(n, 95_000)).collect();
    mc_content::BlockSink::put_many(&store, many).await.unwrap();
    let error = store.put(sized(200, 300_000)).await.unwrap_err();
    assert!(matches!(error, Error::Quota { .. }), "{error}");
    assert!(store.bytes() <= 1_000_000);
    // The count is right after reopening, too.
    let bytes = store.bytes();
    store.close().await;
    drop(store);
    let store = open(dir.path(), &clock).await;
    assert_eq!(store.bytes(), bytes);
}

#[tokio::test]
async fn what_is_only_cached_is_never_in_the_way() {
    let dir = tempfile::tempdir().unwrap();
    let clock = Arc::new(Hand::default());
    clock.advance(Duration::from_secs(1000));
    let options = Options {
        gc_grace: Duration::from_secs(60),
        max_bytes: Some(1_000_000),
        clock: Arc::clone(&clock) as Arc<dyn Clock>,
    };
    let store = Store::open(dir.path(), options).await.unwrap();
    let own = sized(0, 95_000);
    store.put(own.clone()).await.unwrap();
    // Far more passes through than there is room for, is read, and comes again.
    for number in 1..50 {
        let block = sized(number, 95_000);
        store.put_cached(vec![block.clone()]).await.unwrap();
        store.get(block.cid()).await.unwrap();
        store.put_cached(vec![own.clone()]).await.unwrap();
        clock.advance(Duration::from_millis(10));
    }
    assert!(store.bytes() <= 1_000_000);
    assert!(store.has(own.cid()).await.unwrap(), "it was to be pinned");
    assert!(store.has(sized(49, 95_000).cid()).await.unwrap());
    let many = (100..109).map(|n| sized(n, 95_000)).collect();
    mc_content::BlockSink::put_many(&store, many).await.unwrap();
}

/// Bytes that a directory takes up on disk.
fn on_disk(dir: &Path) -> u64 {
    let mut bytes = 0;
    for entry in fs::read_dir(dir).unwrap() {
        let metadata = entry.unwrap().metadata().unwrap();
        bytes += std::os::unix::fs::MetadataExt::blocks(&metadata) * 512;
    }
    bytes
}

#[tokio::test]
async fn what_is_removed_takes_up_no_room() {
    let dir = tempfile::tempdir().unwrap();
    let clock = Arc::new(Hand::default());
    let store = open(dir.path(), &clock).await;
    // Some more than a pack.
    for number in 0..300 {
        store.put(sized(number, 1 << 20)).await.unwrap();
    }
    let kept = [sized(5, 1 << 20), sized(290, 1 << 20)];
    for block in &kept {
        store
            .pin(&block.cid().to_string(), *block.cid())
            .await
            .unwrap();
    }
    let packs = dir.path().join("packs");
    assert!(on_disk(&packs) >= 300 << 20);
    clock.advance(Duration::from_secs(3600));
    let report = store.gc().await.unwrap();
    assert_eq!((report.removed_blocks, report.kept_blocks), (298, 2));
    assert!(on_disk(&packs) < 4 << 20, "{} bytes", on_disk(&packs));
    store.unpin(&kept[0].cid().to_string()).await.unwrap();
    clock.advance(Duration::from_secs(3600));
    store.gc().await.unwrap();
    assert_eq!(fs::read_dir(&packs).unwrap().count(), 1, "a pack is gone");
    // What comes next goes to the end of the last one.
    store.put(sized(1000, 1 << 20)).await.unwrap();
    for block in [&kept[1], &sized(1000, 1 << 20)] {
        let found = store.get(block.cid()).await.unwrap();
        assert_eq!(found.as_ref(), Some(block.bytes()));
    }
}

#[tokio::test]
async fn corrupt_blocks_are_noticed_quarantined_and_can_come_back() {
    let dir = tempfile::tempdir().unwrap();
    let clock = Arc::new(Hand::default());
    let store = open(dir.path(), &clock).await;
    let blocks: Vec<_> = (0..20).map(|n| sized(n, 10_000)).collect();
    mc_content::BlockSink::put_many(&store, blocks.clone())
        .await
        .unwrap();
    store.pin("all", *blocks[3].cid()).await.unwrap();
    let clean = store.fsck().await.unwrap();
    assert_eq!((clean.blocks, clean.bytes), (20, 200_000));
    assert!(clean.corrupt.is_empty() && clean.incomplete_pins.is_empty());
    // One bit of the fourth.
    let pack = dir.path().join("packs/00000000.pack");
    let mut bytes = fs::read(&pack).unwrap();
    let place = bytes
        .windows(4)
        .position(|window| window == 3_u32.to_le_bytes())
        .unwrap();
    bytes[place + 50] ^= 4;
    fs::write(&pack, &bytes).unwrap();
    let error = store.get(blocks[3].cid()).await.unwrap_err();
    assert!(matches!(error, Error::Corrupt { .. }), "{error}");
    let report = store.fsck().await.unwrap();
    assert_eq!(report.corrupt, [*blocks[3].cid()]);
    assert_eq!(report.incomplete_pins, ["all"]);
    let quarantined = dir
        .path()
        .join("quarantine")
        .join(blocks[3].cid().to_string());
    assert_eq!(fs::read(quarantined).unwrap()[50], 7 ^ 4);
    assert_eq!(store.get(blocks[3].cid()).await.unwrap(), None);
    store.put(blocks[3].clone()).await.unwrap();
    let again = store.get(blocks[3].cid()).await.unwrap();
    assert_eq!(again.as_ref(), Some(blocks[3].bytes()));
    assert!(store.fsck().await.unwrap().corrupt.is_empty());
}

/// The same bytes may be a leaf, as one codec has it, and a node as another.
#[tokio::test]
async fn what_is_a_leaf_and_a_node_keeps_what_the_node_needs() {
    let dir = tempfile::tempdir().unwrap();
    let clock = Arc::new(Hand::default());
    let store = open(dir.path(), &clock).await;
    let list = |links: &[Cid]| {
        let links = links.iter().copied().map(Ipld::Link).collect();
        let bytes = serde_ipld_dagcbor::to_vec(&Ipld::List(links)).unwrap();
        Block::encode(cid::DAG_CBOR, bytes).unwrap()
    };
    let needed = raw(b"needed");
    let node = list(&[*needed.cid()]);
    let leaf = raw(node.bytes());
    for order in [[*node.cid(), *leaf.cid()], [*leaf.cid(), *node.cid()]] {
        let root = list(&order);
        let cid = *root.cid();
        let blocks = vec![needed.clone(), node.clone(), root];
        store.put_pinned(blocks, "root", cid).await.unwrap();
        clock.advance(Duration::from_secs(1_000));
        store.gc().await.unwrap();
        assert!(store.has(needed.cid()).await.unwrap(), "{order:?}");
    }
}

/// Whoever has the CID has the block: it takes no room, and is never missing.
#[tokio::test]
async fn blocks_that_stand_in_their_cids_are_not_stored() {
    let dir = tempfile::tempdir().unwrap();
    let clock = Arc::new(Hand::default());
    let store = open(dir.path(), &clock).await;
    let cid: Cid = "bafkqablimvwgy3y".parse().unwrap();
    let block = Block::new(cid, b"hello".to_vec().into()).unwrap();
    assert!(Block::new(cid, b"hallo".to_vec().into()).is_err());
    store.put_pinned(vec![block], "inline", cid).await.unwrap();
    clock.advance(Duration::from_secs(1_000));
    assert_eq!(store.gc().await.unwrap(), GcReport::default());
    assert_eq!(store.get(&cid).await.unwrap().unwrap(), "hello");
    assert_eq!(store.size(&cid).await.unwrap(), Some(5));
    assert_eq!(store.lacking(vec![cid]).await.unwrap(), []);
    assert_eq!(mc_content::missing(&store, cid, 1).await.unwrap(), []);
}
