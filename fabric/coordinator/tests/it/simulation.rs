//! Seeded failures of all that a coordinator works over, with two coordinators on one store of jobs: one that is killed is
//! succeeded by the other, one that stands still goes on as if nothing had happened. Time is tokio's, which passes only
//! while nothing can be done, on one thread.
//!
//! `MC_SEEDS=FROM..TO` asks for other seeds than those of every test run.

use crate::support::{
    lock, node, process, worker,
    world::{TROUBLE, World},
};
use mc_coordinator::pins;
use mc_supervision::Supervisor;
use mc_types::{Cid, Clock, JobId, JobRecord, JobSpec, JobState, NodeId, TaskSpec, cid};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};
use tokio_util::sync::CancellationToken;

const SEEDS: std::ops::Range<u64> = 0..200;
const WORKERS: u32 = 4;
const JOBS: u32 = 14;
/// Within this time jobs are handed in.
const HAND_IN_WITHIN: u64 = 30_000;
/// How long all jobs may take to end.
const PATIENCE: Duration = Duration::from_secs(900);
/// How long somebody who hands a job in waits for an answer.
const ANSWER_WITHIN: Duration = Duration::from_secs(10);
/// Between two times when something breaks, or is looked at.
const STEP: Duration = Duration::from_millis(500);
/// With one of so many seeds, a coordinator that was killed does not come back.
const FOR_GOOD_ONE_OF: u64 = 4;
/// What must have happened in some of the runs: a simulation in which nothing goes wrong proves nothing.
const MUST_HAPPEN: &[&str] = &[
    "checkpoints",
    "content that did not arrive",
    "content that was refused",
    "coordinators that were killed",
    "endings that came too late",
    "logs",
    "take-overs",
    "workers that died",
    "writes that came through and seemed to fail",
    "writes that were refused",
];

/// Hands a job in, again and again, until it is acknowledged.
async fn hand_in(world: Arc<World>, n: u32) {
    tokio::time::sleep(world.random.millis(HAND_IN_WITHIN)).await;
    let component = cid::of(cid::RAW, format!("component {}", n % 3).as_bytes());
    let task = TaskSpec::wasm(component).with_args([n.to_string()]);
    let spec = JobSpec {
        retries: 100,
        submitter: (n % 3).to_string(),
        ..JobSpec::new(task)
    };
    let id = JobId::new(world.clock.now(), u128::from(n));
    loop {
        if let Some(gateway) = world.random.one_of(&world.coordinators()) {
            // Users bring along what their tasks need.
            world.holdings.add(&gateway, component, &[]);
            let coordinator = lock(&world.lives)
                .get(&gateway)
                .map(|life| life.coordinator.clone());
            if let Some(coordinator) = coordinator {
                let handed_in = coordinator.submit(Some(id), spec.clone());
                let answer = tokio::time::timeout(ANSWER_WITHIN, handed_in).await;
                if matches!(answer, Ok(Ok(_))) {
                    break;
                }
            }
        }
        tokio::time::sleep(world.random.millis(1_500)).await;
    }
    if world.database.job(id).is_none() {
        world.violated(format!("job {id} was acknowledged and is nowhere"));
    }
    lock(&world.acknowledged).insert(id);
}

/// A worker dies, and comes back.
async fn lose_worker(world: Arc<World>, node: NodeId) {
    worker::die(&world, &node);
    for gateway in world.coordinators() {
        let coordinator = lock(&world.lives)
            .get(&gateway)
            .map(|life| life.coordinator.clone());
        if let Some(coordinator) = coordinator
            && world.random.chance(80)
        {
            // Otherwise it is noticed only by its silence.
            let gone = coordinator.gone(node.clone());
            let _ = tokio::time::timeout(ANSWER_WITHIN, gone).await;
        }
    }
    tokio::time::sleep(world.random.millis(15_000)).await;
    worker::come_up(&world, &node);
}

