//! The tasks of a node: who owns them, and what becomes of the node when one of them fails.
//!
//! Each task belongs to a group, whose owner waits for all of its tasks when the node stops. A task is *essential* if the
//! node would go on without it as one that answers and does nothing: if such a task panics, or ends before it was told
//! to, the node ends. A task that *serves* one request, one peer or one job may panic without harm to the others; that is
//! logged and counted.
//!
//! All that tokio does for a task is compiled once for each kind of future, some thousands of lines each. Boxed, all of
//! them are one kind.

mod supervisor;

pub use supervisor::{Failure, Supervisor};
