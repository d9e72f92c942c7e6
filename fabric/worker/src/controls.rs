//! How an attempt is controlled from outside.

use mc_types::Cid;
use std::sync::Arc;
use tokio::{
    sync::{Notify, watch},
    time::Instant,
};
use tokio_util::sync::CancellationToken;

/// How an attempt is controlled from outside. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Controls {
    /// Cancelled when the user cancels the job, the lease is lost, or the node shuts down.
    pub(crate) cancel: CancellationToken,
    /// Cancelled when the attempt should end with a checkpoint.
    pub(crate) leaving: CancellationToken,
    /// Asks for a checkpoint.
    pub(crate) stop_now: Arc<Notify>,
    /// Cancelled once it is known that the program cannot be stopped.
    pub(crate) cannot_stop: CancellationToken,
    /// When the guest began, once it has.
    pub(crate) begun: watch::Sender<Option<Instant>>,
    /// The newest checkpoint that is stored here, and its position.
    pub(crate) newest: watch::Sender<Option<(Cid, u64)>>,
}

impl Controls {
    /// The controls of an attempt on a node that cancels `leaving`, and then `closing`, when it shuts down.
    pub(crate) fn new(leaving: &CancellationToken, closing: &CancellationToken) -> Self {
        Self {
            cancel: closing.child_token(),
            leaving: leaving.child_token(),
            stop_now: Arc::default(),
            cannot_stop: CancellationToken::new(),
            begun: watch::Sender::new(None),
            newest: watch::Sender::new(None),
        }
    }

    /// The part of them that the executor obeys.
    pub(crate) fn of_execution(&self) -> mc_execution::Controls {
        mc_execution::Controls {
            cancel: self.cancel.clone(),
            leaving: self.leaving.clone(),
            stop_now: Arc::clone(&self.stop_now),
        }
    }
}