/// A coordinator is killed or told to stop, and comes back unless that is for good.
async fn lose_coordinator(world: Arc<World>, node: NodeId, in_order: bool) {
    match in_order {
        true => process::stop(&world, &node).await,
        false => process::kill(&world, &node),
    }
    let is_for_good =
        world.seed.is_multiple_of(FOR_GOOD_ONE_OF) && process::all().first() == Some(&node);
    if !is_for_good {
        tokio::time::sleep(world.random.millis(20_000)).await;
        process::start(&world, &node).await;
    }
}

/// Somebody calls a job off.
async fn call_off(world: Arc<World>) {
    let jobs: Vec<JobId> = lock(&world.acknowledged).iter().copied().collect();
    let gateway = world.random.one_of(&world.coordinators());
    let (Some(job), Some(gateway)) = (world.random.one_of(&jobs), gateway) else {
        return;
    };
    let coordinator = lock(&world.lives)
        .get(&gateway)
        .map(|life| life.coordinator.clone());
    if let Some(coordinator) = coordinator {
        lock(&world.called_off).insert(job);
        // Whether or not it was done: users look at the job.
        let _ = tokio::time::timeout(ANSWER_WITHIN, coordinator.cancel(job)).await;
    }
}

/// One thing goes wrong, or none.
fn break_something(world: &Arc<World>) {
    let tasks = &world.tasks;
    let gateway = world.random.one_of(&world.coordinators());
    if world.random.chance(5)
        && let Some(worker) = world.random.one_of(&world.workers())
    {
        tasks.serve("loss of a worker", lose_worker(Arc::clone(world), worker));
    }
    if world.random.chance(3) {
        let time = world.random.millis(8_000);
        world.database.go_away(time);
    }
    if world.random.chance(2) {
        tasks.serve("call off", call_off(Arc::clone(world)));
    }
    let Some(gateway) = gateway else {
        return;
    };
    match world.random.below(100) {
        0..10 => world.holdings.collect_garbage(&gateway),
        10..13 => {
            if let Some(life) = lock(&world.lives).get(&gateway) {
                life.process.stand_still(world.random.millis(15_000));
            }
        }
        13..16 => {
            let in_order = world.random.chance(30);
            let lost = lose_coordinator(Arc::clone(world), gateway, in_order);
            tasks.serve("loss of a coordinator", lost);
        }
        _ => {}
    }
}

/// Whether all jobs were acknowledged and have ended.
fn is_done(world: &World) -> bool {
    let rows = lock(&world.database.rows);
    let acknowledged = lock(&world.acknowledged);
    let has_ended = |job: &JobId| {
        let row = rows.jobs.get(job);
        row.is_some_and(|row| row.record.ending.is_some())
    };
    acknowledged.len() == usize::try_from(JOBS).unwrap_or_default()
        && acknowledged.iter().all(has_ended)
}

/// What must hold of the jobs in the end.
fn check_jobs(world: &World) {
    let acknowledged = lock(&world.acknowledged).clone();
    let called_off = lock(&world.called_off).clone();
    for job in acknowledged {
        let Some(row) = world.database.job(job) else {
            world.violated(format!("job {job} is lost"));
            continue;
        };
        let is_right = match row.record.state {
            JobState::Succeeded => true,
            JobState::Cancelled => called_off.contains(&job),
            // With retries left, all succeed.
            _ => false,
        };
        if !is_right {
            world.violated(format!("job {job} ended otherwise: {:?}", row.record));
        }
    }
}

/// What a coordinator has to keep of a job that has ended, and may.
fn kept(job: &JobRecord) -> (String, Cid) {
    let name = format!("{}{}", pins::JOB, job.id);
    let result = job.completion();
    let root = result.map_or(job.task_cid, |completion| completion.outcome_cid);
    (name, root)
}

