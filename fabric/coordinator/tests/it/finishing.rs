//! How attempts end, and what becomes of their results.

use crate::support::scene::{Scene, pin, spec};
use mc_coordinator::pins;
use mc_protocol::Response;
use mc_types::{AttemptResult, Completion, FailureReason, JobSpec, JobState};

/// Larger than any result may be.
const HUGE: u64 = 1 << 50;

/// The reason why a job failed.
fn reason(ending: Option<AttemptResult>) -> String {
    match ending {
        Some(AttemptResult::Failed(FailureReason::Infrastructure { message, .. })) => message,
        other => format!("{other:?}"),
    }
}

#[tokio::test(start_paused = true)]
async fn result_is_kept_when_it_is_recorded() {
    let scene = Scene::new().await;
    scene.add_worker(1);
    let job = scene.submit(spec(1)).await;
    let attempt = scene.taken(job).await;
    let completion = scene.completion(&attempt);
    assert_eq!(
        scene.finish(&attempt, &completion).await,
        Response::Recorded
    );
    assert_eq!(scene.stored(job).state, JobState::Succeeded);
    let (home, outcome) = (scene.home(), completion.outcome_cid);
    assert!(scene.world.holdings.keeps(&home, &pin(job), outcome));
    assert!(scene.pins_of(pins::ARRIVING).is_empty());
}

#[tokio::test(start_paused = true)]
async fn end_under_an_old_token_is_stale() {
    let scene = Scene::new().await;
    scene.add_worker(1);
    let job = scene.submit(spec(1)).await;
    let first = scene.taken(job).await;
    scene.release(&first).await;
    let second = scene.taken(job).await;
    assert!(second.token > first.token);
    let late = scene.completion(&first);
    assert_eq!(scene.finish(&first, &late).await, Response::Stale);
    let record = scene.stored(job);
    assert_eq!(record.holder.map(|holder| holder.token), Some(second.token));
    let (home, task) = (scene.home(), record.task_cid);
    assert!(scene.world.holdings.keeps(&home, &pin(job), task));
}

#[tokio::test(start_paused = true)]
async fn end_that_is_reported_again_is_recorded_once() {
    let scene = Scene::new().await;
    scene.add_worker(1);
    let job = scene.submit(spec(1)).await;
    let attempt = scene.taken(job).await;
    let completion = scene.completion(&attempt);
    assert_eq!(
        scene.finish(&attempt, &completion).await,
        Response::Recorded
    );
    let recorded = scene.stored(job);
    assert_eq!(
        scene.finish(&attempt, &completion).await,
        Response::Recorded
    );
    assert_eq!(scene.stored(job), recorded);
}

#[tokio::test(start_paused = true)]
async fn result_that_cannot_be_fetched_is_not_recorded_and_can_be_reported_again() {
    let scene = Scene::new().await;
    let worker = scene.add_worker(1);
    let job = scene.submit(spec(1)).await;
    let attempt = scene.taken(job).await;
    let completion = scene.completion(&attempt);
    let stdout = completion.outcome.stdout;
    scene.world.holdings.lose(&worker, Some(stdout));
    let answer = scene.finish(&attempt, &completion).await;
    assert!(matches!(answer, Response::Error { .. }), "{answer:?}");
    assert_eq!(scene.stored(job).ending, None);
    assert!(scene.pins_of(pins::ARRIVING).is_empty());
    scene.world.holdings.add(&worker, stdout, &[]);
    assert_eq!(
        scene.finish(&attempt, &completion).await,
        Response::Recorded
    );
}

/// A job fails whose worker reports what cannot be true.
async fn assert_refused(lie: impl FnOnce(&Scene, &mut Completion)) {
    let scene = Scene::new().await;
    scene.add_worker(1);
    let spec = JobSpec {
        retries: 0,
        ..spec(1)
    };
    let job = scene.submit(spec).await;
    let attempt = scene.taken(job).await;
    let mut completion = scene.completion(&attempt);
    lie(&scene, &mut completion);
    assert_eq!(
        scene.finish(&attempt, &completion).await,
        Response::Recorded
    );
    let record = scene.stored(job);
    assert_eq!(record.state, JobState::Failed);
    let reason = reason(record.ending);
    assert!(reason.contains("a result that cannot be true"), "{reason}");
    assert!(scene.pins_of(pins::ARRIVING).is_empty());
}

#[tokio::test(start_paused = true)]
async fn result_beyond_what_its_task_may_make_fails_the_attempt() {
    assert_refused(|scene, completion| {
        let stdout = completion.outcome.stdout;
        scene.world.holdings.set_size(stdout, HUGE);
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn result_of_another_task_fails_the_attempt() {
    assert_refused(|_, completion| {
        completion.outcome.task = completion.outcome.stdout;
        let (cid, _) = mc_types::canonical::encode(&completion.outcome).unwrap();
        completion.outcome_cid = cid;
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn outcome_with_another_cid_fails_the_attempt() {
    assert_refused(|_, completion| completion.outcome_cid = completion.outcome.stdout).await;
}

#[tokio::test(start_paused = true)]
async fn job_that_is_given_back_goes_on_under_a_newer_token_and_costs_no_retry() {
    let scene = Scene::new().await;
    scene.add_worker(1);
    let spec = JobSpec {
        retries: 0,
        ..spec(1)
    };
    let job = scene.submit(spec).await;
    let first = scene.taken(job).await;
    assert_eq!(scene.release(&first).await, Response::Ok);
    let second = scene.taken(job).await;
    assert!(second.token > first.token);
    // Giving it back again does not touch the newer attempt.
    let (worker, reason) = (first.worker.clone(), String::new());
    let coordinator = scene.coordinator();
    let again = coordinator.release(worker, job, first.token, reason).await;
    assert_eq!(again, Response::Stale);
    assert_eq!(scene.taken(job).await, second);
}
