//! Jobs of other coordinators, from their adverts in the DHT, or from workers whose coordinators are away.

use super::{NodeBackend, jobs, refuse};
use crate::{
    completion::{self, Mirrored},
    task_advert,
};
use mc_api::JobView;
use mc_content::BlockSource;
use mc_gateway::backend::Error;
use mc_protocol::{Request, TaskAdvert};
use mc_types::{Cid, JobId, JobState, NodeId, Outcome, Timestamp, canonical};
use std::time::{Duration, Instant};

/// How long a worker may take to hand over a block of the result.
const FETCH_WITHIN: Duration = Duration::from_secs(15);

/// Between two looks at a job that is waited for.
const LOOK_EVERY: Duration = Duration::from_secs(2);

impl NodeBackend {
    /// A job that this node's ledger does not have. If it was `seen` in a state before, waits up to `wait` for a change
    /// of state.
    pub(super) async fn mirrored(
        &self,
        id: JobId,
        seen: Option<JobState>,
        wait: Option<Duration>,
    ) -> Result<JobView, Error> {
        let begun = Instant::now();
        loop {
            let view = match self.own(id) {
                Some(view) => view,
                None => self.in_the_dht(id).await?,
            };
            let left = wait.unwrap_or_default().saturating_sub(begun.elapsed());
            if view.state.is_terminal() || seen != Some(view.state) || left.is_zero() {
                return Ok(view);
            }
            tokio::time::sleep(LOOK_EVERY.min(left)).await;
        }
    }

    async fn in_the_dht(&self, id: JobId) -> Result<JobView, Error> {
        let completion = completion::find(&self.net, &self.network, id);
        let (completion, advert) = tokio::join!(completion, task_advert::find(&self.net, id));
        if let Some(mirrored) = completion {
            let outcome = self.outcome(&mirrored.worker, &mirrored.outcome).await?;
            return Ok(completed(id, &mirrored, &outcome));
        }
        let (coordinator, advert) = advert.ok_or_else(|| jobs::unknown(id))?;
        let outcome = match &advert.outcome {
            Some(outcome) => Some(self.outcome(&coordinator, outcome).await?),
            None => None,
        };
        Ok(advertised(id, &coordinator, &advert, outcome.as_ref()))
    }

    /// An outcome, and everything in it, fetched from a node that has it, unless it is here.
    async fn outcome(&self, node: &NodeId, cid: &Cid) -> Result<Outcome, Error> {
        if let Some(outcome) = self.stored(cid).await? {
            return Ok(outcome);
        }
        let providers = || vec![node.clone()];
        // The first word to the node begins to connect to it.
        let describe = Request::Describe;
        let _ = self.net.request_within(node, describe, FETCH_WITHIN).await;
        let source = self.content.source(providers(), Some(FETCH_WITHIN));
        let bytes = source.get(cid).await.map_err(refuse)?;
        let outcome = decoded(&bytes)?;
        for root in roots(&outcome) {
            let fetched = self.content.fetch(root, providers(), Some(FETCH_WITHIN));
            fetched.await.map_err(refuse)?;
        }
        Ok(outcome)
    }

    /// An outcome that is in the store of this node with everything in it.
    async fn stored(&self, cid: &Cid) -> Result<Option<Outcome>, Error> {
        let store = self.content.store();
        let Some(bytes) = store.get(cid).await.map_err(refuse)? else {
            return Ok(None);
        };
        let outcome = decoded(&bytes)?;
        for root in roots(&outcome) {
            let lacks = mc_content::missing(store, root, 1).await.map_err(refuse)?;
            if !lacks.is_empty() {
                return Ok(None);
            }
        }
        Ok(Some(outcome))
    }
}

fn decoded(bytes: &[u8]) -> Result<Outcome, Error> {
    canonical::decode(bytes)
        .map_err(|e| refuse(mc_content::Error::Source(format!("the outcome: {e}"))))
}

/// What is in an outcome.
fn roots(outcome: &Outcome) -> impl Iterator<Item = Cid> {
    let roots = [outcome.stdout, outcome.stderr, outcome.outputs];
    roots.into_iter().chain(outcome.dirs.values().copied())
}

fn completed(id: JobId, mirrored: &Mirrored, outcome: &Outcome) -> JobView {
    let said = format!(
        "as its node says in the DHT; its coordinator {} does not know yet",
        mirrored.coordinator
    );
    JobView {
        id: Some(id),
        message: Some(said),
        outcome_cid: Some(mirrored.outcome),
        node: Some(mirrored.worker.clone()),
        attempts: 1,
        ..JobView::from(outcome)
    }
}

fn advertised(
    id: JobId,
    coordinator: &NodeId,
    advert: &TaskAdvert,
    outcome: Option<&Outcome>,
) -> JobView {
    let said = format!("as its coordinator {coordinator} says in the DHT");
    JobView {
        outcome_cid: advert.outcome,
        node: advert.node.clone(),
        attempts: advert.attempts,
        submitted_ms: Some(advert.submitted.as_millis()),
        started_ms: advert.started.map(Timestamp::as_millis),
        finished_ms: advert.finished.map(Timestamp::as_millis),
        ..view(id, advert.task, advert.state, said, outcome)
    }
}

/// A job of another node, with what that node has published.
pub(super) fn view(
    id: JobId,
    task_cid: Cid,
    state: JobState,
    said: String,
    outcome: Option<&Outcome>,
) -> JobView {
    JobView {
        id: Some(id),
        task_cid,
        state,
        message: Some(said),
        ..outcome.map(JobView::from).unwrap_or_default()
    }
}
