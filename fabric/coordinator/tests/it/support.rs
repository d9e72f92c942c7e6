//! What coordinators work over, made up: jobs in memory, content without bytes, a wire and workers. Time is tokio's.

pub(crate) mod content;
pub(crate) mod plain;
pub(crate) mod process;
pub(crate) mod random;
pub(crate) mod scene;
pub(crate) mod store;
pub(crate) mod wire;
pub(crate) mod worker;
pub(crate) mod world;

use mc_types::NodeId;
use std::sync::{Mutex, MutexGuard, PoisonError};

pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

pub(crate) fn node(n: u32) -> NodeId {
    let name = format!("12D3KooWnode{}", n + 1);
    name.replace('0', "z").parse().unwrap()
}
