use mc_content::{Block, Error, Options, Store, unixfs};
use mc_types::{Clock, Timestamp, cid};
use std::{
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

async fn open(dir: &Path, clock: &Arc<Hand>) -> Store {
    let clock: Arc<dyn Clock> = clock.clone();
    Store::open(
        dir,
        Options {
            gc_grace: Duration::from_secs(600),
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
    clock.0.store(2_000_000, Ordering::Relaxed);
    store.gc().await.unwrap();
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