/// Each coordinator keeps what its jobs came to, and nothing else.
fn check_pins(world: &World) {
    let rows = lock(&world.database.rows);
    for node in process::all() {
        let mut pins = world.holdings.pins(&node);
        for row in rows.jobs.values().filter(|row| row.owner == node) {
            let (name, root) = kept(&row.record);
            let pinned = pins.remove(&name);
            let is_whole = world.holdings.has_all(&node, root);
            let has_result = row.record.completion().is_some();
            if has_result && !(pinned == Some(root) && is_whole) {
                world.violated(format!("the result of job {} is not kept", row.record.id));
            }
            if pinned.is_some_and(|pinned| pinned != root) {
                world.violated(format!("{name} keeps what nobody needs"));
            }
        }
        let of_logs = rows.logs.keys().flat_map(|(job, token)| {
            let streams = ["stdout", "stderr"];
            streams.map(|stream| format!("{}{job}/{token}/{stream}", pins::LOG))
        });
        let of_logs: BTreeSet<String> = of_logs.collect();
        pins.retain(|name, _| !of_logs.contains(name));
        if !pins.is_empty() {
            world.violated(format!("{node} keeps what nobody needs: {pins:?}"));
        }
    }
    if !rows.checkpoints.is_empty() {
        world.violated("there are checkpoints of jobs that have ended".to_owned());
    }
}

/// Stops all coordinators and starts them, twice: what one of them forgets late, the other may have kept until then.
async fn restart(world: &Arc<World>) {
    for _ in 0..2 {
        for node in process::all() {
            process::stop(world, &node).await;
        }
        for node in process::all() {
            process::start(world, &node).await;
        }
    }
    for node in process::all() {
        process::stop(world, &node).await;
    }
}

/// One run, from its beginning to its end.
async fn run(seed: u64) -> (Vec<String>, BTreeMap<&'static str, u64>) {
    let stopping = CancellationToken::new();
    let tasks = Supervisor::new(stopping.clone());
    let world = World::troubled(seed, tasks.clone());
    for node in process::all() {
        process::start(&world, &node).await;
    }
    for n in 0..WORKERS {
        worker::come_up(&world, &node(n));
        tasks.serve("worker", worker::chatter(Arc::clone(&world), node(n)));
    }
    for n in 0..JOBS {
        tasks.serve("user", hand_in(Arc::clone(&world), n));
    }
    while !is_done(&world) || world.is_troubled() {
        tokio::time::sleep(STEP).await;
        if world.is_troubled() {
            break_something(&world);
        }
        if world.elapsed() > PATIENCE {
            world.violated("some jobs never end".to_owned());
            break;
        }
    }
    check_jobs(&world);
    // Coordinators that come back do so before all are started anew.
    tokio::time::sleep(TROUBLE).await;
    stopping.cancel();
    tasks.join().await;
    restart(&world).await;
    check_pins(&world);
    if tasks.panics() > 0 {
        world.violated("the simulation itself failed".to_owned());
    }
    (world.violations(), world.counts())
}

/// The seeds that are asked for.
#[expect(
    clippy::disallowed_methods,
    reason = "how long a test takes is no configuration"
)]
fn seeds() -> std::ops::Range<u64> {
    let asked = std::env::var("MC_SEEDS").ok();
    let asked = asked.and_then(|asked| {
        let (from, to) = asked.split_once("..")?;
        Some(from.parse().ok()?..to.parse().ok()?)
    });
    asked.unwrap_or(SEEDS)
}

#[test]
fn no_job_is_lost_and_each_ends_once_whatever_fails() {
    let mut happened = BTreeMap::new();
    for seed in seeds() {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .start_paused(true)
            .build()
            .unwrap();
        let (violations, counts) = runtime.block_on(run(seed));
        assert!(violations.is_empty(), "seed {seed}: {violations:#?}");
        for (what, times) in counts {
            *happened.entry(what).or_insert(0_u64) += times;
        }
    }
    // One seed alone need not have everything.
    if seeds() == SEEDS {
        for what in MUST_HAPPEN {
            assert!(happened.contains_key(what), "no {what}: {happened:?}");
        }
    }
}
