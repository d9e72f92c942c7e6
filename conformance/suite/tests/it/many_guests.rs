//! More guests at a time than a runtime has threads for what they wait for.

use futures::{StreamExt, future::BoxFuture, stream};
use mc_artifacts::guest;
use mc_conformance::NodeOptions;
use mc_content::{BlockSource, MemoryBlocks, unixfs};
use mc_net::{BlockStore, DhtMode, Identity, InboundRequest, NetworkHandle, Options, StoreError};
use mc_protocol::{Request, Response};
use mc_types::{
    AttemptResult, Cid, FencingToken, JobId, JobSpec, Lease, NodeId, TaskSpec, Termination,
    Timestamp,
};
use std::{
    collections::BTreeSet,
    sync::Arc,
    time::{Duration, Instant},
};
use tokio::sync::mpsc;

/// Tokio has 512 threads for blocking work, unless it is told otherwise.
const GUESTS: u64 = 600;
/// How long the input takes to come: by then all guests have begun, and wait for it.
const SLOWLY: Duration = Duration::from_secs(2);
const PATIENCE: Duration = Duration::from_secs(120);
const TTL_MS: u64 = 60_000;

/// What the coordinator has. One block of it comes slowly.
#[derive(Debug)]
struct Slow {
    blocks: Arc<MemoryBlocks>,
    input: Cid,
}

impl BlockStore for Slow {
    fn get(&self, cid: Cid) -> BoxFuture<'static, Result<Option<bytes::Bytes>, StoreError>> {
        let (blocks, is_slow) = (Arc::clone(&self.blocks), cid.hash() == self.input.hash());
        Box::pin(async move {
            if is_slow {
                tokio::time::sleep(SLOWLY).await;
            }
            Ok(blocks.get(&cid).await.ok())
        })
    }

    fn has(&self, cid: Cid) -> BoxFuture<'static, Result<bool, StoreError>> {
        let blocks = Arc::clone(&self.blocks);
        Box::pin(async move { Ok(blocks.get(&cid).await.is_ok()) })
    }
}

/// A peer that has work for the node at `address`.
async fn coordinator(
    address: &str,
    node: &NodeId,
    blocks: Slow,
) -> (NetworkHandle, mpsc::Receiver<InboundRequest>) {
    let options = Options {
        network: "main".to_owned(),
        listen: vec!["/ip4/127.0.0.1/tcp/0".parse().unwrap()],
        bootstrap: vec![address.parse().unwrap()],
        peer_cache: None,
        mdns: false,
        dht: DhtMode::Client,
        relay: false,
        ipfs: false,
        ipfs_dht: Vec::new(),
        agent: "coordinator/1".to_owned(),
        fetch_timeout: Duration::from_secs(5),
    };
    let started = mc_net::start(Identity::generate(), options, Arc::new(blocks));
    let mut started = started.await.unwrap();
    let connected = started.peers.wait_for(|peers| peers.contains(node));
    let connected = tokio::time::timeout(PATIENCE, connected).await;
    drop(connected.unwrap().unwrap());
    (started.client, started.requests)
}

/// Answers as a coordinator does that has all of these leases, and tells of each job that has ended well.
async fn keep(mut requests: mpsc::Receiver<InboundRequest>, ended: mpsc::Sender<JobId>) {
    while let Some(inbound) = requests.recv().await {
        let answer = match &inbound.request {
            Request::Heartbeat { .. } => Response::Renewed {
                ttl_ms: TTL_MS,
                replicas: Vec::new(),
            },
            Request::Finish { job, ending, .. } => {
                let is_well = matches!(
                    ending,
                    AttemptResult::Completed(done) if done.outcome.end == (Termination::Exited { code: 0 })
                );
                assert!(is_well, "{job}: {ending:?}");
                ended.send(*job).await.unwrap();
                Response::Recorded
            }
            _ => Response::Ok,
        };
        inbound.reply.send(answer);
    }
}

fn offer(number: u64, task: &TaskSpec) -> Request {
    let now = Timestamp::from_millis(1);
    let lease = Lease {
        job: JobId::new(now, number.into()),
        token: FencingToken(number),
        attempt: 1,
        expires: now,
        ttl_ms: TTL_MS,
    };
    Request::Offer {
        lease,
        job: Box::new(JobSpec::new(task.clone())),
        checkpoints: Vec::new(),
        replicas: Vec::new(),
        grant: Vec::new(),
        key: None,
    }
}

/// Each guest that reads holds a thread until the block is there. When guests had those of the runtime, by which blocks
/// come, 512 of them waited for each other for ever, and the node with them.
#[tokio::test(flavor = "multi_thread")]
async fn guests_that_read_keep_nobody_from_bringing_what_they_read() {
    let slots = GUESTS.to_string();
    let node = NodeOptions::new().flags(["--slots", &slots]).start();
    let made = MemoryBlocks::default();
    let component = std::fs::read(guest("copy_tree")).unwrap();
    let component = unixfs::add_bytes(&component, &made).await.unwrap();
    let input = unixfs::add_bytes(b"what all of them read", &made).await;
    let input = input.unwrap().cid;
    let mut task = TaskSpec::wasm(component.cid);
    task.inputs.insert("text".to_owned(), input);
    task.limits.memory_bytes = 4 << 20;
    task.limits.output_bytes = 64 << 10;
    task.limits.scratch_bytes = 64 << 10;
    let blocks = Slow {
        blocks: Arc::new(made),
        input,
    };
    let id: NodeId = node.id.parse().unwrap();
    let (client, requests) = coordinator(&node.addresses[0], &id, blocks).await;
    let (ended, mut came) = mpsc::channel(1024);
    tokio::spawn(keep(requests, ended));
    let begun = Instant::now();
    stream::iter(1..=GUESTS)
        .for_each_concurrent(32, |number| {
            let asked = client.request(&id, offer(number, &task));
            async move { assert_eq!(asked.await.unwrap(), Response::Accepted) }
        })
        .await;
    let mut jobs = BTreeSet::new();
    while u64::try_from(jobs.len()).unwrap() < GUESTS {
        let left = PATIENCE.saturating_sub(begun.elapsed());
        let next = tokio::time::timeout(left, came.recv()).await;
        let next = next.ok().flatten();
        assert!(next.is_some(), "{} of {GUESTS} ended", jobs.len());
        jobs.extend(next);
    }
    assert_eq!(node.stop(), Some(0));
}
