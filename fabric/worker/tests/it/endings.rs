//! What becomes of how attempts ended.

use crate::{
    network::{Manner, Network, TTL, node},
    tasks::PANIC,
    world::{SLOTS, World, id, job, offer, token},
};
use mc_protocol::Response;
use mc_types::{AttemptResult, ErrorCode, FailureReason};
use mc_worker::{PIN_PREFIX, Stage};
use std::{collections::BTreeSet, sync::atomic::Ordering, time::Duration};
use tokio::time::Instant;

const SOON: Duration = Duration::from_millis(10);

/// An attempt of job 1 has ended, and its coordinator, node A, has not heard of it: all is on disk, and in the DHT.
async fn unheard(world: &World) {
    world.network.set(node('A'), Manner::Silent);
    world.begin(1, "ends");
    let is_public = |world: &World| world.published.jobs() == [id(1)];
    world.until("it is in the DHT", SOON, is_public).await;
    assert_eq!((world.kept().len(), world.free()), (1, SLOTS));
    let pins = world.content.pins();
    assert!(pins.len() == 1 && pins.iter().all(|pin| pin.starts_with(PIN_PREFIX)));
}

#[tokio::test(start_paused = true)]
async fn an_ending_is_said_again_until_a_coordinator_takes_it() {
    let world = World::new();
    unheard(&world).await;
    let often = |network: &Network| network.count("finish") > 10;
    world.network.until("it is said again", often).await;
    assert_eq!(world.worker.unacknowledged(), 1);
    let stage = world.worker.known(id(1)).unwrap().stage;
    let is_recorded = |stage: &Stage| {
        matches!(
            stage,
            Stage::Ended {
                is_recorded: true,
                ..
            }
        )
    };
    assert!(!is_recorded(&stage), "{stage:?}");
    world.network.set(node('A'), Manner::Takes);
    world.until_acknowledged().await;
    let stage = world.worker.known(id(1)).unwrap().stage;
    assert!(is_recorded(&stage), "{stage:?}");
    assert_eq!(world.worker.counts().recorded.load(Ordering::Relaxed), 1);
}

#[tokio::test(start_paused = true)]
async fn an_ending_is_said_again_after_a_restart_and_to_a_replica() {
    let world = World::new();
    world.network.set(node('A'), Manner::Silent);
    world.network.set(node('B'), Manner::Silent);
    let offer = offer(1, job("ends"), vec![node('B')]);
    assert_eq!(world.worker.offer(node('A'), offer), Response::Accepted);
    let is_public = |world: &World| !world.published.jobs().is_empty();
    world.until("it is in the DHT", SOON, is_public).await;
    let world = world.restart().await;
    assert_eq!(world.kept().len(), 1);
    let before = world.network.asked().len();
    let undelivered = world.worker.resume();
    assert_eq!(undelivered, BTreeSet::from([(id(1), token(1))]));
    let is_said = |network: &Network| network.kinds_since(before).len() > 3;
    world.network.until("it is said again", is_said).await;
    assert!(matches!(
        world.worker.known(id(1)).unwrap().stage,
        Stage::Ended { .. }
    ));
    world.network.set(node('B'), Manner::Takes);
    world.until_acknowledged().await;
    let (asked, ending) = world.network.finish(id(1)).unwrap();
    assert_eq!(asked, node('B'));
    assert!(matches!(ending, AttemptResult::Completed(_)), "{ending:?}");
}

/// A replica that has taken the job over would grant it again.
#[tokio::test(start_paused = true)]
async fn an_ending_reaches_a_replica_within_a_term_while_its_coordinator_stands_still() {
    let world = World::new();
    world.network.set(node('A'), Manner::StandsStill);
    let offer = offer(1, job("ends"), vec![node('B')]);
    let begun = Instant::now();
    assert_eq!(world.worker.offer(node('A'), offer), Response::Accepted);
    let is_told = |network: &Network| {
        let told = network.finish(id(1));
        told.is_some_and(|(asked, _)| asked == node('B'))
    };
    world.network.until("the replica is told", is_told).await;
    assert!(begun.elapsed() < TTL, "{:?}", begun.elapsed());
}

