//! Saying something about work to a node, which may be this one.

use crate::{
    content::Content,
    coordinator::{Coordinator, Written},
    worker::{Coordinators, Offered, Worker},
};
use mc_net::Client;
use mc_protocol::{Announcement, Request, RequestError, Response};
use mc_supervision::Supervisor;
use mc_types::{ErrorCode, NodeId};
use std::{
    sync::{Arc, PoisonError, RwLock},
    time::Duration,
};
use tokio::sync::mpsc;

/// How long an announcement that was not heard is kept back before it is said once more.
const ANNOUNCE_AGAIN_AFTER: Duration = Duration::from_millis(300);

/// Carries requests to other nodes by the network, and to this node's own roles directly, so that
/// one node alone works in the same way as many.
#[derive(Debug, Clone)]
pub(crate) struct Peers {
    local: NodeId,
    net: Client,
    roles: Arc<RwLock<Option<Arc<Roles>>>>,
}

/// The two roles of this node, and what both work with.
#[derive(Debug, Clone)]
pub(crate) struct Roles {
    /// Grants leases.
    pub coordinator: Coordinator,
    /// Runs tasks.
    pub worker: Worker,
    /// What it has.
    pub content: Content,
}

/// Keeps the roles of a node reachable.
#[derive(Debug)]
pub(crate) struct Circle(Peers);

impl Drop for Circle {
    fn drop(&mut self) {
        self.0.replace(None);
    }
}

impl Peers {
    /// Carries requests over `net`. Until [`Self::set_roles`], this node itself answers with an error.
    #[must_use]
    pub(crate) fn new(net: Client) -> Self {
        Self {
            local: net.local_id().clone(),
            net,
            roles: Arc::default(),
        }
    }

    /// Completes the circle: the roles need to send, and are sent to. It is open again once what this gives is dropped,
    /// so that nothing of a node that has ended keeps itself alive.
    #[must_use]
    pub(crate) fn set_roles(&self, roles: Roles) -> Circle {
        self.replace(Some(Arc::new(roles)));
        Circle(self.clone())
    }

    fn replace(&self, roles: Option<Arc<Roles>>) {
        // A pointer is there or not, whatever panicked.
        let mut known = self.roles.write().unwrap_or_else(PoisonError::into_inner);
        let before = std::mem::replace(&mut *known, roles);
        drop(known);
        // Not under the lock: roles end with what they hold.
        drop(before);
    }

    fn roles(&self) -> Option<Arc<Roles>> {
        let known = self.roles.read().unwrap_or_else(PoisonError::into_inner);
        known.clone()
    }

    /// This node.
    #[must_use]
    pub(crate) fn local(&self) -> &NodeId {
        &self.local
    }

    /// Sends `request` to `node` and waits for the answer.
    ///
    /// # Errors
    ///
    /// [`RequestError`] when the node is not connected or does not answer in time. It may have
    /// acted on the request nevertheless.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future abandons the answer, not the request.
    pub(crate) async fn request(
        &self,
        node: &NodeId,
        request: Request,
    ) -> Result<Response, RequestError> {
        if *node == self.local {
            Ok(self.answer(node.clone(), request).await)
        } else {
            self.net.request(node, request).await
        }
    }

    /// Tells a node what this one lends, and takes note whether it wants to hear more. If it is not heard, it
    /// is said again soon.
    pub(crate) fn announce(
        &self,
        tasks: &Supervisor,
        node: &NodeId,
        announcement: Announcement,
        wanted: &mpsc::Sender<(NodeId, bool)>,
    ) {
        let (peers, node, wanted) = (self.clone(), node.clone(), wanted.clone());
        tasks.serve("announcement", async move {
            let mut heard = peers
                .request(&node, Request::Announce(announcement.clone()))
                .await;
            if heard.is_err() {
                // A node that has just connected may not know yet who this is.
                tokio::time::sleep(ANNOUNCE_AGAIN_AFTER).await;
                heard = peers.request(&node, Request::Announce(announcement)).await;
            }
            let wants = match heard {
                Ok(answer) => answer == Response::Wanted,
                Err(error) => {
                    tracing::debug!(%error, "announcement not heard");
                    true
                }
            };
            // Nobody listens any more when the node is stopping.
            let _ = wanted.send((node, wants)).await;
        });
    }

    /// Whether the process of a node has ended whose connection was closed; `false` if that cannot be known.
    pub(crate) async fn has_ended(&self, node: &NodeId) -> bool {
        self.net.has_ended(node).await
    }

    /// The connection to a node is gone.
    pub(crate) async fn gone(&self, node: &NodeId) {
        if let Some(roles) = self.roles() {
            roles.coordinator.gone(node.clone()).await;
        }
    }

    /// Answers a request that came from `from`.
    pub(crate) async fn answer(&self, from: NodeId, request: Request) -> Response {
        let Some(roles) = self.roles() else {
            let message = "the node is starting, or about to end";
            return Response::error(ErrorCode::Infrastructure, message);
        };
        let Roles {
            coordinator,
            worker,
            content,
        } = &*roles;
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
                sisters,
                grant,
                key,
            } => {
                let coordinators = Coordinators::new(from, sisters);
                let lease = Offered { lease, grant, key };
                worker.offer(coordinators, lease, *job, checkpoints)
            }
            Request::Layer { digest } => match content.layer_root(&digest).await {
                Ok(root) => Response::Layer { root },
                Err(error) => error.into(),
            },
            Request::Keep { job, task } => coordinator.keep(from, job, task).await,
            Request::CancelJob { job } => coordinator.cancel_for(from, job).await,
            // Both ask the worker in turn, which may be this node.
            Request::StopJob { job } => Box::pin(coordinator.stop_for(from, job)).await,
            Request::MigrateJob { job, to } => {
                Box::pin(coordinator.migrate_for(from, job, to)).await
            }
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
                Box::pin(coordinator.keep_log(from, written)).await
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
