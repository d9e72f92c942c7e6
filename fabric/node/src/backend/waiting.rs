//! Jobs as users see them, with what those that wait are waiting for.

use super::NodeBackend;
use mc_gateway::{api::JobView, backend::Error};
use mc_types::{JobId, JobRecord, JobState};
use std::{collections::HashMap, time::Duration};
use tokio::time::timeout;

/// Jobs of one list of which is said what they wait for: the newest, since all the others wait meanwhile.
const MAX_EXPLAINED: usize = 256;
/// How long the coordinator of a job may take to say what it waits for: nobody's look at a job waits for one that
/// hangs.
const EXPLAINED_WITHIN: Duration = Duration::from_secs(1);

impl NodeBackend {
    /// A job of the ledger.
    pub(super) async fn view(&self, job: &JobRecord) -> JobView {
        let mut view = JobView::from(job);
        if job.state == JobState::Queued {
            // It may have been placed in the meantime, or its coordinator is away: then there is nothing to say.
            let why = timeout(EXPLAINED_WITHIN, self.coordinator.why(job.id)).await;
            let why = why.ok().and_then(Result::ok);
            view.waiting_for = why.and_then(|why| why.line());
        }
        view
    }

    /// Jobs of the ledger. What others' jobs wait for is known to their coordinators.
    pub(super) async fn views(&self, jobs: &[JobRecord]) -> Result<Vec<JobView>, Error> {
        let queued = jobs.iter().filter(|job| job.state == JobState::Queued);
        let queued: Vec<JobId> = queued.map(|job| job.id).take(MAX_EXPLAINED).collect();
        let mut lines = HashMap::new();
        if !queued.is_empty() {
            let whys = self.coordinator.why_own(queued).await?;
            let known = whys.iter().filter_map(|why| Some((why.job, why.line()?)));
            lines.extend(known);
        }
        let view = |job: &JobRecord| JobView {
            waiting_for: lines.remove(&job.id),
            ..JobView::from(job)
        };
        Ok(jobs.iter().map(view).collect())
    }
}
