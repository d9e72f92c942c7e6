//! How long jobs that have ended are remembered.

use crate::Failure;
use async_trait::async_trait;
use mc_types::JobRecord;
use std::{sync::Arc, time::Duration};

/// Where jobs are written before they are forgotten.
#[async_trait]
pub trait Archive: std::fmt::Debug + Send + Sync {
    /// Appends jobs. They are durable when this returns.
    ///
    /// # Errors
    ///
    /// That they could not be written: then they are not forgotten.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future leaves it open whether they were written.
    async fn append(&self, jobs: Vec<JobRecord>) -> Result<(), Failure>;
}

/// How long ended jobs are kept.
#[derive(Debug, Clone)]
pub struct Retention {
    /// For how long.
    pub keep: Duration,
    /// Where they are written then.
    pub archive: Option<Arc<dyn Archive>>,
}
