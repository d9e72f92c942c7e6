//! What coordinators have done with attempts.

use crate::{
    network::{Network, node},
    world::{SLOTS, World, id, job, offer, token},
};
use mc_protocol::Response;
use mc_types::{AttemptResult, ErrorCode};
use std::time::Duration;

fn is_refused(answer: &Response) -> bool {
    matches!(
        answer,
        Response::Refused {
            code: ErrorCode::CannotStop,
            ..
        }
    )
}

#[tokio::test(start_paused = true)]
async fn cancel_and_stop_reach_only_the_attempt_of_the_token_and_only_from_its_coordinators() {
    let world = World::new();
    let (granting, replica, stranger) = (node('A'), node('B'), node('S'));
    let offer = offer(1, job("waits"), vec![replica.clone()]);
    assert_eq!(
        world.worker.offer(granting.clone(), offer),
        Response::Accepted
    );
    world.begin(2, "waits");
    world.settle().await;
    let worker = &world.worker;
    // Neither a stranger, nor another token, nor the token of another job.
    for (node, job, token) in [
        (&stranger, id(1), token(1)),
        (&granting, id(1), token(2)),
        (&granting, id(9), token(1)),
    ] {
        assert_eq!(worker.cancel(node, job, token), Response::Ok);
        for leave in [false, true] {
            assert!(is_refused(&worker.stop(node, job, token, leave)));
        }
    }
    world.settle().await;
    assert_eq!(
        (world.free(), world.network.count("checkpoint")),
        (SLOTS - 2, 0)
    );
    // A replica has a checkpoint taken, and the attempt goes on.
    assert_eq!(worker.stop(&replica, id(1), token(1), false), Response::Ok);
    let is_taken = |network: &Network| network.count("checkpoint") == 1;
    world.network.until("a checkpoint is taken", is_taken).await;
    world.settle().await;
    assert_eq!(world.free(), SLOTS - 2);
    // Then it has it leave.
    assert_eq!(worker.stop(&replica, id(1), token(1), true), Response::Ok);
    world.until_free(SLOTS - 1).await;
    let is_back = |network: &Network| network.count("release") == 1;
    world
        .network
        .until("the lease is given back", is_back)
        .await;
    assert_eq!(world.network.count("checkpoint"), 2);
    // The other attempt is called off by the node that granted it.
    assert_eq!(world.tasks.running(), 1);
    world.cancel(2);
    assert_eq!(
        world.network.finished(id(2)).await,
        AttemptResult::Cancelled
    );
    world.until_free(SLOTS).await;
    assert_eq!(world.network.finish(id(1)), None);
}

#[tokio::test(start_paused = true)]
async fn what_cannot_be_stopped_says_so_and_goes_on() {
    let world = World::new();
    world.begin(1, "stays");
    world.settle().await;
    for leave in [false, true] {
        let answer = world.worker.stop(&node('A'), id(1), token(1), leave);
        assert!(is_refused(&answer), "{answer:?}");
    }
    world.settle().await;
    assert_eq!((world.free(), world.tasks.running()), (SLOTS - 1, 1));
}

#[tokio::test(start_paused = true)]
async fn a_node_that_goes_down_takes_nothing_more_and_gives_its_leases_back() {
    let world = World::new();
    world.begin(1, "waits");
    world.begin(2, "stays");
    world.settle().await;
    world.worker.shutdown(Duration::from_secs(2)).await;
    assert_eq!((world.free(), world.tasks.running()), (0, 0));
    let counts = ["release", "checkpoint"].map(|kind| world.network.count(kind));
    assert_eq!(counts, [2, 1], "one of them could be stopped");
    assert!(matches!(
        world.offer(3, job("ends")),
        Response::Refused {
            code: ErrorCode::Infrastructure,
            ..
        }
    ));
}
