//! Why something was not kept, or not said.

use std::path::PathBuf;

/// Why something was not kept, or not said. No attempt fails by it: the worker writes it to its log, and goes on.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file or directory could not be written.
    #[error("cannot use {path}")]
    Io {
        /// The path.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The block store.
    #[error(transparent)]
    Content(#[from] mc_content::Error),
    /// It cannot be encoded.
    #[error(transparent)]
    Encoding(#[from] mc_types::canonical::Error),
    /// The DHT does not take a completion.
    #[error("the completion was not published: {reason}")]
    NotPublished {
        /// Why.
        reason: String,
    },
}
