//! kill -9 at any moment: everything that was acknowledged is still there.

use mc_content::{Block, Options, Store};
use mc_types::cid;
use std::{
    io::{BufRead, BufReader},
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::{Duration, Instant},
};

/// Names the store of the child; its presence makes this test binary the child.
const CHILD: &str = "CONTENT_CRASH_CHILD";

fn block(n: u64) -> Block {
    let length = usize::try_from(n % 50).unwrap() * 4_000 + 8;
    let mut bytes = vec![u8::try_from(n % 251).unwrap(); length];
    bytes[..8].copy_from_slice(&n.to_le_bytes());
    Block::encode(cid::RAW, bytes).unwrap()
}

/// Whether a block is removed again, some time after it was stored.
const fn is_dropped(n: u64) -> bool {
    n % 3 == 1
}

fn name(n: u64) -> String {
    format!("block {n}")
}

/// The child: stores and pins block after block and says so once each is acknowledged, and has some of them
/// collected in between.
#[tokio::test]
async fn child_stores_and_collects_blocks_until_it_is_killed() {
    let Some(dir) = std::env::var_os(CHILD).map(PathBuf::from) else {
        return;
    };
    let options = Options {
        gc_grace: Duration::ZERO,
        ..Options::default()
    };
    let store = Store::open(&dir, options).await.unwrap();
    let begin: u64 = std::fs::read_to_string(dir.with_extension("begin"))
        .unwrap()
        .parse()
        .unwrap();
    for n in begin.. {
        let block = block(n);
        let cid = *block.cid();
        store.put_pinned(vec![block], &name(n), cid).await.unwrap();
        println!("\nstored {n}");
        if n % 7 == 6 {
            for n in (n - 6..n).filter(|n| is_dropped(*n)) {
                store.unpin(&name(n)).await.unwrap();
            }
            store.gc().await.unwrap();
        }
    }
}

#[tokio::test]
async fn acknowledged_blocks_survive_kills_at_any_moment() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("store");
    let mut acknowledged = Vec::new();
    for round in 0..12u64 {
        std::fs::write(
            path.with_extension("begin"),
            (round * 1_000_000).to_string(),
        )
        .unwrap();
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args([
                "--exact",
                "crash::child_stores_and_collects_blocks_until_it_is_killed",
                "--nocapture",
            ])
            .env(CHILD, &path)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let mut until = None;
        for line in lines.map_while(Result::ok) {
            if let Some(n) = line.strip_prefix("stored ") {
                acknowledged.push(n.parse::<u64>().unwrap());
                let until = *until
                    .get_or_insert_with(|| Instant::now() + Duration::from_millis(30 + 97 * round));
                if Instant::now() >= until {
                    // What it says until it is gone was acknowledged too.
                    let _ = child.kill();
                }
            }
        }
        child.wait().unwrap();
        check(&path, &acknowledged).await;
    }
    println!("{} blocks were acknowledged", acknowledged.len());
    assert!(acknowledged.len() > 12);
}

/// Everything that was acknowledged is there, and nothing else is damaged.
async fn check(path: &Path, acknowledged: &[u64]) {
    let store = Store::open(path, Options::default()).await.unwrap();
    for n in acknowledged.iter().filter(|n| !is_dropped(**n)) {
        let expected = block(*n);
        let found = store.get(expected.cid()).await.unwrap();
        assert_eq!(found.as_ref(), Some(expected.bytes()), "block {n}");
    }
    let report = store.fsck().await.unwrap();
    assert!(report.corrupt.is_empty(), "{report:?}");
    assert!(report.incomplete_pins.is_empty(), "{report:?}");
    store.close().await;
}
