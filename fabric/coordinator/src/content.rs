//! Where inputs, results, checkpoints and logs are kept.

use crate::Failure;
use async_trait::async_trait;
use mc_types::{Cid, ErrorCode, NodeId};
use std::collections::HashSet;

/// The budget of what may be of any size that content may have.
pub const UNLIMITED: u64 = u64::MAX;

/// The content of this node, and the way to that of others.
///
/// What is below a pinned root is not removed, whether or not all of it has come yet. What is here and not pinned may be
/// removed at any time.
///
/// # Errors
///
/// Each method fails if this node's content cannot be read or written.
///
/// # Cancel safety
///
/// Dropping the future of a method that fetches keeps what has come so far. With the others it is open whether it was done.
#[async_trait]
pub trait ContentStore: std::fmt::Debug + Send + Sync {
    /// Stores a block of canonical DAG-CBOR, whose CID is `root`, and pins all that is below it, in one write.
    async fn put_pinned(&self, name: &str, root: Cid, block: Vec<u8>) -> Result<(), ContentError>;

    /// Pins all that is below `root` under `name`, in place of what had that name.
    async fn pin(&self, name: &str, root: Cid) -> Result<(), ContentError>;

    /// Removes a pin, if there is one.
    async fn unpin(&self, name: &str) -> Result<(), ContentError>;

    /// All pins by name, also those that are no coordinator's.
    async fn pins(&self) -> Result<Vec<(String, Cid)>, ContentError>;

    /// Makes all that is below `root` this node's own, first from `providers`. `budget` is less by the bytes that came.
    ///
    /// # Errors
    ///
    /// [`ContentError::TooLarge`] beyond the budget, [`ContentError::Failed`] if nobody who can be reached has a block.
    async fn fetch(
        &self,
        root: Cid,
        providers: Vec<NodeId>,
        budget: &mut u64,
    ) -> Result<(), ContentError>;

    /// The same, if all is here already that is below those of `complete`. Afterwards these are the inner blocks below
    /// `root`; after an error, none.
    ///
    /// # Errors
    ///
    /// As [`Self::fetch`].
    async fn fetch_beyond(
        &self,
        root: Cid,
        providers: Vec<NodeId>,
        complete: &mut HashSet<Cid>,
        budget: &mut u64,
    ) -> Result<(), ContentError>;

    /// The same as [`Self::fetch`] without a budget; gives how many bytes the blocks below `root` have.
    ///
    /// # Errors
    ///
    /// As [`Self::fetch`].
    async fn bytes_below(&self, root: Cid, providers: Vec<NodeId>) -> Result<u64, ContentError>;
}

/// Why content is not here.
#[derive(Debug, thiserror::Error)]
pub enum ContentError {
    /// It has more bytes or blocks than it may have.
    #[error(transparent)]
    TooLarge(Failure),
    /// It cannot be had, or not be kept.
    #[error(transparent)]
    Failed(#[from] Failure),
}

impl ContentError {
    /// The stable code that users see.
    #[must_use]
    pub const fn code(&self) -> ErrorCode {
        match self {
            Self::TooLarge(failure) | Self::Failed(failure) => failure.code(),
        }
    }

    /// The error itself, for callers that know its type.
    #[must_use]
    pub fn into_inner(self) -> Box<dyn std::error::Error + Send + Sync> {
        match self {
            Self::TooLarge(failure) | Self::Failed(failure) => failure.into_inner(),
        }
    }
}
