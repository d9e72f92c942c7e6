//! Waiting for a job to change.

use crate::support::scene::{Scene, spec};
use mc_types::JobState;
use std::time::Duration;
use tokio::time::Instant;

const SECOND: Duration = Duration::from_secs(1);
const HOUR: Duration = Duration::from_secs(3_600);

#[tokio::test(start_paused = true)]
async fn all_who_wait_for_a_job_are_told_when_it_changes() {
    let scene = Scene::new().await;
    let job = scene.submit(spec(1)).await;
    let coordinator = scene.coordinator();
    let seen = Some(JobState::Queued);
    let cancel = async {
        tokio::time::sleep(SECOND).await;
        coordinator.cancel(job).await
    };
    let begun = Instant::now();
    let (first, second, _) = tokio::join!(
        coordinator.wait(job, seen, HOUR),
        coordinator.wait(job, seen, HOUR),
        cancel,
    );
    for told in [first, second] {
        assert_eq!(told.unwrap().unwrap().state, JobState::Cancelled);
    }
    assert!(begun.elapsed() < 2 * SECOND, "{:?}", begun.elapsed());
}

#[tokio::test(start_paused = true)]
async fn change_before_somebody_waits_is_told_at_once() {
    let scene = Scene::new().await;
    let job = scene.submit(spec(1)).await;
    let seen = Some(JobState::Running);
    let coordinator = scene.coordinator();
    let told = tokio::time::timeout(SECOND, coordinator.wait(job, seen, HOUR)).await;
    let told = told.unwrap();
    assert_eq!(told.unwrap().unwrap().state, JobState::Queued);
}

#[tokio::test(start_paused = true)]
async fn who_waits_in_vain_gets_the_job_as_it_is() {
    let scene = Scene::new().await;
    let job = scene.submit(spec(1)).await;
    let begun = Instant::now();
    let seen = Some(JobState::Queued);
    let told = scene.coordinator().wait(job, seen, 5 * SECOND).await;
    assert_eq!(told.unwrap().unwrap().state, JobState::Queued);
    assert!(begun.elapsed() >= 5 * SECOND);
}

#[tokio::test(start_paused = true)]
async fn who_waits_for_a_job_that_there_is_not_is_told_at_once() {
    let scene = Scene::new().await;
    let (id, coordinator) = (scene.id(9), scene.coordinator());
    let none = tokio::time::timeout(SECOND, coordinator.wait(id, None, HOUR)).await;
    assert_eq!(none.unwrap().unwrap(), None);
}
