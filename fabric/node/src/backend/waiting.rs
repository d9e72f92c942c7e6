//! Jobs as users see them, with what those that wait are waiting for.

use super::NodeBackend;
use futures::{StreamExt, stream};
use mc_api::JobView;
use mc_gateway::backend::Error;
use mc_types::{JobId, JobRecord, JobState};
use std::{collections::HashMap, pin::pin, time::Duration};
use tokio::time::{Instant, timeout, timeout_at};

/// Jobs of one list of which is said what they wait for: the newest, since all the others wait meanwhile.
const MAX_EXPLAINED: usize = 256;
/// Of these, jobs of other coordinators that they are asked about, and how many at a time.
const MAX_ASKED: usize = 64;
const ASKED_AT_A_TIME: usize = 8;
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

    /// Jobs of the ledger.
    pub(super) async fn views(&self, jobs: &[JobRecord]) -> Result<Vec<JobView>, Error> {
        let queued = jobs.iter().filter(|job| job.state == JobState::Queued);
        let queued: Vec<JobId> = queued.map(|job| job.id).take(MAX_EXPLAINED).collect();
        let mut lines = HashMap::new();
        if !queued.is_empty() {
            let whys = self.coordinator.why_own(queued.clone()).await?;
            let known = whys.iter().filter_map(|why| Some((why.job, why.line()?)));
            lines.extend(known);
            let others = queued.into_iter().filter(|id| !lines.contains_key(id));
            let others = others.take(MAX_ASKED).collect();
            lines.extend(self.lines_of_others(others).await);
        }
        let view = |job: &JobRecord| JobView {
            waiting_for: lines.remove(&job.id),
            ..JobView::from(job)
        };
        Ok(jobs.iter().map(view).collect())
    }

    /// What jobs of other coordinators wait for, as far as these say so at once.
    async fn lines_of_others(&self, jobs: Vec<JobId>) -> HashMap<JobId, String> {
        let coordinator = &self.coordinator;
        let ask = |id: JobId| async move { (id, coordinator.why(id).await) };
        let mut asked = pin!(
            stream::iter(jobs)
                .map(ask)
                .buffer_unordered(ASKED_AT_A_TIME)
        );
        let until = Instant::now() + EXPLAINED_WITHIN;
        let mut lines = HashMap::new();
        while let Ok(Some((id, why))) = timeout_at(until, asked.next()).await {
            let line = why.ok().and_then(|why| why.line());
            lines.extend(line.map(|line| (id, line)));
        }
        lines
    }
}
