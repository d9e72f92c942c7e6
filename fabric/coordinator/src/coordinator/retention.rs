//! Jobs that ended long ago: written to an archive if there is one, removed, and then their results unpinned.

use super::Coordinator;
use crate::{Error, Retention};
use mc_types::JobId;
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// Between two looks for such jobs.
const EVERY: Duration = Duration::from_secs(30);
/// Jobs that are removed at a time.
const AT_A_TIME: u32 = 256;

impl Coordinator {
    /// Removes old jobs until `stopping`.
    pub async fn retain(self, retention: Retention, stopping: CancellationToken) {
        let mut every = tokio::time::interval(EVERY.min(retention.keep / 2).max(MIN_EVERY));
        while stopping.run_until_cancelled(every.tick()).await.is_some() {
            loop {
                match self.remove_old(&retention).await {
                    Ok(0) => break,
                    Ok(jobs) => tracing::info!(jobs, "jobs that ended long ago were removed"),
                    Err(error) => {
                        tracing::warn!(error = %mc_types::with_causes(&error), "old jobs were not removed");
                        break;
                    }
                }
            }
        }
    }

    async fn remove_old(&self, retention: &Retention) -> Result<usize, Error> {
        let now = self.clock.now().as_millis();
        let keep = u64::try_from(retention.keep.as_millis()).unwrap_or(u64::MAX);
        let before = mc_types::Timestamp::from_millis(now.saturating_sub(keep));
        let old = self.jobs.ended_before(before, AT_A_TIME).await?;
        if old.is_empty() {
            return Ok(0);
        }
        let ids: Vec<JobId> = old.iter().map(|record| record.id).collect();
        if let Some(archive) = &retention.archive {
            archive.append(old).await.map_err(Error::Archive)?;
        }
        let mut logs = Vec::new();
        for id in &ids {
            logs.extend(self.pins_of_logs(*id).await?);
        }
        self.jobs.remove_ended(&ids).await?;
        self.recent.remove(&ids);
        // Only now: what is recorded is kept. If this fails, the next start removes the pins.
        for id in &ids {
            self.unpin_removed(*id).await?;
        }
        for log in logs {
            self.content.unpin(&log).await?;
        }
        Ok(ids.len())
    }

    /// Removes the pin of a job that the store has forgotten, unless the same job is handed in again meanwhile.
    async fn unpin_removed(&self, job: JobId) -> Result<(), Error> {
        let Some(_mark) = self.submitting.begin(job) else {
            return Ok(());
        };
        let _turn = self.turn_to_pin(job).await;
        self.pin_what_counts(job).await
    }
}

/// However short the time is.
const MIN_EVERY: Duration = Duration::from_millis(500);
