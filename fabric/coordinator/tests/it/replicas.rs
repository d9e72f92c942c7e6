//! Two coordinators on one store of jobs.

use crate::support::{
    node, process,
    scene::{Scene, spec},
};
use mc_coordinator::Error;
use mc_protocol::Response;
use mc_types::{JobId, JobState, NodeId};
use std::time::Duration;

/// By then a coordinator that is silent has been succeeded.
const LONG_ENOUGH: Duration = Duration::from_secs(20);

/// Who owns a job.
fn owner(scene: &Scene, job: JobId) -> NodeId {
    scene.world.database.job(job).unwrap().owner
}

#[tokio::test(start_paused = true)]
async fn job_of_a_coordinator_that_died_goes_on_at_the_other_one() {
    let scene = Scene::pair().await;
    let [first, second] = process::all();
    let job = scene.submit(spec(1)).await;
    assert_eq!(owner(&scene, job), first);
    process::kill(&scene.world, &first);
    tokio::time::sleep(LONG_ENOUGH).await;
    assert_eq!(owner(&scene, job), second);
    scene.add_worker(1);
    let attempt = scene.taken(job).await;
    let completion = scene.completion(&attempt);
    let answer = scene.finish_at(1, &attempt, &completion).await;
    assert_eq!(answer, Response::Recorded);
}

#[tokio::test(start_paused = true)]
async fn coordinator_that_stops_in_order_is_succeeded_before_its_term_is_over() {
    let scene = Scene::pair().await;
    let [first, second] = process::all();
    let job = scene.submit(spec(1)).await;
    process::stop(&scene.world, &first).await;
    tokio::time::sleep(process::config().lease_ttl / 2).await;
    assert_eq!(owner(&scene, job), second);
}

#[tokio::test(start_paused = true)]
async fn coordinator_that_is_there_keeps_its_jobs() {
    let scene = Scene::pair().await;
    let job = scene.submit(spec(1)).await;
    tokio::time::sleep(2 * LONG_ENOUGH).await;
    assert_eq!(owner(&scene, job), scene.home());
}

#[tokio::test(start_paused = true)]
async fn inputs_are_at_the_other_coordinator_when_a_job_is_acknowledged() {
    let scene = Scene::pair().await;
    let [_, second] = process::all();
    let job = scene.submit(spec(1)).await;
    let task = scene.stored(job).task_cid;
    assert!(scene.world.holdings.has_all(&second, task));
}

#[tokio::test(start_paused = true)]
async fn job_is_called_off_by_its_owner_whoever_is_asked() {
    let scene = Scene::pair().await;
    let job = scene.submit(spec(1)).await;
    let cancelled = scene.at(1).cancel(job).await.unwrap().unwrap();
    assert_eq!(cancelled.state, JobState::Cancelled);
    assert_eq!(scene.stored(job).state, JobState::Cancelled);
    assert_eq!(owner(&scene, job), scene.home());
}

#[tokio::test(start_paused = true)]
async fn why_a_job_waits_is_asked_of_its_owner() {
    let scene = Scene::pair().await;
    let job = scene.submit(spec(1)).await;
    let why = scene.at(1).why(job).await.unwrap();
    assert_eq!((why.job, why.state), (job, JobState::Queued));
    scene.coordinator().cancel(job).await.unwrap();
    let ended = scene.at(1).why(job).await;
    assert!(matches!(ended, Err(Error::NotRunning)), "{ended:?}");
}

#[tokio::test(start_paused = true)]
async fn stranger_calls_nothing_off_and_learns_nothing() {
    let scene = Scene::pair().await;
    let job = scene.submit(spec(1)).await;
    let coordinator = scene.coordinator();
    let cancelled = coordinator.cancel_for(node(7), job).await;
    assert!(
        matches!(cancelled, Response::Refused { .. }),
        "{cancelled:?}"
    );
    let why = coordinator.why_for(node(7), job).await;
    assert!(matches!(why, Response::Refused { .. }), "{why:?}");
    assert_eq!(scene.stored(job).state, JobState::Queued);
}
