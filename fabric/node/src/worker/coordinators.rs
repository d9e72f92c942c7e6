//! Whom an attempt reports to.

use crate::peers::Peers;
use mc_protocol::{Request, RequestError, Response};
use mc_types::NodeId;
use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

/// Other coordinators that are remembered.
const MAX_SISTERS: usize = 16;

#[derive(Debug)]
struct Known {
    /// The one that granted the lease comes first.
    all: Vec<NodeId>,
    /// The one that is asked.
    now: usize,
}

/// The coordinator that granted a lease, and those that go on with the job if it is gone. Cheap to clone; clones
/// agree on the one that is asked.
#[derive(Debug, Clone)]
pub(crate) struct Coordinators {
    granting: NodeId,
    known: Arc<Mutex<Known>>,
}

impl Coordinators {
    /// `granting` is asked first.
    #[must_use]
    pub(crate) fn new(granting: NodeId, sisters: Vec<NodeId>) -> Self {
        let known = Known {
            all: vec![granting.clone()],
            now: 0,
        };
        let coordinators = Self {
            granting,
            known: Arc::new(Mutex::new(known)),
        };
        coordinators.learn(sisters);
        coordinators
    }

    /// Those of a lease that was granted before this process began; the first is asked first.
    #[must_use]
    pub(crate) fn restored(all: &[NodeId]) -> Option<Self> {
        let (granting, sisters) = all.split_first()?;
        Some(Self::new(granting.clone(), sisters.to_vec()))
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        // Every update leaves a list that can be asked, so a poisoned one is still of use.
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes note of coordinators that came later.
    fn learn(&self, sisters: Vec<NodeId>) {
        let mut known = self.known();
        for sister in sisters {
            if known.all.len() <= MAX_SISTERS && !known.all.contains(&sister) {
                known.all.push(sister);
            }
        }
    }

    /// Asks the one that answered last. If it does not answer, or does not know, another one is asked the
    /// next time.
    pub(crate) async fn ask(
        &self,
        peers: &Peers,
        request: Request,
    ) -> Result<Response, RequestError> {
        self.ask_within(Duration::MAX, peers, request).await
    }

    /// The same, of one that does not answer for `patience` as of one that does not answer at all.
    pub(crate) async fn ask_within(
        &self,
        patience: Duration,
        peers: &Peers,
        request: Request,
    ) -> Result<Response, RequestError> {
        let (asked, count) = {
            let known = self.known();
            (known.all.get(known.now).cloned(), known.all.len().max(1))
        };
        let Some(asked) = asked else {
            return Err(RequestError::Closed);
        };
        let answer = Box::pin(peers.request(&asked, request));
        let answer = tokio::time::timeout(patience, answer).await;
        let answer = answer.unwrap_or_else(|_| Err(RequestError::Timeout(asked)));
        match &answer {
            Ok(Response::Renewed { sisters, .. }) => self.learn(sisters.clone()),
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
