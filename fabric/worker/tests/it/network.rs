//! Coordinators that answer as the test says.

use async_trait::async_trait;
use mc_protocol::{Exchange, Request, RequestError, Response};
use mc_types::{AttemptResult, JobId, NodeId};
use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard},
    time::Duration,
};
use tokio::sync::Notify;

/// The term of leases.
pub(crate) const TTL: Duration = Duration::from_secs(15);
/// How long is waited for what must come. The clock goes on only when nothing else does.
pub(crate) const PATIENCE: Duration = Duration::from_secs(3600);

/// How a coordinator answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Manner {
    /// It takes whatever it is told.
    Takes,
    /// It cannot be reached.
    Silent,
    /// It is there, and never answers.
    StandsStill,
    /// It has given the lease to another.
    Stale,
    /// Its user has called the job off.
    Cancelled,
    /// It is still fetching results.
    Fetching,
}

/// All nodes but the worker's. Whoever is not spoken of takes whatever it is told.
#[derive(Debug)]
pub(crate) struct Network {
    local: NodeId,
    manners: Mutex<HashMap<NodeId, Manner>>,
    asked: Mutex<Vec<(NodeId, Request)>>,
    again: Notify,
}

/// A node with a letter for a name.
pub(crate) fn node(letter: char) -> NodeId {
    format!("12D3KooWnode{letter}").parse().unwrap()
}

impl Network {
    pub(crate) fn new() -> Self {
        Self {
            local: node('W'),
            manners: Mutex::default(),
            asked: Mutex::default(),
            again: Notify::new(),
        }
    }

    /// From now on, a node answers so.
    pub(crate) fn set(&self, node: NodeId, manner: Manner) {
        self.manners.lock().unwrap().insert(node, manner);
    }

    /// What was asked, and of whom, in order.
    pub(crate) fn asked(&self) -> MutexGuard<'_, Vec<(NodeId, Request)>> {
        self.asked.lock().unwrap()
    }

    /// The kinds of what was asked since there were so many.
    pub(crate) fn kinds_since(&self, count: usize) -> Vec<&'static str> {
        let asked = self.asked();
        let since = asked.iter().skip(count);
        since.map(|(_, request)| request.kind()).collect()
    }

    /// How often something of a kind was asked.
    pub(crate) fn count(&self, kind: &str) -> usize {
        let asked = self.asked();
        let of_kind = asked.iter().filter(|(_, request)| request.kind() == kind);
        of_kind.count()
    }

    /// How an attempt ended, as was said last, and to whom.
    pub(crate) fn finish(&self, of: JobId) -> Option<(NodeId, AttemptResult)> {
        let asked = self.asked();
        asked
            .iter()
            .rev()
            .find_map(|(node, request)| match request {
                Request::Finish { job, ending, .. } if *job == of => {
                    Some((node.clone(), ending.clone()))
                }
                _ => None,
            })
    }

    /// Waits until what was asked is as it should be.
    pub(crate) async fn until(&self, what: &str, is_so: impl Fn(&Self) -> bool) {
        let waiting = async {
            loop {
                let again = self.again.notified();
                if is_so(self) {
                    return;
                }
                again.await;
            }
        };
        let waited = tokio::time::timeout(PATIENCE, waiting).await;
        assert!(waited.is_ok(), "not within {PATIENCE:?}: {what}");
    }

    /// Waits until it is said how an attempt ended; gives that.
    pub(crate) async fn finished(&self, job: JobId) -> AttemptResult {
        let is_said = |network: &Self| network.finish(job).is_some();
        self.until("how it ended is said", is_said).await;
        self.finish(job).unwrap().1
    }
}

#[async_trait]
impl Exchange for Network {
    fn local(&self) -> &NodeId {
        &self.local
    }

    async fn request(&self, node: &NodeId, request: Request) -> Result<Response, RequestError> {
        let manner = self.manners.lock().unwrap().get(node).copied();
        let answer = answer(manner.unwrap_or(Manner::Takes), node, &request);
        self.asked().push((node.clone(), request));
        self.again.notify_waiters();
        if manner == Some(Manner::StandsStill) {
            std::future::pending::<()>().await;
        }
        answer
    }

    async fn has_ended(&self, _: &NodeId) -> bool {
        false
    }
}

fn answer(manner: Manner, node: &NodeId, request: &Request) -> Result<Response, RequestError> {
    if manner == Manner::Silent {
        return Err(RequestError::NotConnected(node.clone()));
    }
    Ok(match (manner, request) {
        (_, Request::Announce(_)) => Response::Wanted,
        (Manner::Stale, _) => Response::Stale,
        (Manner::Cancelled, Request::Heartbeat { .. }) => Response::Cancelled,
        (Manner::Fetching, Request::Finish { .. }) => Response::Pending,
        (_, Request::Heartbeat { .. }) => Response::Renewed {
            ttl_ms: u64::try_from(TTL.as_millis()).unwrap(),
            replicas: Vec::new(),
        },
        (_, Request::Finish { .. } | Request::Checkpoint { .. } | Request::Wrote { .. }) => {
            Response::Recorded
        }
        _ => Response::Ok,
    })
}
