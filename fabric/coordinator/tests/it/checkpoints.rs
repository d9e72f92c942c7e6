//! Checkpoints: which are kept, for how long, and what is said to who asks for one.

use crate::support::scene::{Attempt, Scene, spec};
use mc_coordinator::{Error, pins};
use mc_protocol::Response;
use mc_types::{Cid, JobId, JobRecord, cid};
use std::time::Duration;
use tokio::time::Instant;

const SECOND: Duration = Duration::from_secs(1);

/// A worker reports a checkpoint.
async fn take(scene: &Scene, attempt: &Attempt, position: u64) -> (Cid, Response) {
    let cid = scene.block(attempt, &format!("checkpoint {position}"));
    let (worker, job, token) = (attempt.worker.clone(), attempt.job, attempt.token);
    let coordinator = scene.coordinator();
    let kept = coordinator.keep_checkpoint(worker, job, token, cid, position);
    let answer = kept.await;
    (cid, answer)
}

/// The positions of the checkpoints that there are, newest first.
async fn positions(scene: &Scene, job: JobId) -> Vec<u64> {
    let checkpoints = scene.coordinator().checkpoints(job).await.unwrap();
    let positions = checkpoints.iter().map(|checkpoint| checkpoint.position);
    positions.collect()
}

/// A job that a worker has.
async fn taken(scene: &Scene) -> (JobRecord, Attempt) {
    scene.add_worker(1);
    let job = scene.submit(spec(1)).await;
    let attempt = scene.taken(job).await;
    (scene.stored(job), attempt)
}

#[tokio::test(start_paused = true)]
async fn two_newest_checkpoints_are_kept_and_nothing_else_is_pinned() {
    let scene = Scene::new().await;
    let (job, attempt) = taken(&scene).await;
    let mut cids = Vec::new();
    for position in 1..=4 {
        let (cid, answer) = take(&scene, &attempt, position).await;
        assert_eq!(answer, Response::Recorded);
        cids.push(cid);
    }
    assert_eq!(positions(&scene, job.id).await, [4, 3]);
    let pinned: Vec<Cid> = scene.pins_of(pins::CHECKPOINT).into_values().collect();
    assert_eq!(pinned, cids.split_off(2));
}

#[tokio::test(start_paused = true)]
async fn checkpoint_that_cannot_be_fetched_does_not_exist() {
    let scene = Scene::new().await;
    let (job, attempt) = taken(&scene).await;
    let nowhere = cid::of(cid::RAW, b"nowhere");
    let (worker, token) = (attempt.worker.clone(), attempt.token);
    let coordinator = scene.coordinator();
    let kept = coordinator.keep_checkpoint(worker, job.id, token, nowhere, 1);
    let answer = kept.await;
    assert!(matches!(answer, Response::Error { .. }), "{answer:?}");
    assert!(positions(&scene, job.id).await.is_empty());
    assert!(scene.pins_of(pins::CHECKPOINT).is_empty());
}

#[tokio::test(start_paused = true)]
async fn checkpoint_of_an_attempt_that_lost_its_lease_is_stale() {
    let scene = Scene::new().await;
    let (job, first) = taken(&scene).await;
    scene.release(&first).await;
    scene.taken(job.id).await;
    let (_, answer) = take(&scene, &first, 1).await;
    assert_eq!(answer, Response::Stale);
    assert!(positions(&scene, job.id).await.is_empty());
    assert!(scene.pins_of(pins::CHECKPOINT).is_empty());
}

#[tokio::test(start_paused = true)]
async fn checkpoints_are_forgotten_when_the_job_ends() {
    let scene = Scene::new().await;
    let (job, attempt) = taken(&scene).await;
    take(&scene, &attempt, 1).await;
    let completion = scene.completion(&attempt);
    assert_eq!(
        scene.finish(&attempt, &completion).await,
        Response::Recorded
    );
    tokio::time::sleep(SECOND).await;
    assert!(positions(&scene, job.id).await.is_empty());
    assert!(scene.pins_of(pins::CHECKPOINT).is_empty());
}

#[tokio::test(start_paused = true)]
async fn who_asks_for_a_checkpoint_gets_the_next_one() {
    let scene = Scene::new().await;
    let (job, attempt) = taken(&scene).await;
    take(&scene, &attempt, 1).await;
    let coordinator = scene.coordinator();
    let next = async {
        tokio::time::sleep(SECOND).await;
        take(&scene, &attempt, 2).await
    };
    let (checkpoint, (cid, _)) = tokio::join!(coordinator.checkpoint_now(&job), next);
    assert_eq!(checkpoint.unwrap().cid, cid);
}

#[tokio::test(start_paused = true)]
async fn who_asks_for_a_checkpoint_gets_that_of_an_attempt_that_began_anew() {
    let scene = Scene::new().await;
    let (job, first) = taken(&scene).await;
    take(&scene, &first, 10).await;
    scene.release(&first).await;
    let second = scene.taken(job.id).await;
    let (job, coordinator) = (scene.stored(job.id), scene.coordinator());
    let next = async {
        tokio::time::sleep(SECOND).await;
        take(&scene, &second, 4).await
    };
    let (checkpoint, (cid, _)) = tokio::join!(coordinator.checkpoint_now(&job), next);
    assert_eq!(checkpoint.unwrap().cid, cid);
    assert_eq!(positions(&scene, job.id).await, [4]);
}

#[tokio::test(start_paused = true)]
async fn who_asks_for_a_checkpoint_of_a_job_that_ends_is_told_at_once() {
    let scene = Scene::new().await;
    let (job, attempt) = taken(&scene).await;
    let completion = scene.completion(&attempt);
    let coordinator = scene.coordinator();
    let end = async {
        tokio::time::sleep(SECOND).await;
        scene.finish(&attempt, &completion).await
    };
    let asked = Instant::now();
    let (checkpoint, _) = tokio::join!(coordinator.checkpoint_now(&job), end);
    assert!(
        matches!(checkpoint, Err(Error::NotRunning)),
        "{checkpoint:?}"
    );
    assert!(asked.elapsed() < 2 * SECOND, "{:?}", asked.elapsed());
}

#[tokio::test(start_paused = true)]
async fn who_asks_for_a_checkpoint_that_does_not_come_is_told_after_half_a_minute() {
    let scene = Scene::new().await;
    let (job, _) = taken(&scene).await;
    let asked = Instant::now();
    let none = scene.coordinator().checkpoint_now(&job).await;
    assert!(matches!(none, Err(Error::NoCheckpoint { .. })), "{none:?}");
    let waited = asked.elapsed();
    assert!((30 * SECOND..32 * SECOND).contains(&waited), "{waited:?}");
}

#[tokio::test(start_paused = true)]
async fn who_asks_for_a_checkpoint_of_a_job_that_waits_is_told_so() {
    let scene = Scene::new().await;
    let job = scene.submit(spec(1)).await;
    let none = scene.coordinator().checkpoint_now(&scene.stored(job)).await;
    assert!(matches!(none, Err(Error::NotRunning)), "{none:?}");
}
