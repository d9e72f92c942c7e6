use super::*;
use mc_config::Sources;
use mc_types::ErrorCode;
use std::{collections::BTreeMap, path::Path, time::Instant};
use tokio::net::TcpStream;

const PATIENCE: Duration = Duration::from_secs(30);

async fn soon<T>(what: &str, work: impl Future<Output = T>) -> T {
    let done = tokio::time::timeout(PATIENCE, work).await;
    done.unwrap_or_else(|_| panic!("not within {PATIENCE:?}: {what}"))
}

/// A node without peers that runs nothing.
async fn node(dir: &Path) -> Node {
    let sources = Sources {
        file: None,
        environment: BTreeMap::from([("HOME".to_owned(), dir.display().to_string())]),
        flags: vec![
            ("api.listen", "127.0.0.1:0".into()),
            ("p2p.listen", vec!["/ip4/127.0.0.1/tcp/0"].into()),
            ("p2p.mdns", false.into()),
        ],
    };
    let config = Config::load(sources).unwrap();
    Node::start(config, Mode::HandIn, None).await.unwrap()
}

/// Waits until its API no longer listens.
async fn answers_no_more(api: &str) {
    let address = api.trim_start_matches("http://").to_owned();
    let begun = Instant::now();
    while TcpStream::connect(&address).await.is_ok() {
        assert!(begun.elapsed() < PATIENCE, "{api} still answers");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

async fn fails() {
    panic!("no luck");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_of_which_a_part_fails_answers_no_more_and_says_why() {
    let dir = tempfile::tempdir().unwrap();
    let node = node(dir.path()).await;
    let api = node.api_url().to_owned();
    node.tasks.all.essential("a part of it", fails());
    let failed = soon("it says so", node.failed()).await;
    assert_eq!(failed.code(), ErrorCode::Internal);
    assert!(node.failure().is_some());
    let said = failed.to_string();
    assert!(said.contains("a part of it failed: no luck"), "{said}");
    answers_no_more(&api).await;
    soon("it stops", node.shutdown()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_whose_store_is_written_no_more_ends() {
    let dir = tempfile::tempdir().unwrap();
    let node = node(dir.path()).await;
    // As if its thread had panicked.
    node.store.close().await;
    let failed = soon("it says so", node.failed()).await;
    assert!(failed.to_string().contains("block writer"), "{failed}");
    soon("it stops", node.shutdown()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_whose_network_ends_ends_too() {
    let dir = tempfile::tempdir().unwrap();
    let node = node(dir.path()).await;
    node.net.shutdown().await;
    soon("it says so", node.failed()).await;
    soon("it stops", node.shutdown()).await;
}

/// A database that hangs holds the part that writes to it, and whoever waits for that part.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_stops_although_a_part_of_it_does_not_end() {
    let dir = tempfile::tempdir().unwrap();
    let node = node(dir.path()).await;
    let api = node.api_url().to_owned();
    node.tasks
        .all
        .essential("a part that waits", std::future::pending());
    let stopping = node.stop_within(Duration::from_millis(500));
    let is_in_order = soon("it stops", stopping).await;
    assert!(!is_in_order);
    answers_no_more(&api).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_request_that_panics_is_counted_and_the_node_goes_on() {
    let dir = tempfile::tempdir().unwrap();
    let node = node(dir.path()).await;
    node.tasks.all.serve("a request", fails());
    soon("it is counted", async {
        while node.tasks.all.panics() == 0 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    })
    .await;
    assert!(node.failure().is_none());
    let address = node.api_url().trim_start_matches("http://").to_owned();
    TcpStream::connect(address).await.unwrap();
    soon("it stops", node.shutdown()).await;
}

/// The network ends by itself only when its last handle is dropped: so no part of a node keeps the rest alive.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_is_dropped_leaves_nothing_behind() {
    let dir = tempfile::tempdir().unwrap();
    let node = node(dir.path()).await;
    let api = node.api_url().to_owned();
    let groups = [&node.tasks.server, &node.tasks.all, &node.tasks.network].map(Clone::clone);
    drop(node);
    for group in groups {
        soon("its tasks end", group.join()).await;
    }
    answers_no_more(&api).await;
}
