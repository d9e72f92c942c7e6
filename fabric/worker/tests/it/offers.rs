//! What is taken, and what is refused.

use crate::{
    network::node,
    world::{MEBIBYTE, SLOTS, World, caps, id, job, offer, token},
};
use mc_protocol::Response;
use mc_types::{ErrorCode, JobSpec, LogStream};
use mc_worker::Caps;
use std::time::Duration;

/// Why an offer is refused.
fn refusal(answer: Response) -> (ErrorCode, String) {
    match answer {
        Response::Refused { code, reason } => (code, reason),
        other => panic!("it is not refused: {other:?}"),
    }
}

#[tokio::test(start_paused = true)]
async fn an_offer_beyond_what_is_lent_is_refused_with_its_reason() {
    let world = World::lending(Caps {
        attempt: Some(Duration::from_secs(60)),
        ..caps()
    });
    let mut memory = job("waits");
    memory.task.limits.memory_bytes = 2_048 * MEBIBYTE;
    let mut output = job("waits");
    output.task.limits.output_bytes = 100 << 30;
    let mut scratch = job("waits");
    scratch.task.limits.scratch_bytes = 100 << 30;
    let mut time = job("waits");
    time.timeout_ms = Some(61_000);
    let asked: [(JobSpec, &str); 4] = [
        (memory, "the node lacks 2 GiB of memory"),
        (output, "the node lacks 100 GiB of output"),
        (scratch, "the node lacks 100 GiB of scratch"),
        (time, "for an attempt"),
    ];
    for (job, wanted) in asked {
        let (code, reason) = refusal(world.offer(1, job));
        assert_eq!(code, ErrorCode::Overloaded);
        assert!(reason.contains(wanted), "{reason}");
    }
    assert_eq!(world.free(), SLOTS);
    assert!(world.worker.known(id(1)).is_none());
    assert_eq!(world.worker.announcement().lent.free, caps().total);
}

#[tokio::test(start_paused = true)]
async fn two_attempts_of_60_percent_of_the_memory_never_run_together() {
    let world = World::new();
    let large = || {
        let mut job = job("waits");
        job.task.limits.memory_bytes = 600 * MEBIBYTE;
        job
    };
    assert_eq!(world.offer(1, large()), Response::Accepted);
    let lent = world.worker.announcement().lent;
    assert_eq!(lent.free.memory_bytes, 400 * MEBIBYTE);
    // Another coordinator knows nothing of the first attempt.
    let other = || world.worker.offer(node('B'), offer(2, large(), Vec::new()));
    let (code, reason) = refusal(other());
    assert_eq!(code, ErrorCode::Overloaded);
    assert!(reason.contains("memory"), "{reason}");
    // What is left is enough for a smaller one.
    world.begin(3, "waits");
    world.settle().await;
    world.cancel(1);
    world.until_free(SLOTS - 1).await;
    assert_eq!(other(), Response::Accepted);
    world.settle().await;
    world.cancel(3);
    world.until_free(SLOTS - 1).await;
    assert_eq!(world.tasks.most(), 2, "the small one and one of the others");
}

#[tokio::test(start_paused = true)]
async fn there_are_as_many_attempts_as_slots_and_one_of_each_job() {
    let world = World::new();
    for n in 1..=u64::from(SLOTS) {
        world.begin(n, "waits");
    }
    let (code, reason) = refusal(world.offer(9, job("waits")));
    assert_eq!((code, &*reason), (ErrorCode::Overloaded, "no slot is free"));
    world.cancel(1);
    world.until_free(1).await;
    let mut again = offer(2, job("waits"), Vec::new());
    again.lease.token = token(20);
    let (_, reason) = refusal(world.worker.offer(node('A'), again));
    assert!(reason.contains("an earlier attempt"), "{reason}");
}

#[tokio::test(start_paused = true)]
async fn an_offer_that_arrives_twice_runs_once() {
    let world = World::new();
    world.begin(1, "waits");
    world.begin(1, "waits");
    assert_eq!(world.free(), SLOTS - 1);
    world.cancel(1);
    world.until_free(SLOTS).await;
    // Even if the second one comes after the end.
    world.begin(1, "waits");
    assert_eq!((world.free(), world.tasks.most()), (SLOTS, 1));
}

#[tokio::test(start_paused = true)]
async fn what_an_attempt_writes_is_shown_to_its_coordinators_only() {
    let world = World::new();
    let answer = world
        .worker
        .offer(node('A'), offer(1, job("prints 3"), vec![node('B')]));
    assert_eq!(answer, Response::Accepted);
    let every = Duration::from_millis(10);
    let runs = |world: &World| world.tasks.running() == 1;
    world.until("it runs", every, runs).await;
    for letter in ['A', 'B', 'S'] {
        let from = node(letter);
        let log = world.worker.log(&from, id(1), LogStream::Stdout, 1).await;
        match log {
            Response::Log { bytes } if letter != 'S' => assert_eq!(&*bytes, b"xx"),
            Response::Error { code, .. } if letter == 'S' => assert_eq!(code, ErrorCode::NotFound),
            other => panic!("{letter}: {other:?}"),
        }
    }
}
