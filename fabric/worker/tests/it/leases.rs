//! What renews leases, and what becomes of attempts that lose theirs.

use crate::{
    network::{Manner, Network, PATIENCE, TTL, node},
    tasks::checkpoint,
    world::{SILENT_TERMS, SLOTS, World, caps, id},
};
use mc_protocol::Request;
use mc_types::AttemptResult;
use mc_worker::{Caps, Stage};
use std::time::Duration;
use tokio::time::Instant;

#[tokio::test(start_paused = true)]
async fn a_lease_is_renewed_three_times_a_term() {
    let world = World::new();
    world.begin(1, "waits");
    tokio::time::sleep(TTL * 4).await;
    let beats = world.network.count("heartbeat");
    // One of them is out of turn, and says that the task has begun.
    assert!((12..=14).contains(&beats), "{beats}");
    let asked = world.network.asked();
    let last = asked
        .iter()
        .rev()
        .find(|(_, request)| request.kind() == "heartbeat");
    let (
        of,
        Request::Heartbeat {
            running, since_ms, ..
        },
    ) = last.unwrap()
    else {
        panic!("{last:?}");
    };
    assert!(
        *of == node('A') && *running && *since_ms > 50_000,
        "{last:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn a_lease_that_is_lost_ends_the_attempt() {
    let world = World::new();
    world.begin(1, "waits");
    tokio::time::sleep(TTL).await;
    assert_eq!(world.free(), SLOTS - 1);
    world.network.set(node('A'), Manner::Stale);
    world.until_free(SLOTS).await;
    assert_eq!(world.tasks.running(), 0);
    let is_told = |network: &Network| network.count("wrote") == 1;
    world.network.until("what it wrote is told", is_told).await;
    tokio::time::sleep(PATIENCE).await;
    // The attempt is another's: nothing else is said of it.
    let counts = ["finish", "release"].map(|kind| world.network.count(kind));
    assert_eq!((counts, world.network.count("wrote")), ([0, 0], 1));
    assert!(world.worker.known(id(1)).is_none());
    assert_eq!(world.worker.unacknowledged(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_job_that_was_called_off_ends_as_such() {
    let world = World::new();
    world.begin(1, "waits");
    world.network.set(node('A'), Manner::Cancelled);
    assert_eq!(
        world.network.finished(id(1)).await,
        AttemptResult::Cancelled
    );
    world.until_free(SLOTS).await;
    world.until_acknowledged().await;
}

#[tokio::test(start_paused = true)]
async fn coordinators_that_are_silent_for_too_long_are_left_a_checkpoint() {
    let world = World::new();
    world.begin(1, "waits");
    tokio::time::sleep(TTL).await;
    world.network.set(node('A'), Manner::Silent);
    let silent = Instant::now();
    world.until_free(SLOTS).await;
    let patience = TTL * SILENT_TERMS;
    let waited = silent.elapsed();
    assert!(
        waited >= patience - TTL && waited <= patience + TTL,
        "{waited:?}"
    );
    let stage = world.worker.known(id(1)).unwrap().stage;
    assert!(
        matches!(stage, Stage::Left { was_killed: false }),
        "{stage:?}"
    );
    let is_kept = |world: &World| world.kept().len() == 1;
    let often = Duration::from_millis(10);
    world.until("it is kept", often, is_kept).await;
    let world = world.restart().await;
    let heard = world.network.asked().len();
    assert_eq!(world.worker.resume().len(), 1);
    world.network.set(node('A'), Manner::Takes);
    world.until_acknowledged().await;
    // The lease is given back only when the checkpoint has been taken.
    let mut said = world.network.kinds_since(heard);
    said.dedup();
    assert_eq!(said, ["wrote", "checkpoint", "release"]);
}

#[tokio::test(start_paused = true)]
async fn an_attempt_that_takes_longer_than_the_node_lets_it_gives_its_lease_back() {
    let longest = Duration::from_secs(60);
    let world = World::lending(Caps {
        attempt: Some(longest),
        ..caps()
    });
    let begun = Instant::now();
    world.begin(1, "waits");
    world.until_free(SLOTS).await;
    assert!(begun.elapsed() >= longest);
    let is_back = |network: &Network| network.count("release") == 1;
    world.network.until("it is given back", is_back).await;
    let asked = world.network.asked();
    let taken = asked.iter().find_map(|(_, request)| match request {
        Request::Checkpoint { cid, .. } => Some(*cid),
        _ => None,
    });
    assert_eq!(taken, Some(checkpoint()));
}

#[tokio::test(start_paused = true)]
async fn what_cannot_be_stopped_fails_when_it_takes_too_long() {
    let world = World::lending(Caps {
        attempt: Some(Duration::from_secs(60)),
        ..caps()
    });
    world.begin(1, "stays");
    let ending = world.network.finished(id(1)).await;
    assert!(matches!(ending, AttemptResult::Failed(_)), "{ending:?}");
    world.until_free(SLOTS).await;
}
