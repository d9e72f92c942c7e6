//! Peers that speak the protocol and mean no good.

use mc_artifacts::guest;
use mc_conformance::{Http, Node, NodeOptions, eventually};
use mc_content::{BlockSource, MemoryBlocks, unixfs};
use mc_net::{BlockStore, DhtMode, Identity, InboundRequest, NetworkHandle, Options, StoreError};
use mc_protocol::{Announcement, Request, RequestError, Response};
use mc_types::{
    AttemptResult, Cid, Completion, Determinism, ErrorCode, FencingToken, JobId, JobSpec, Lease,
    Lent, Meter, NodeId, Outcome, Resources, TaskSpec, Termination, Usage, canonical, cid,
};
use std::{
    collections::BTreeMap,
    future::Future,
    sync::Arc,
    time::{Duration, Instant},
};
use tokio::sync::mpsc;

/// It has nothing to give.
#[derive(Debug)]
struct NoBlocks;

impl BlockStore for NoBlocks {
    fn get(
        &self,
        _: Cid,
    ) -> futures::future::BoxFuture<'static, Result<Option<bytes::Bytes>, StoreError>> {
        Box::pin(async { Ok(None) })
    }

    fn has(&self, _: Cid) -> futures::future::BoxFuture<'static, Result<bool, StoreError>> {
        Box::pin(async { Ok(false) })
    }
}

/// It says that it has everything, and sends nothing.
#[derive(Debug)]
struct Promises;

impl BlockStore for Promises {
    fn get(
        &self,
        _: Cid,
    ) -> futures::future::BoxFuture<'static, Result<Option<bytes::Bytes>, StoreError>> {
        Box::pin(std::future::pending::<
            Result<Option<bytes::Bytes>, StoreError>,
        >())
    }

    fn has(&self, _: Cid) -> futures::future::BoxFuture<'static, Result<bool, StoreError>> {
        Box::pin(async { Ok(true) })
    }
}

/// A peer that is connected to a gateway, and leaves its questions to the test.
struct Peer {
    client: NetworkHandle,
    gateway: NodeId,
    requests: mpsc::Receiver<InboundRequest>,
}

/// What it claims to lend.
fn claims() -> Announcement {
    let total = Resources {
        cpu_millis: 64_000,
        memory_bytes: 1 << 40,
        scratch_bytes: 1 << 40,
        output_bytes: 1 << 40,
        gpus: 0,
    };
    Announcement {
        lent: Lent {
            total,
            free: total,
            attempt_millis: None,
        },
        slots_total: 64,
        slots_free: 64,
        cpus: 64,
        memory_bytes: 1 << 40,
        ..Announcement::default()
    }
}

impl Peer {
    async fn of(gateway: &Node) -> Self {
        Self::with(gateway, Arc::new(NoBlocks)).await
    }

    /// One that gives blocks.
    async fn with(gateway: &Node, blocks: Arc<dyn BlockStore>) -> Self {
        let options = Options {
            network: "main".to_owned(),
            listen: vec!["/ip4/127.0.0.1/tcp/0".parse().unwrap()],
            bootstrap: vec![gateway.addresses[0].parse().unwrap()],
            peer_cache: None,
            mdns: false,
            dht: DhtMode::Client,
            relay: false,
            ipfs: false,
            ipfs_dht: Vec::new(),
            agent: "hostile/1".to_owned(),
            fetch_timeout: Duration::from_secs(5),
        };
        let started = mc_net::start(Identity::generate(), options, blocks);
        let mut started = started.await.unwrap();
        let gateway: NodeId = gateway.id.parse().unwrap();
        let connected = started.peers.wait_for(|peers| peers.contains(&gateway));
        tokio::time::timeout(Duration::from_secs(30), connected)
            .await
            .unwrap()
            .unwrap();
        Self {
            client: started.client,
            gateway,
            requests: started.requests,
        }
    }

    async fn ask(&self, request: Request) -> Response {
        self.client.request(&self.gateway, request).await.unwrap()
    }

    /// Says every second what it claims to lend, and answers whatever it is asked by `answer`.
    fn lend<F: Future<Output = ()> + Send>(
        self,
        answer: impl Fn(InboundRequest) -> F + Send + 'static,
    ) {
        let Self {
            client,
            gateway,
            mut requests,
        } = self;
        tokio::spawn(async move {
            loop {
                // The gateway may be gone in the end.
                let _ = client.request(&gateway, Request::Announce(claims())).await;
                tokio::time::sleep(Duration::from_secs(1)).await;
            }
        });
        tokio::spawn(async move {
            while let Some(request) = requests.recv().await {
                answer(request).await;
            }
        });
    }
}

