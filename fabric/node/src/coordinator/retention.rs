//! Jobs that ended long ago: written to an archive if there is one, their results unpinned, and removed.

use super::{Coordinator, pin};
use crate::{archive, error::Error};
use mc_types::JobId;
use std::{path::PathBuf, time::Duration};
use tokio_util::sync::CancellationToken;

/// Between two looks for such jobs.
const EVERY: Duration = Duration::from_secs(30);
/// Jobs that are removed at a time.
const AT_A_TIME: u32 = 256;

/// How long ended jobs are kept.
#[derive(Debug, Clone)]
pub(crate) struct Retention {
    /// For how long.
    pub keep: Duration,
    /// The file to which they are written then.
    pub archive: Option<PathBuf>,
}

impl Coordinator {
    /// Removes old jobs until `stopping`.
    pub(crate) async fn retain(self, retention: Retention, stopping: CancellationToken) {
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
        let old = self.ledger.ended_before(before, AT_A_TIME).await?;
        if old.is_empty() {
            return Ok(0);
        }
        let ids: Vec<JobId> = old.iter().map(|record| record.id).collect();
        if let Some(path) = retention.archive.clone() {
            let write = {
                let path = path.clone();
                move || archive::append(&path, &old)
            };
            let written = tokio::task::spawn_blocking(write).await;
            let written = written.unwrap_or_else(|e| Err(std::io::Error::other(e)));
            written.map_err(|source| Error::Io { path, source })?;
        }
        for id in &ids {
            self.content.store().unpin(&pin(*id)).await?;
            self.unpin_logs(*id).await?;
        }
        self.ledger.remove_ended(&ids).await?;
        self.recent.remove(&ids);
        Ok(ids.len())
    }
}

/// However short the time is.
const MIN_EVERY: Duration = Duration::from_millis(500);
