//! Jobs as users see them, with the reasons why jobs wait.

use super::{NodeBackend, refuse};
use futures::{StreamExt, stream};
use mc_api::JobView;
use mc_gateway::backend::Error;
use mc_types::{JobId, JobRecord, JobState};
use std::{collections::HashMap, pin::pin, time::Duration};
use tokio::time::{Instant, timeout, timeout_at};

/// How many jobs of one list get the reason why they wait: the newest ones, since finding reasons delays the list.
const MAX_EXPLAINED: usize = 256;
/// For how many of these this node asks other coordinators, and how many at a time.
const MAX_ASKED: usize = 64;
const ASKED_AT_A_TIME: usize = 8;
/// How long the coordinator of a job may take to give the reason: no user waits for a coordinator that hangs.
const EXPLAINED_WITHIN: Duration = Duration::from_secs(1);

impl NodeBackend {
    /// A job of the ledger.
    pub(super) async fn view(&self, job: &JobRecord) -> JobView {
        let mut view = JobView::from(job);
        if job.state == JobState::Queued {
            // It may have been placed meanwhile, or its coordinator is away: then there is no reason to show.
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
            let whys = self.coordinator.why_own(queued.clone()).await;
            let whys = whys.map_err(refuse)?;
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

    /// Why jobs of other coordinators wait, as far as these answer at once.
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
