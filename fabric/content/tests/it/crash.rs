//! kill -9 at any moment: everything that was acknowledged is still there.

use mc_content::{Block, Options, Store};
use mc_types::cid;
use std::{
    io::{BufRead, BufReader},
    path::PathBuf,
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

/// The child: stores block after block, and says so once each is acknowledged.
#[tokio::test]
async fn child_stores_blocks_until_it_is_killed() {
    let Some(dir) = std::env::var_os(CHILD).map(PathBuf::from) else {
        return;
    };
    let store = Store::open(&dir, Options::default()).await.unwrap();
    let begin: u64 = std::fs::read_to_string(dir.with_extension("begin"))
        .unwrap()
        .parse()
        .unwrap();
    for n in begin.. {
        store.put(block(n)).await.unwrap();
        println!("\nstored {n}");
    }
}

#[tokio::test]
async fn acknowledged_blocks_survive_kills_at_any_moment() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("store");
    let mut acknowledged = Vec::new();
    for round in 0..6u64 {
        std::fs::write(
            path.with_extension("begin"),
            (round * 1_000_000).to_string(),
        )
        .unwrap();
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args([
                "--exact",
                "crash::child_stores_blocks_until_it_is_killed",
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
    }
    println!("{} blocks were acknowledged", acknowledged.len());
    assert!(acknowledged.len() > 6);
    let store = Store::open(&path, Options::default()).await.unwrap();
    for n in acknowledged {
        let expected = block(n);
        let found = store.get(expected.cid()).await.unwrap();
        assert_eq!(found.as_ref(), Some(expected.bytes()), "block {n}");
    }
}
