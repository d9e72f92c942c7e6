//! Saying to everybody what a job came to.

use crate::Error;
use async_trait::async_trait;
use mc_types::{Completion, FencingToken, JobId};

/// Where those find what a job came to who ask while its coordinator is away: the DHT.
#[async_trait]
pub trait Completions: std::fmt::Debug + Send + Sync {
    /// Publishes a completion, with the lease as the coordinator signed it, which proves the right to.
    ///
    /// # Errors
    ///
    /// [`Error::NotPublished`].
    async fn publish(
        &self,
        job: JobId,
        lease: (FencingToken, Vec<u8>),
        completion: &Completion,
    ) -> Result<(), Error>;
}
