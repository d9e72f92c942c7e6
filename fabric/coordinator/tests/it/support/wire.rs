//! What carries requests: they may be late, or lost on either way, and who asks does not know which.

use super::{lock, process::Process, worker, world::World};
use async_trait::async_trait;
use mc_coordinator::{Coordinator, Written};
use mc_protocol::{Exchange, Request, RequestError, Response};
use mc_types::NodeId;
use std::{sync::Arc, time::Duration};

/// How long is waited for an answer that does not come.
const TIMEOUT: Duration = Duration::from_secs(8);

/// Requests of one process of a coordinator.
#[derive(Debug)]
pub(crate) struct Wire {
    pub(crate) world: Arc<World>,
    pub(crate) process: Arc<Process>,
}

#[async_trait]
impl Exchange for Wire {
    fn local(&self) -> &NodeId {
        &self.process.node
    }

    async fn request(&self, node: &NodeId, request: Request) -> Result<Response, RequestError> {
        self.process.goes_on().await;
        if let Request::Offer { lease, .. } = &request {
            let rows = lock(&self.world.database.rows);
            let granted = rows.grants.get(&(lease.job, lease.token));
            if granted != Some(node) {
                let what = format!(
                    "job {} was offered under a lease that nobody wrote",
                    lease.job
                );
                self.world.violated(what);
            }
        }
        let answer = deliver(&self.world, &self.process.node, node, request).await;
        self.process.goes_on().await;
        answer
    }

    async fn has_ended(&self, node: &NodeId) -> bool {
        self.process.goes_on().await;
        tokio::time::sleep(self.world.random.millis(100)).await;
        self.process.goes_on().await;
        // Machines that are gone altogether say nothing.
        let is_up = lock(&self.world.machines)
            .get(node)
            .is_some_and(|machine| machine.is_up);
        !is_up && !self.world.goes_wrong(50)
    }
}

/// Carries a request to whoever it is for, and the answer back.
pub(crate) async fn deliver(
    world: &Arc<World>,
    from: &NodeId,
    to: &NodeId,
    request: Request,
) -> Result<Response, RequestError> {
    let most = if world.goes_wrong(4) { 5_000 } else { 20 };
    tokio::time::sleep(world.random.millis(most)).await;
    if world.goes_wrong(6) {
        tokio::time::sleep(TIMEOUT).await;
        return Err(RequestError::Timeout(to.clone()));
    }
    let coordinator = lock(&world.lives)
        .get(to)
        .map(|life| life.coordinator.clone());
    let answered = async {
        match coordinator {
            Some(coordinator) => Ok(answer(&coordinator, from.clone(), request).await),
            None => worker::answer(world, to, from, request),
        }
    };
    // One that was killed meanwhile says nothing any more.
    let answered = tokio::time::timeout(TIMEOUT, answered).await;
    if answered.is_err() || world.goes_wrong(6) {
        return Err(RequestError::Timeout(to.clone()));
    }
    answered.unwrap_or_else(|_| Err(RequestError::Timeout(to.clone())))
}

/// What a coordinator answers.
async fn answer(coordinator: &Coordinator, from: NodeId, request: Request) -> Response {
    match request {
        Request::Announce(announcement) => coordinator.announce(from, announcement).await,
        Request::Heartbeat {
            job,
            token,
            running,
            since_ms,
        } => {
            let running = running.then(|| Duration::from_millis(since_ms));
            coordinator.heartbeat(from, job, token, running).await
        }
        Request::Finish { job, token, ending } => {
            coordinator.finish(from, job, token, ending).await
        }
        Request::Release { job, token, reason } => {
            coordinator.release(from, job, token, reason).await
        }
        Request::Checkpoint {
            job,
            token,
            cid,
            position,
        } => {
            coordinator
                .keep_checkpoint(from, job, token, cid, position)
                .await
        }
        Request::Wrote {
            job,
            token,
            attempt,
            stdout,
            stderr,
            grant,
        } => {
            let written = Written {
                job,
                token,
                attempt,
                stdout,
                stderr,
                grant,
            };
            coordinator.keep_log(from, written).await
        }
        Request::Keep { job, task } => coordinator.keep(from, job, task).await,
        Request::CancelJob { job } => coordinator.cancel_for(from, job).await,
        Request::WhyJob { job } => coordinator.why_for(from, job).await,
        other => {
            let kind = other.kind().to_owned();
            Response::Unsupported { kind }
        }
    }
}
