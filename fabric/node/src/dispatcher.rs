//! Who answers what this node is asked: it stands above the roles of the node and owns them. They know it only as a queue
//! that takes requests, so that nothing keeps itself alive.

use crate::{content::Content, own_requests::OwnRequest};
use mc_coordinator::{Coordinator, Written};
use mc_net::InboundRequest;
use mc_protocol::{Request, Response};
use mc_supervision::Supervisor;
use mc_types::NodeId;
use mc_worker::{Offer, Worker};
use std::{sync::Arc, time::Duration};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

/// What answers requests.
pub(crate) trait Answers: Send + Sync + 'static {
    /// Answers a request that came from `from`.
    fn answer(&self, from: NodeId, request: Request) -> impl Future<Output = Response> + Send;
}

/// The requests that a node is asked.
#[derive(Debug)]
pub(crate) struct Inbound {
    /// By its own roles.
    pub own: mpsc::Receiver<OwnRequest>,
    /// By other nodes.
    pub others: mpsc::Receiver<InboundRequest>,
}

/// Has `roles` answer requests until `stopping`. When this ends, so do the roles, as far as it depends on this; who asks
/// afterwards is answered by an error.
///
/// Each request is answered by a task of its own, and taking one waits for nothing. So the bound of the queue is one on
/// requests that nobody has taken yet, and not on those that are under way: a request that is answered only when another
/// one of this node to itself is (to stop a job, which asks the worker; to move one) can hold up nobody, however many of
/// them there are. How many are under way is bounded by who asks: `mc-net` bounds those of others, and each role has a task
/// for each of its own.
pub(crate) async fn run<R: Answers>(
    roles: R,
    inbound: Inbound,
    (tasks, stopping): (Supervisor, CancellationToken),
) {
    let Inbound {
        mut own,
        mut others,
    } = inbound;
    let roles = Arc::new(roles);
    loop {
        // Neither goes first: heartbeats come by both ways. If nobody asks by one any more, the other goes on.
        tokio::select! {
            () = stopping.cancelled() => return,
            Some(asked) = own.recv() => {
                let roles = Arc::clone(&roles);
                tasks.serve("request of this node", async move {
                    let response = roles.answer(asked.from, asked.request).await;
                    // The caller may have lost interest.
                    let _ = asked.reply.send(response);
                });
            }
            Some(asked) = others.recv() => {
                let roles = Arc::clone(&roles);
                tasks.serve("request of a peer", async move {
                    let InboundRequest { from, request, reply } = asked;
                    reply.send(roles.answer(from, request).await);
                });
            }
        }
    }
}

/// The two roles of a node, and what both work with.
#[derive(Debug)]
pub(crate) struct Roles {
    /// Grants leases.
    pub coordinator: Coordinator,
    /// Runs tasks.
    pub worker: Worker,
    /// What it has.
    pub content: Content,
}

impl Answers for Roles {
    async fn answer(&self, from: NodeId, request: Request) -> Response {
        let Self {
            coordinator,
            worker,
            content,
        } = self;
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
            Request::Solicit => {
                worker.solicited(from);
                Response::Ok
            }
            Request::Describe => Response::Described(worker.announcement()),
            Request::Offer {
                lease,
                job,
                checkpoints,
                replicas,
                grant,
                key,
            } => {
                let offer = Offer {
                    lease,
                    grant,
                    key,
                    job: *job,
                    checkpoints,
                    replicas,
                };
                worker.offer(from, offer)
            }
            Request::Layer { digest } => match content.layer_root(&digest).await {
                Ok(root) => Response::Layer { root },
                Err(error) => error.into(),
            },
            Request::Keep { job, task } => coordinator.keep(from, job, task).await,
            Request::CancelJob { job } => coordinator.cancel_for(from, job).await,
            // Both ask the worker in turn, which may be this node.
            Request::StopJob { job } => coordinator.stop_for(from, job).await,
            Request::MigrateJob { job, to } => coordinator.migrate_for(from, job, to).await,
            Request::WhyJob { job } => coordinator.why_for(from, job).await,
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
            Request::Stop { job, token, leave } => worker.stop(&from, job, token, leave),
            Request::Cancel { job, token } => worker.cancel(&from, job, token),
            Request::Log {
                job,
                stream,
                offset,
            } => worker.log(&from, job, stream, offset).await,
        }
    }
}

#[cfg(test)]
mod tests;
