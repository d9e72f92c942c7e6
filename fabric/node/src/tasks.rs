//! Tasks that run beside others.
//!
//! All that tokio does for a task is compiled once for each kind of future, some thousands of lines each. Boxed, all of
//! them are one kind.

use futures::FutureExt;
use tokio::task::JoinHandle;
use tokio_util::task::TaskTracker;

/// Runs a task beside this one.
pub(crate) fn spawn<T: Send + 'static>(
    task: impl Future<Output = T> + Send + 'static,
) -> JoinHandle<T> {
    tokio::spawn(task.boxed())
}

/// Runs a task beside this one, for whose end `tracker` waits.
pub(crate) fn spawn_in(tracker: &TaskTracker, task: impl Future<Output = ()> + Send + 'static) {
    tracker.spawn(task.boxed());
}