fn gateway() -> Node {
    NodeOptions::new()
        .flags(["--no-execute", "--lease-ttl", "2s"])
        .start()
}

fn worker(gateway: &Node) -> Node {
    NodeOptions::new()
        .bootstrap(gateway)
        .flags(["--slots", "1"])
        .start()
}

/// A job that does `milliseconds` of work.
fn submit(gateway: &Node, milliseconds: &str) -> String {
    let component = guest("ticks").display().to_string();
    gateway.submit([&*component, "--", "1", milliseconds])
}

/// A number of the gateway's `/metrics`.
fn metric(gateway: &Node, name: &str) -> u64 {
    let mut http = Http::connect(&gateway.api).unwrap();
    let metrics = String::from_utf8(http.bytes("GET", "/metrics", "").unwrap()).unwrap();
    let mut values = metrics.lines().filter_map(|line| line.strip_prefix(name));
    values.find_map(|value| value.trim().parse().ok()).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_peer_that_takes_jobs_and_never_runs_them_loses_them() {
    let gateway = gateway();
    let (accepted, mut taken) = mpsc::channel(1024);
    Peer::of(&gateway).await.lend(move |inbound| {
        let accepted = accepted.clone();
        async move {
            if matches!(inbound.request, Request::Offer { .. }) {
                accepted.send(()).await.unwrap();
                inbound.reply.send(Response::Accepted);
            }
        }
    });
    let ids: Vec<_> = (0..5).map(|_| submit(&gateway, "1")).collect();
    taken.recv().await.unwrap();
    let honest = worker(&gateway);
    for id in &ids {
        let job = gateway.succeeded(id);
        assert_eq!(job["node"].as_str(), Some(&*honest.id), "{job:#}");
    }
    assert!(metric(&gateway, "mc_leases_expired_total") > 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_peer_that_never_answers_holds_nobody_up_for_long() {
    let gateway = gateway();
    let honest = worker(&gateway);
    let (hold, mut held) = mpsc::channel(1024);
    // Whatever it is asked, it does not answer, and does not hang up either.
    Peer::of(&gateway).await.lend(move |inbound| {
        let hold = hold.clone();
        async move { hold.send(inbound).await.unwrap() }
    });
    let begun = Instant::now();
    let ids: Vec<_> = (0..20).map(|_| submit(&gateway, "1")).collect();
    for id in &ids {
        let job = gateway.succeeded(id);
        assert_eq!(job["node"].as_str(), Some(&*honest.id), "{job:#}");
    }
    let took = begun.elapsed();
    assert!(took < Duration::from_secs(30), "{took:?}");
    // It was tried, or this test shows nothing.
    let mut offers = 0;
    while let Ok(inbound) = held.try_recv() {
        offers += usize::from(matches!(inbound.request, Request::Offer { .. }));
    }
    assert!(offers > 0);
}

/// A lease for a task that ends as soon as it is looked at.
fn lease(number: u64) -> Request {
    let mut task = TaskSpec::wasm(cid::of(cid::RAW, b"what nobody has"));
    task.determinism = Determinism::Relaxed;
    let now = mc_types::Timestamp::from_millis(1);
    let lease = Lease {
        job: JobId::new(now, number.into()),
        token: FencingToken(number),
        attempt: 1,
        expires: now,
        ttl_ms: 15_000,
    };
    Request::Offer {
        lease,
        job: Box::new(JobSpec::new(task)),
        checkpoints: Vec::new(),
        replicas: Vec::new(),
        grant: Vec::new(),
        key: None,
    }
}

/// Offers leases until one is refused for another reason than that all slots are taken; gives how many were not.
async fn offer_until_refused(peer: &Peer, most: u64) -> (u64, String) {
    for number in 1..=most {
        loop {
            match peer.ask(lease(number)).await {
                Response::Accepted => break,
                Response::Refused { reason, .. } if reason.contains("no slot") => {
                    tokio::time::sleep(Duration::from_millis(1)).await;
                }
                Response::Refused { reason, .. } => return (number - 1, reason),
                other => return (number - 1, format!("{other:?}")),
            }
        }
    }
    (most, String::new())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_coordinator_that_acknowledges_nothing_gets_no_more_work_done() {
    let node = NodeOptions::new().flags(["--slots", "4"]).start();
    let mut peer = Peer::of(&node).await;
    let (_, nobody) = mpsc::channel(1);
    let mut requests = std::mem::replace(&mut peer.requests, nobody);
    tokio::spawn(async move {
        while let Some(inbound) = requests.recv().await {
            let error = Response::error(ErrorCode::Infrastructure, "another time");
            inbound.reply.send(error);
        }
    });
    let (taken, reason) = offer_until_refused(&peer, 1_200).await;
    assert!(
        reason.contains("acknowledge"),
        "{taken} were taken: {reason}"
    );
    assert!((1_024..1_040).contains(&taken), "{taken}");
    assert!(metric(&node, "mc_endings_owed") >= 1_024);
    // Others are not held responsible for that.
    let another = Peer::of(&node).await;
    assert_eq!(another.ask(lease(9_999)).await, Response::Accepted);
}

/// A result of which nobody has the output.
fn empty_promise(task: Cid) -> AttemptResult {
    promise(task, cid::of(cid::RAW, b"what nobody has"))
}

/// A result that is all over this.
fn promise(task: Cid, everywhere: Cid) -> AttemptResult {
    let outcome = Outcome {
        task,
        end: Termination::Exited { code: 0 },
        stdout: everywhere,
        stderr: everywhere,
        outputs: everywhere,
        dirs: BTreeMap::new(),
        fuel: 1,
        meter: Meter::Operators1,
    };
    let (outcome_cid, _) = canonical::encode(&outcome).unwrap();
    let usage = Usage {
        fuel: 1,
        memory_peak_bytes: 1,
        wall_ms: 1,
    };
    AttemptResult::Completed(Box::new(Completion {
        outcome_cid,
        outcome,
        usage,
    }))
}

#[tokio::test(flavor = "multi_thread")]
async fn results_that_are_promised_many_times_at_once_and_never_given_are_no_results() {
    let gateway = gateway();
    let peer = Peer::of(&gateway).await;
    let (client, to) = (peer.client.clone(), peer.gateway.clone());
    peer.lend(move |inbound| {
        let (client, to) = (client.clone(), to.clone());
        async move {
            let Request::Offer { lease, job, .. } = inbound.request else {
                return;
            };
            inbound.reply.send(Response::Accepted);
            let (task, _) = canonical::encode(&job.task).unwrap();
            for _ in 0..64 {
                let (client, to) = (client.clone(), to.clone());
                let request = Request::Finish {
                    job: lease.job,
                    token: lease.token,
                    ending: empty_promise(task),
                };
                tokio::spawn(async move { client.request(&to, request).await });
            }
        }
    });
    let ids: Vec<_> = (0..3).map(|_| submit(&gateway, "1")).collect();
    let honest = worker(&gateway);
    for id in &ids {
        let job = gateway.succeeded(id);
        assert_eq!(job["node"].as_str(), Some(&*honest.id), "{job:#}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn messages_about_leases_that_one_does_not_hold_are_refused() {
    let gateway = gateway();
    let honest = worker(&gateway);
    let peer = Peer::of(&gateway).await;
    let id = submit(&gateway, "3000");
    assert_eq!(gateway.running(&id), honest.id);
    let real: JobId = id.parse().unwrap();
    let unknown = JobId::new(mc_types::Timestamp::from_millis(1), 7);
    let before = metric(&gateway, "mc_stale_total");
    let mut asked = 0;
    for job in [real, unknown] {
        for token in [0, 1, 2, u64::MAX].map(FencingToken) {
            let reason = "because".to_owned();
            let cid = cid::of(cid::DAG_CBOR, b"no checkpoint");
            let (running, since_ms, position) = (true, u64::MAX, u64::MAX);
            for request in [
                Request::Heartbeat {
                    job,
                    token,
                    running,
                    since_ms,
                },
                Request::Finish {
                    job,
                    token,
                    ending: AttemptResult::Cancelled,
                },
                Request::Checkpoint {
                    job,
                    token,
                    cid,
                    position,
                },
                Request::Release { job, token, reason },
            ] {
                let answer = peer.ask(request.clone()).await;
                asked += 1;
                let refused = matches!(answer, Response::Stale | Response::Error { .. });
                assert!(refused, "{request:?}: {answer:?}");
            }
        }
    }
    let counted = metric(&gateway, "mc_stale_total") - before;
    assert!(counted > 0 && counted <= asked, "{counted} of {asked}");
    let job = gateway.succeeded(&id);
    assert_eq!(
        (&job["attempts"], &job["node"]),
        (&1.into(), &(*honest.id).into())
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_flood_of_messages_keeps_nobody_from_working() {
    let gateway = gateway();
    let _honest = worker(&gateway);
    let _another = worker(&gateway);
    let peer = Peer::of(&gateway).await;
    let long = submit(&gateway, "20000");
    let heartbeat = Request::Heartbeat {
        job: long.parse().unwrap(),
        token: FencingToken(1),
        running: true,
        since_ms: 0,
    };
    let floods = [heartbeat, Request::Announce(Announcement::default())];
    for n in 0..512 {
        let (client, to) = (peer.client.clone(), peer.gateway.clone());
        let request = floods[n % 2].clone();
        tokio::spawn(async move {
            loop {
                // Refusals are what is expected. Once the peer itself has ended there is no end otherwise: asking
                // it takes no time then.
                if let Err(RequestError::Closed) = client.request(&to, request.clone()).await {
                    return;
                }
            }
        });
    }
    tokio::time::sleep(Duration::from_secs(1)).await;
    for _ in 0..5 {
        let begun = Instant::now();
        let id = submit(&gateway, "1");
        assert_eq!(gateway.succeeded(&id)["state"], "succeeded");
        let took = begun.elapsed();
        assert!(took < Duration::from_secs(10), "{took:?}");
    }
    eventually("it is counted", Duration::from_secs(10), || {
        (metric(&gateway, "mc_stale_total") > 100).then_some(())
    });
}

/// What it made, in memory.
#[derive(Debug)]
struct Made(Arc<MemoryBlocks>);

impl BlockStore for Made {
    fn get(
        &self,
        cid: Cid,
    ) -> futures::future::BoxFuture<'static, Result<Option<bytes::Bytes>, StoreError>> {
        let made = Arc::clone(&self.0);
        Box::pin(async move { Ok(made.get(&cid).await.ok()) })
    }

    fn has(&self, cid: Cid) -> futures::future::BoxFuture<'static, Result<bool, StoreError>> {
        let made = Arc::clone(&self.0);
        Box::pin(async move { Ok(made.get(&cid).await.is_ok()) })
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_result_that_is_larger_than_its_task_may_make_is_not_fetched() {
    const MEBIBYTES: u8 = 240;
    let gateway = gateway();
    let made = MemoryBlocks::default();
    let bytes: Vec<u8> = (0..MEBIBYTES).flat_map(|n| vec![n; 1 << 20]).collect();
    let huge = unixfs::add_bytes(&bytes, &made).await.unwrap().cid;
    drop(bytes);
    let peer = Peer::with(&gateway, Arc::new(Made(Arc::new(made)))).await;
    let (client, to) = (peer.client.clone(), peer.gateway.clone());
    let (promised, mut promises) = mpsc::channel(64);
    peer.lend(move |inbound| {
        let (client, to, promised) = (client.clone(), to.clone(), promised.clone());
        async move {
            let Request::Offer { lease, job, .. } = inbound.request else {
                return;
            };
            inbound.reply.send(Response::Accepted);
            let (task, _) = canonical::encode(&job.task).unwrap();
            let finish = Request::Finish {
                job: lease.job,
                token: lease.token,
                ending: promise(task, huge),
            };
            tokio::spawn(async move {
                loop {
                    match client.request(&to, finish.clone()).await {
                        Ok(Response::Pending) => {
                            tokio::time::sleep(Duration::from_millis(50)).await
                        }
                        answer => return promised.send(answer.unwrap()).await.unwrap(),
                    }
                }
            });
        }
    });
    let component = guest("exit_zero").display().to_string();
    let limits = ["--output", "1MiB", "--scratch", "1MiB", "--files", "100"];
    let id = gateway.submit(limits.into_iter().chain([&*component]));
    promises.recv().await.unwrap();
    let honest = worker(&gateway);
    let job = gateway.succeeded(&id);
    assert_eq!(job["node"].as_str(), Some(&*honest.id), "{job:#}");
    let stored = gateway.mc(["fsck", "--format", "json"]).expect_code(0);
    let kept = stored.json()["bytes"].as_u64().unwrap() >> 20;
    // What each attempt of such a task may leave, and not all of what it was promised.
    let attempts = job["attempts"].as_u64().unwrap();
    assert!(kept < attempts * 72, "{kept} MiB, {job:#}");
    assert!(kept < u64::from(MEBIBYTES), "{kept} MiB");
}

/// Once, two seconds took five, and six took ten.
#[tokio::test(flavor = "multi_thread")]
async fn a_peer_that_promises_and_sends_nothing_keeps_nobody_longer_than_he_would_wait() {
    let gateway = gateway();
    let _peer = Peer::with(&gateway, Arc::new(Promises)).await;
    let cid = cid::of(cid::RAW, b"what is promised").to_string();
    for (timeout, most) in [("2s", 4), ("6s", 9)] {
        let begun = Instant::now();
        let done = gateway.mc(["cat", "--timeout", timeout, &cid]);
        let waited = begun.elapsed();
        assert_eq!(done.code, Some(66), "{done:#?}");
        assert!(waited < Duration::from_secs(most), "{timeout}: {waited:?}");
    }
}
