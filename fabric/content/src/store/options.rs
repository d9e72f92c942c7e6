//! How a store is to be opened.

use mc_types::{Clock, SystemClock};
use std::{sync::Arc, time::Duration};

/// How a store is to be opened.
#[derive(Debug, Clone)]
pub struct Options {
    /// How long a block that was stored is spared from collection even if nothing pins it, so that
    /// an upload in progress is not collected before its root is pinned.
    pub gc_grace: Duration,
    /// The most bytes of blocks. Beyond it, unpinned blocks are evicted, the least recently used first.
    pub max_bytes: Option<u64>,
    /// Where the time comes from.
    pub clock: Arc<dyn Clock>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            gc_grace: Duration::from_secs(600),
            max_bytes: None,
            clock: Arc::new(SystemClock),
        }
    }
}
