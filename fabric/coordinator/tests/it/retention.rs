//! What becomes of jobs that ended long ago.

use crate::support::{
    lock,
    scene::{Scene, pin, spec},
    world::World,
};
use async_trait::async_trait;
use mc_coordinator::{Archive, Failure, Retention};
use mc_types::{ErrorCode, JobId, JobRecord};
use std::{
    sync::{Arc, Mutex},
    time::Duration,
};
use tokio_util::sync::CancellationToken;

const KEEP: Duration = Duration::from_secs(60);

/// An archive in memory, which may be full from the beginning.
#[derive(Debug, Default)]
struct MemoryArchive {
    is_full: bool,
    /// Whose database goes away for a while after the first write.
    breaks: Mutex<Option<Arc<World>>>,
    jobs: Mutex<Vec<JobRecord>>,
}

#[async_trait]
impl Archive for MemoryArchive {
    async fn append(&self, jobs: Vec<JobRecord>) -> Result<(), Failure> {
        if self.is_full {
            return Err(Failure::new(ErrorCode::Storage, "the disk is full"));
        }
        lock(&self.jobs).extend(jobs);
        if let Some(world) = lock(&self.breaks).take() {
            world.database.go_away(KEEP / 6);
        }
        Ok(())
    }
}

/// Two jobs of which the first was called off, and a coordinator that keeps ended ones for a while.
async fn retained(archive: &Arc<MemoryArchive>) -> (Scene, JobId, JobId) {
    let scene = Scene::new().await;
    let ended = scene.submit(spec(1)).await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    let open = scene.submit(spec(2)).await;
    let coordinator = scene.coordinator();
    coordinator.cancel(ended).await.unwrap();
    let retention = Retention {
        keep: KEEP,
        archive: Some(Arc::<MemoryArchive>::clone(archive)),
    };
    let retain = coordinator.retain(retention, CancellationToken::new());
    scene.world.tasks.serve("retention", retain);
    (scene, ended, open)
}

#[tokio::test(start_paused = true)]
async fn job_that_ended_long_ago_is_archived_and_forgotten() {
    let archive = Arc::new(MemoryArchive::default());
    let (scene, ended, open) = retained(&archive).await;
    tokio::time::sleep(KEEP / 2).await;
    let record = scene.stored(ended);
    assert!(scene.pins_of("").contains_key(&pin(ended)));
    tokio::time::sleep(KEEP * 2).await;
    assert_eq!(*lock(&archive.jobs), [record]);
    assert_eq!(scene.coordinator().job(ended).await.unwrap(), None);
    assert!(scene.coordinator().job(open).await.unwrap().is_some());
    let pins: Vec<String> = scene.pins_of("").into_keys().collect();
    assert_eq!(pins, [pin(open)]);
}

#[tokio::test(start_paused = true)]
async fn job_that_cannot_be_archived_is_not_forgotten() {
    let archive = Arc::new(MemoryArchive {
        is_full: true,
        ..MemoryArchive::default()
    });
    let (scene, ended, _) = retained(&archive).await;
    tokio::time::sleep(KEEP * 4).await;
    assert!(scene.coordinator().job(ended).await.unwrap().is_some());
    assert!(scene.world.database.job(ended).is_some());
    assert!(scene.pins_of("").contains_key(&pin(ended)));
}

#[tokio::test(start_paused = true)]
async fn what_a_job_came_to_is_kept_until_the_store_has_forgotten_it() {
    let archive = Arc::new(MemoryArchive::default());
    let (scene, ended, _) = retained(&archive).await;
    *lock(&archive.breaks) = Some(Arc::clone(&scene.world));
    while lock(&archive.jobs).is_empty() {
        tokio::time::sleep(KEEP / 60).await;
    }
    tokio::time::sleep(KEEP / 60).await;
    assert!(scene.world.database.job(ended).is_some());
    assert!(scene.pins_of("").contains_key(&pin(ended)));
    tokio::time::sleep(KEEP).await;
    assert!(scene.world.database.job(ended).is_none());
    assert!(!scene.pins_of("").contains_key(&pin(ended)));
}