#[tokio::test(start_paused = true)]
async fn an_ending_that_a_coordinator_was_about_to_take_survives_a_node_that_goes_down() {
    let world = World::new();
    world.network.set(node('A'), Manner::Fetching);
    world.begin(1, "ends");
    world.network.finished(id(1)).await;
    assert!(world.kept().is_empty(), "it is heard");
    world.worker.shutdown(Duration::from_secs(2)).await;
    assert_eq!(world.kept().len(), 1);
    let world = world.restart().await;
    assert_eq!(world.worker.resume().len(), 1);
    world.network.set(node('A'), Manner::Takes);
    world.until_acknowledged().await;
}

#[tokio::test(start_paused = true)]
async fn an_ending_that_is_another_ones_by_now_is_forgotten() {
    let world = World::new();
    unheard(&world).await;
    world.network.set(node('A'), Manner::Stale);
    world.until_acknowledged().await;
    assert!(world.worker.known(id(1)).is_none());
    let counts = world.worker.counts();
    let all = [&counts.recorded, &counts.refused].map(|count| count.load(Ordering::Relaxed));
    assert_eq!(all, [0, 1]);
}

#[tokio::test(start_paused = true)]
async fn an_ending_that_nobody_hears_is_given_up_after_a_day() {
    let world = World::new();
    let begun = Instant::now();
    unheard(&world).await;
    let is_over = |world: &World| world.worker.unacknowledged() == 0;
    let often = Duration::from_secs(60);
    world.until("it is given up", often, is_over).await;
    let hours = begun.elapsed().as_secs() / 3600;
    assert_eq!(hours, 24);
    assert_eq!(
        world.published.jobs().len(),
        4,
        "as long as it may be found"
    );
    assert_eq!((world.kept(), world.content.pins()), (vec![], vec![]));
}

#[tokio::test(start_paused = true)]
async fn a_coordinator_that_comes_back_is_told_at_once() {
    let world = World::new();
    unheard(&world).await;
    tokio::time::sleep(Duration::from_secs(3600)).await;
    world.network.set(node('A'), Manner::Takes);
    let back = Instant::now();
    world.worker.met(node('B'));
    world.worker.met(node('A'));
    world.until_acknowledged().await;
    assert!(
        back.elapsed() < Duration::from_secs(1),
        "{:?}",
        back.elapsed()
    );
}

#[tokio::test(start_paused = true)]
async fn a_coordinator_that_takes_no_ending_gets_no_more_work_done_until_it_does() {
    let world = World::new();
    world.content.dag_bytes.store(4 << 30, Ordering::Relaxed);
    unheard(&world).await;
    match world.offer(2, job("waits")) {
        Response::Refused { code, reason } => {
            assert_eq!(code, ErrorCode::Overloaded);
            assert!(reason.contains("waits for this coordinator"), "{reason}");
        }
        other => panic!("{other:?}"),
    }
    let other = world
        .worker
        .offer(node('B'), offer(3, job("waits"), Vec::new()));
    assert_eq!(other, Response::Accepted);
    world.network.set(node('A'), Manner::Takes);
    world.until_acknowledged().await;
    world.begin(2, "waits");
}

#[tokio::test(start_paused = true)]
async fn what_panics_in_an_executor_is_told_as_infrastructure_and_frees_its_slot() {
    let world = World::new();
    world.begin(1, "panics");
    let ending = world.network.finished(id(1)).await;
    let AttemptResult::Failed(FailureReason::Infrastructure { code, message }) = ending else {
        panic!("{ending:?}");
    };
    assert_eq!(code, None);
    assert!(message.contains(PANIC), "{message}");
    world.until_free(SLOTS).await;
    world.until_acknowledged().await;
    assert_eq!(world.supervisor.panics(), 1);
    assert!(world.supervisor.failure().is_none(), "the node goes on");
    world.begin(2, "ends");
}
