//! By what an attempt is influenced from outside.

use mc_types::Cid;
use std::sync::Arc;
use tokio::{
    sync::{Notify, watch},
    time::Instant,
};
use tokio_util::sync::CancellationToken;

/// By what an attempt is influenced from outside. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Controls {
    /// Set when the user calls the job off, the lease is lost, or the node shuts down.
    pub(crate) cancel: CancellationToken,
    /// Set when the attempt is to end with a checkpoint.
    pub(crate) leaving: CancellationToken,
    /// Asks for a checkpoint.
    pub(crate) stop_now: Arc<Notify>,
    /// Set as soon as it is known that the program cannot be stopped.
    pub(crate) cannot_stop: CancellationToken,
    /// When the guest began, once it has.
    pub(crate) begun: watch::Sender<Option<Instant>>,
    /// The newest checkpoint that is stored here, and its position.
    pub(crate) newest: watch::Sender<Option<(Cid, u64)>>,
}

impl Controls {
    /// Those of an attempt on a node that is `leaving`, and then `closing`.
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

    /// Those that whatever runs the task obeys.
    pub(crate) fn of_execution(&self) -> mc_execution::Controls {
        mc_execution::Controls {
            cancel: self.cancel.clone(),
            leaving: self.leaving.clone(),
            stop_now: Arc::clone(&self.stop_now),
        }
    }
}
