//! What attempts wrote that came to no outcome.

use crate::support::{
    node,
    plain::PlainKeys,
    scene::{Attempt, Scene, spec},
};
use mc_coordinator::{Keys, Written, pins};
use mc_protocol::{Grant, Response};
use mc_types::{FencingToken, JobId};

/// Larger than any log may be.
const HUGE: u64 = 1 << 50;

/// What the worker of an attempt reports, with the lease that it was given.
fn written(scene: &Scene, attempt: &Attempt) -> Written {
    let grant = Grant {
        job: attempt.job,
        token: attempt.token,
        worker: attempt.worker.clone(),
    };
    let keys = PlainKeys { node: scene.home() };
    Written {
        job: attempt.job,
        token: attempt.token,
        attempt: 1,
        stdout: scene.block(attempt, "stdout"),
        stderr: scene.block(attempt, "stderr"),
        grant: keys.sign(&grant),
    }
}

/// Of which attempts there are logs.
async fn tokens(scene: &Scene, job: JobId) -> Vec<FencingToken> {
    let logs = scene.coordinator().attempt_logs(job).await.unwrap();
    logs.iter().map(|log| log.token).collect()
}

/// A job that a worker has.
async fn taken(scene: &Scene) -> Attempt {
    scene.add_worker(1);
    let job = scene.submit(spec(1)).await;
    scene.taken(job).await
}

#[tokio::test(start_paused = true)]
async fn log_of_an_attempt_that_was_lost_is_kept_once() {
    let scene = Scene::new().await;
    let lost = taken(&scene).await;
    scene.release(&lost).await;
    scene.taken(lost.job).await;
    let written = written(&scene, &lost);
    for _ in 0..2 {
        let worker = lost.worker.clone();
        let answer = scene.coordinator().keep_log(worker, written.clone()).await;
        assert_eq!(answer, Response::Recorded);
    }
    assert_eq!(tokens(&scene, lost.job).await, [lost.token]);
    let home = scene.home();
    for (name, root) in scene.pins_of(pins::LOG) {
        assert!(scene.world.holdings.keeps(&home, &name, root), "{name}");
    }
    assert_eq!(scene.pins_of(pins::LOG).len(), 2);
}

#[tokio::test(start_paused = true)]
async fn log_that_is_larger_than_its_task_may_write_is_refused_and_leaves_nothing() {
    let scene = Scene::new().await;
    let attempt = taken(&scene).await;
    let written = written(&scene, &attempt);
    scene.world.holdings.set_size(written.stderr, HUGE);
    let worker = attempt.worker.clone();
    let answer = scene.coordinator().keep_log(worker, written).await;
    assert!(matches!(answer, Response::Error { .. }), "{answer:?}");
    assert!(tokens(&scene, attempt.job).await.is_empty());
    assert!(scene.pins_of(pins::LOG).is_empty());
}

#[tokio::test(start_paused = true)]
async fn log_of_who_was_granted_nothing_is_not_kept() {
    let scene = Scene::new().await;
    let attempt = taken(&scene).await;
    let written = written(&scene, &attempt);
    let answer = scene.coordinator().keep_log(node(7), written).await;
    assert_eq!(answer, Response::Stale);
    assert!(tokens(&scene, attempt.job).await.is_empty());
    assert!(scene.pins_of(pins::LOG).is_empty());
}
