//! Jobs that are handed in.

use crate::support::{
    lock, process,
    scene::{Scene, pin, spec},
    store::Fault,
};
use mc_coordinator::Error;
use mc_scheduler::Config;
use mc_types::{Clock, Envelope, JobId, JobSpec, KeyId, Private, SealedKey, TaskSpec};
use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

const MOMENT: Duration = Duration::from_secs(5);
const HOUR: Duration = Duration::from_secs(3_600);

#[tokio::test(start_paused = true)]
async fn job_that_is_handed_in_twice_is_one_job() {
    let scene = Scene::new().await;
    let job = scene.submit(spec(1)).await;
    let (again, _) = scene
        .coordinator()
        .submit(Some(job), spec(1))
        .await
        .unwrap();
    assert_eq!(again, scene.stored(job));
    assert_eq!(lock(&scene.world.database.rows).jobs.len(), 1);
}

#[tokio::test(start_paused = true)]
async fn callers_who_hand_in_the_same_job_at_once_get_the_same_job() {
    let scene = Scene::new().await;
    scene.bring_component();
    let (id, coordinator) = (scene.id(1), scene.coordinator());
    let (first, second) = tokio::join!(
        coordinator.submit(Some(id), spec(1)),
        coordinator.submit(Some(id), spec(1)),
    );
    assert_eq!(first.unwrap().0, second.unwrap().0);
    assert_eq!(lock(&scene.world.database.rows).jobs.len(), 1);
}

#[tokio::test(start_paused = true)]
async fn id_of_a_job_with_another_task_is_refused() {
    let scene = Scene::new().await;
    let job = scene.submit(spec(1)).await;
    let other = scene.coordinator().submit(Some(job), spec(2)).await;
    assert!(matches!(other, Err(Error::InvalidJob(_))), "{other:?}");
    assert_eq!(scene.stored(job).spec.task, spec(1).task);
}

#[tokio::test(start_paused = true)]
async fn id_from_another_hour_is_replaced() {
    let scene = Scene::new().await;
    scene.bring_component();
    let now = scene.world.clock.now();
    let early = JobId::new(now, 1);
    tokio::time::sleep(2 * HOUR).await;
    let late = JobId::new(scene.world.clock.now().plus(2 * HOUR), 2);
    for (id, n) in [(early, 1), (late, 2)] {
        let submitted = scene.coordinator().submit(Some(id), spec(n)).await;
        let (record, _) = submitted.unwrap();
        let age = scene.world.clock.now().since(record.id.time());
        assert_ne!(record.id, id);
        assert!(age < MOMENT, "{age:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn job_beyond_those_that_may_be_open_is_refused_and_leaves_nothing() {
    let config = Config {
        max_open_jobs: 1,
        ..process::config()
    };
    let scene = Scene::with(&config).await;
    let first = scene.submit(spec(1)).await;
    let second = scene.id(2);
    let refused = scene.coordinator().submit(Some(second), spec(2)).await;
    assert!(matches!(refused, Err(Error::Overloaded)), "{refused:?}");
    assert!(scene.world.database.job(second).is_none());
    let pins: Vec<String> = scene.pins_of("").into_keys().collect();
    assert_eq!(pins, [pin(first)]);
}

/// A job whose key is sealed to nobody.
fn private() -> JobSpec {
    let key = SealedKey {
        submitter: Envelope::new(Vec::new()),
        coordinators: BTreeMap::new(),
    };
    let private = Private {
        key: KeyId::new([0; 32]),
        given: BTreeSet::new(),
    };
    let task = TaskSpec {
        private: Some(private),
        ..spec(1).task
    };
    JobSpec {
        key: Some(key),
        ..JobSpec::new(task)
    }
}

#[tokio::test(start_paused = true)]
async fn private_job_whose_key_is_not_for_this_node_is_refused_and_leaves_nothing() {
    let scene = Scene::new().await;
    scene.bring_component();
    let id = scene.id(1);
    let refused = scene.coordinator().submit(Some(id), private()).await;
    assert!(matches!(refused, Err(Error::NoKey { .. })), "{refused:?}");
    assert!(scene.world.database.job(id).is_none());
    assert!(scene.pins_of("").is_empty());
}

#[tokio::test(start_paused = true)]
async fn job_whose_write_fails_is_neither_acknowledged_nor_offered() {
    let scene = Scene::new().await;
    scene.add_worker(1);
    scene.bring_component();
    tokio::time::sleep(MOMENT).await;
    scene.world.database.fail_next_commit(Fault::Unwritten);
    let (id, coordinator) = (scene.id(1), scene.coordinator());
    let failed = coordinator.submit(Some(id), spec(1)).await;
    assert!(matches!(failed, Err(Error::Unwritten { .. })), "{failed:?}");
    tokio::time::sleep(MOMENT).await;
    assert!(!scene.is_anywhere(id), "it was offered");
    assert!(coordinator.job(id).await.unwrap().is_none());
    assert!(scene.pins_of("").is_empty());
    coordinator.submit(Some(id), spec(1)).await.unwrap();
    scene.taken(id).await;
}

#[tokio::test(start_paused = true)]
async fn job_whose_write_only_seemed_to_fail_is_found_again_and_run() {
    let scene = Scene::new().await;
    scene.bring_component();
    scene.world.database.fail_next_commit(Fault::Written);
    let (id, coordinator) = (scene.id(1), scene.coordinator());
    let failed = coordinator.submit(Some(id), spec(1)).await;
    assert!(matches!(failed, Err(Error::Unwritten { .. })), "{failed:?}");
    let (again, _) = coordinator.submit(Some(id), spec(1)).await.unwrap();
    assert_eq!(again.id, id);
    assert!(scene.pins_of("").contains_key(&pin(id)));
    scene.add_worker(1);
    scene.taken(id).await;
}

#[tokio::test(start_paused = true)]
async fn coordinator_that_was_succeeded_takes_no_job_before_it_is_back() {
    let scene = Scene::with(&process::config()).await;
    scene.bring_component();
    // Until shortly before it says again that it is there.
    tokio::time::sleep(process::config().lease_ttl / 6).await;
    scene.world.database.supersede(&scene.home());
    let (id, coordinator) = (scene.id(1), scene.coordinator());
    let refused = coordinator.submit(Some(id), spec(1)).await;
    assert!(
        matches!(refused, Err(Error::Unwritten { .. })),
        "{refused:?}"
    );
    assert!(scene.world.database.job(id).is_none());
    // By then it has noticed, and said that it is there.
    tokio::time::sleep(process::config().lease_ttl).await;
    coordinator.submit(Some(id), spec(1)).await.unwrap();
    assert!(scene.world.database.job(id).is_some());
}
