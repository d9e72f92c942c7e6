//! Moving a running job to a node that somebody chose.

use crate::support::scene::{Attempt, Scene, spec};
use mc_coordinator::Error;
use mc_types::NodeId;
use std::time::Duration;

/// By then the coordinator knows what workers lend.
const MOMENT: Duration = Duration::from_secs(5);

/// A job that one worker has, and two other workers.
async fn taken(scene: &Scene) -> (Attempt, [NodeId; 2]) {
    scene.add_worker(1);
    let job = scene.submit(spec(1)).await;
    let attempt = scene.taken(job).await;
    let others = [2, 3].map(|n| scene.add_worker(n));
    tokio::time::sleep(MOMENT).await;
    (attempt, others)
}

/// Somebody wants the job to go on at `to`.
async fn migrate(scene: &Scene, attempt: &Attempt, to: &NodeId) -> Result<(), Error> {
    let job = scene.stored(attempt.job);
    scene.coordinator().migrate(&job, to.clone()).await
}

#[tokio::test(start_paused = true)]
async fn job_goes_on_at_the_node_that_was_chosen() {
    let scene = Scene::new().await;
    let (attempt, [_, chosen]) = taken(&scene).await;
    migrate(&scene, &attempt, &chosen).await.unwrap();
    // The worker takes a checkpoint first; so it has the job still.
    assert_eq!(scene.taken(attempt.job).await, attempt);
    scene.release(&attempt).await;
    assert_eq!(scene.taken(attempt.job).await.worker, chosen);
}

#[tokio::test(start_paused = true)]
async fn job_does_not_move_to_a_node_that_nobody_knows() {
    let scene = Scene::new().await;
    let (attempt, _) = taken(&scene).await;
    let unknown = crate::support::node(50);
    let refused = migrate(&scene, &attempt, &unknown).await;
    assert!(matches!(refused, Err(Error::CannotMove(_))), "{refused:?}");
    assert_eq!(scene.taken(attempt.job).await, attempt);
}

#[tokio::test(start_paused = true)]
async fn job_that_is_to_move_to_its_own_node_stays() {
    let scene = Scene::new().await;
    let (attempt, _) = taken(&scene).await;
    migrate(&scene, &attempt, &attempt.worker).await.unwrap();
    let why = scene.coordinator().why(attempt.job).await.unwrap();
    assert_eq!(why.moving_to, None);
    assert_eq!(scene.taken(attempt.job).await, attempt);
}

#[tokio::test(start_paused = true)]
async fn job_that_is_moving_is_not_moved_elsewhere() {
    let scene = Scene::new().await;
    let (attempt, [first, second]) = taken(&scene).await;
    migrate(&scene, &attempt, &first).await.unwrap();
    let refused = migrate(&scene, &attempt, &second).await;
    assert!(
        matches!(&refused, Err(Error::Moving { to }) if *to == first),
        "{refused:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn job_that_has_ended_does_not_move() {
    let scene = Scene::new().await;
    let (attempt, [first, _]) = taken(&scene).await;
    scene.coordinator().cancel(attempt.job).await.unwrap();
    let refused = migrate(&scene, &attempt, &first).await;
    assert!(matches!(refused, Err(Error::NotRunning)), "{refused:?}");
}
