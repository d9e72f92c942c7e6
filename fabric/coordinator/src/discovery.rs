//! Being found, and finding workers.

use async_trait::async_trait;
use mc_types::JobRecord;

/// Hints that nodes give each other. Nothing of it may be relied on, and so nothing of it fails.
///
/// # Cancel safety
///
/// Dropping a future leaves it open whether anything was said, or anybody connected to.
#[async_trait]
pub trait Discovery: std::fmt::Debug + Send + Sync {
    /// Says in which state a job is, for those who ask at other nodes.
    async fn publish(&self, job: &JobRecord);

    /// Begins to connect to some more of the nodes that are known.
    async fn connect_more(&self, nodes: usize);

    /// Looks for nodes that have nothing to do, and connects to them.
    async fn search_idle(&self);
}
