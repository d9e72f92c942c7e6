//! What the server and its routes share.

use crate::backend::Backend;
use std::sync::Arc;
use tokio_util::sync::CancellationToken;

/// What the routes share.
#[derive(Clone)]
pub(crate) struct Shared {
    pub(crate) backend: Arc<dyn Backend>,
    /// Cancelled when the server stops: long waits end at once.
    pub(crate) stopping: CancellationToken,
}
