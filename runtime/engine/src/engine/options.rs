//! How an engine is to be made.

use crate::{Allocation, Target, isolated::Compiler};
use std::path::PathBuf;

/// How an engine is to be made.
#[derive(Debug, Clone)]
pub struct Options {
    /// Where compiled code is kept; nowhere if absent.
    pub cache_dir: Option<PathBuf>,
    /// How large that directory may grow, in bytes.
    pub cache_max_bytes: u64,
    /// Where instances come from.
    pub allocation: Allocation,
    /// What executes guests.
    pub target: Target,
    /// A compiler for programs that are not in the cache; it requires a cache. If absent, this process compiles them.
    pub compiler: Option<Compiler>,
    /// Called at the beginning of each thread that runs a guest, such as to lower its priority.
    pub on_guest_thread: Option<fn()>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            cache_dir: None,
            cache_max_bytes: 2 << 30,
            allocation: Allocation::default(),
            target: Target::default(),
            compiler: None,
            on_guest_thread: None,
        }
    }
}
