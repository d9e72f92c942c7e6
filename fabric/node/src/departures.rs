//! Telling this node's coordinator who has gone.

use mc_coordinator::Coordinator;
use mc_types::NodeId;
use std::{collections::BTreeSet, sync::Arc};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

/// Tells `coordinator` of each node that is not among those that are `connected` any more.
pub(crate) async fn run(
    coordinator: Coordinator,
    mut connected: watch::Receiver<Arc<BTreeSet<NodeId>>>,
    stopping: CancellationToken,
) {
    let mut known: Arc<BTreeSet<NodeId>> = Arc::default();
    while let Some(Ok(())) = stopping.run_until_cancelled(connected.changed()).await {
        let now = connected.borrow_and_update().clone();
        for gone in known.difference(&now) {
            coordinator.gone(gone.clone()).await;
        }
        known = now;
    }
}
