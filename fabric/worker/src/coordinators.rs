//! Whom an attempt reports to.

use mc_protocol::{Exchange, Request, RequestError, Response};
use mc_types::NodeId;
use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

/// Other coordinators that are remembered.
const MAX_REPLICAS: usize = 16;

#[derive(Debug)]
struct Known {
    /// The one that granted the lease comes first.
    all: Vec<NodeId>,
    /// The one that is asked.
    now: usize,
}

/// The coordinator that granted a lease, and those that take over the job if it is gone. Cheap to clone; clones agree
/// on which one to ask.
#[derive(Debug, Clone)]
pub(crate) struct Coordinators {
    granting: NodeId,
    known: Arc<Mutex<Known>>,
}

impl Coordinators {
    /// `granting` is asked first.
    #[must_use]
    pub(crate) fn new(granting: NodeId, replicas: Vec<NodeId>) -> Self {
        let known = Known {
            all: vec![granting.clone()],
            now: 0,
        };
        let coordinators = Self {
            granting,
            known: Arc::new(Mutex::new(known)),
        };
        coordinators.learn(replicas);
        coordinators
    }

    /// The coordinators of a lease that was granted before this process began; the first is asked first.
    #[must_use]
    pub(crate) fn restored(all: &[NodeId]) -> Option<Self> {
        let (granting, replicas) = all.split_first()?;
        Some(Self::new(granting.clone(), replicas.to_vec()))
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        // Every update leaves a valid list, so a poisoned one is still usable.
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes note of coordinators that came later.
    fn learn(&self, replicas: Vec<NodeId>) {
        let mut known = self.known();
        for replica in replicas {
            if known.all.len() <= MAX_REPLICAS && !known.all.contains(&replica) {
                known.all.push(replica);
            }
        }
    }

    /// Asks the coordinator that answered last. If it does not answer, or does not know, the next call asks another
    /// one.
    pub(crate) async fn ask(
        &self,
        peers: &dyn Exchange,
        request: Request,
    ) -> Result<Response, RequestError> {
        self.ask_within(Duration::MAX, peers, request).await
    }

    /// The same, but a coordinator that takes longer than `patience` counts as one that does not answer.
    pub(crate) async fn ask_within(
        &self,
        patience: Duration,
        peers: &dyn Exchange,
        request: Request,
    ) -> Result<Response, RequestError> {
        let (asked, count) = {
            let known = self.known();
            (known.all.get(known.now).cloned(), known.all.len().max(1))
        };
        let Some(asked) = asked else {
            return Err(RequestError::Closed);
        };
        let answer = tokio::time::timeout(patience, peers.request(&asked, request)).await;
        let answer = answer.unwrap_or_else(|_| Err(RequestError::Timeout(asked)));
        match &answer {
            Ok(Response::Renewed { replicas, .. }) => self.learn(replicas.clone()),
            Err(_) | Ok(Response::Elsewhere) => {
                let mut known = self.known();
                known.now = (known.now + 1) % count;
            }
            Ok(_) => {}
        }
        answer
    }

    /// Whether `node` may say what becomes of the attempt.
    #[must_use]
    pub(crate) fn contains(&self, node: &NodeId) -> bool {
        self.known().all.contains(node)
    }

    /// The one that granted the lease.
    #[must_use]
    pub(crate) fn granting(&self) -> NodeId {
        self.granting.clone()
    }

    /// All of them.
    #[must_use]
    pub(crate) fn all(&self) -> Vec<NodeId> {
        self.known().all.clone()
    }
}
