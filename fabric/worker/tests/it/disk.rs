//! What becomes of attempts that find no room on the disk.

use crate::world::{SLOTS, World, id};
use mc_types::{AttemptResult, ErrorCode, FailureReason};
use std::time::Duration;

/// Long enough for what is printed to be counted.
const COUNTED: Duration = Duration::from_secs(3);

/// By which code an attempt failed as by the machine.
async fn code(world: &World, n: u64) -> Option<ErrorCode> {
    match world.network.finished(id(n)).await {
        AttemptResult::Failed(FailureReason::Infrastructure { code, .. }) => code,
        other => panic!("{other:?}"),
    }
}

/// `hog` takes most of the disk, and goes on. What `honest` takes would be there without it.
async fn is_crowded_out_and_runs_later(hog: &str, honest: &str) {
    let world = World::new();
    world.begin(1, hog);
    tokio::time::sleep(COUNTED).await;
    world.begin(2, honest);
    assert_eq!(code(&world, 2).await, Some(ErrorCode::Overloaded));
    assert_eq!((world.free(), world.tasks.running()), (SLOTS - 1, 1));
    // What the first one had is there again when it has ended, and what the second one had, too.
    world.cancel(1);
    world.until_free(SLOTS).await;
    for n in [3, 4] {
        world.begin(n, honest);
        tokio::time::sleep(COUNTED).await;
        assert_eq!(world.tasks.running(), 1);
        world.cancel(n);
        world.until_free(SLOTS).await;
    }
}

#[tokio::test(start_paused = true)]
async fn an_attempt_that_others_left_no_room_for_what_it_prints_has_not_failed() {
    is_crowded_out_and_runs_later("prints 101376", "prints 10240").await;
}

#[tokio::test(start_paused = true)]
async fn an_attempt_that_others_left_no_room_for_its_files_has_not_failed() {
    is_crowded_out_and_runs_later("fills 3", "fills 2").await;
}

#[tokio::test(start_paused = true)]
async fn an_attempt_that_takes_more_than_there_is_has_failed() {
    let world = World::new();
    for (n, says) in [(1, "prints 102401"), (2, "fills 5")] {
        world.begin(n, says);
        assert_eq!(code(&world, n).await, None, "{says}");
        world.until_free(SLOTS).await;
    }
}
