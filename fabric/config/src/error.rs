//! Why a configuration cannot be used.

use std::path::PathBuf;

/// Why a configuration cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// The file was asked for, but cannot be read.
    #[error("cannot read the configuration file {path}")]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// The user's default configuration file exists and cannot be read.
    #[error("cannot read the configuration file {path}")]
    ReadUsual {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// The file is not TOML.
    #[error("{path} is not valid TOML: {message}")]
    Syntax {
        /// The file.
        path: PathBuf,
        /// Where and why.
        message: String,
    },
    /// A key that does not exist.
    #[error("unknown setting {key:?} in {origin}; did you mean {nearest:?}?")]
    UnknownKey {
        /// The key as written.
        key: String,
        /// Where it was written.
        origin: String,
        /// The valid key that looks most like it.
        nearest: String,
    },
    /// A value that its key does not take.
    #[error("{key} in {origin}: {message}")]
    Value {
        /// The key.
        key: String,
        /// Where it was written.
        origin: String,
        /// What is wrong, and what is accepted.
        message: String,
    },
    /// There is no data directory: neither `data_dir` nor `HOME` is set.
    #[error("no data directory: set data_dir (--data-dir, MC_WASM_DATA_DIR) or HOME")]
    NoHome,
}
