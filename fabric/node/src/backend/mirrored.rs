//! Jobs of coordinators that are away, as their workers say in the DHT.

use super::{NodeBackend, jobs, refuse};
use crate::completion::{self, Mirrored};
use mc_content::BlockSource;
use mc_gateway::{
    api::{self, JobView},
    backend::Error,
};
use mc_types::{JobId, JobState, Outcome, canonical};
use std::time::Duration;

/// How long a worker may take to hand over a block of the result.
const FETCH_WITHIN: Duration = Duration::from_secs(15);

impl NodeBackend {
    /// A job that this node's ledger does not have.
    pub(super) async fn mirrored(&self, id: JobId) -> Result<JobView, Error> {
        let found = completion::find(&self.net, &self.network, id).await;
        let mirrored = found.ok_or_else(|| jobs::unknown(id))?;
        let outcome = self.outcome(&mirrored).await?;
        Ok(view(id, &mirrored, &outcome))
    }

    /// The outcome, and everything in it, fetched from the worker.
    async fn outcome(&self, mirrored: &Mirrored) -> Result<Outcome, Error> {
        let providers = || vec![mirrored.worker.clone()];
        // The first word to the worker begins to connect to it.
        let describe = mc_net::message::Request::Describe;
        let worker = &mirrored.worker;
        let _ = self
            .net
            .request_within(worker, describe, FETCH_WITHIN)
            .await;
        let source = self.content.source(providers(), Some(FETCH_WITHIN));
        let bytes = source.get(&mirrored.outcome).await.map_err(refuse)?;
        let outcome: Outcome = canonical::decode(&bytes).map_err(|e| {
            let error = mc_content::Error::Source(format!("the outcome: {e}"));
            refuse(error)
        })?;
        let roots = [outcome.stdout, outcome.stderr, outcome.outputs];
        for root in roots.into_iter().chain(outcome.dirs.values().copied()) {
            let fetched = self.content.fetch(root, providers(), Some(FETCH_WITHIN));
            fetched.await.map_err(refuse)?;
        }
        Ok(outcome)
    }
}

fn view(id: JobId, mirrored: &Mirrored, outcome: &Outcome) -> JobView {
    let failure = api::failure(&outcome.end);
    let state = match failure {
        None => JobState::Succeeded,
        Some(_) => JobState::Failed,
    };
    JobView {
        id: Some(id),
        task_cid: outcome.task,
        state,
        exit_code: api::exit_code(&outcome.end),
        trap: api::trap(&outcome.end),
        failure,
        message: Some(format!(
            "as its node says in the DHT; its coordinator {} does not know yet",
            mirrored.coordinator
        )),
        stdout_cid: Some(outcome.stdout),
        stderr_cid: Some(outcome.stderr),
        outputs_cid: Some(outcome.outputs),
        dirs: outcome.dirs.clone(),
        outcome_cid: Some(mirrored.outcome),
        fuel: Some(outcome.fuel),
        meter: Some(outcome.meter),
        memory_peak_bytes: None,
        wall_ms: None,
        node: Some(mirrored.worker.clone()),
        attempts: 1,
        submitted_ms: None,
        started_ms: None,
        finished_ms: None,
        labels: Default::default(),
    }
}
