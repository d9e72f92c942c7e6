//! Waiting for a job to change.

use mc_types::JobId;
use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
};
use tokio::sync::Notify;

/// One bell per job that a caller waits for; other jobs cost nothing.
#[derive(Debug, Default)]
pub(super) struct Watchers {
    bells: Mutex<HashMap<JobId, Weak<Notify>>>,
}

impl Watchers {
    /// The job's bell. Enable its `notified` future before looking at the job, so that no change in
    /// between is missed.
    pub(super) fn bell(&self, job: JobId) -> Arc<Notify> {
        let mut bells = self.bells();
        if let Some(bell) = bells.get(&job).and_then(Weak::upgrade) {
            return bell;
        }
        // Swept whenever the map has doubled, so that sweeping costs next to nothing per job.
        if bells.len().is_power_of_two() {
            bells.retain(|_, bell| bell.strong_count() > 0);
        }
        let bell = Arc::new(Notify::new());
        bells.insert(job, Arc::downgrade(&bell));
        bell
    }

    /// The job has changed, and the ledger says so already.
    pub(super) fn ring(&self, job: JobId) {
        let bell = self.bells().get(&job).and_then(Weak::upgrade);
        if let Some(bell) = bell {
            bell.notify_waiters();
        }
    }

    fn bells(&self) -> MutexGuard<'_, HashMap<JobId, Weak<Notify>>> {
        // Every update is a single insertion or removal, so a poisoned map is still consistent.
        self.bells.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use mc_types::Timestamp;

    #[tokio::test]
    async fn everyone_who_waits_for_a_job_is_woken() {
        let watchers = Watchers::default();
        let job = JobId::new(Timestamp::from_millis(1), 1);
        let other = JobId::new(Timestamp::from_millis(1), 2);
        let (first, second, third) = (watchers.bell(job), watchers.bell(job), watchers.bell(other));
        let (first, second) = (first.notified(), second.notified());
        let mut third = std::pin::pin!(third.notified());
        watchers.ring(job);
        tokio::join!(first, second);
        assert!(
            futures::poll!(third.as_mut()).is_pending(),
            "another job's bell rang"
        );
    }

    #[test]
    fn bells_that_nobody_holds_are_forgotten() {
        let watchers = Watchers::default();
        for n in 0..10_000 {
            watchers.bell(JobId::new(Timestamp::from_millis(1), n));
        }
        assert!(
            watchers.bells().len() < 10,
            "{} bells",
            watchers.bells().len()
        );
    }
}
