//! The tasks of a node: who owns them, and what becomes of the node when one of them fails.
//!
//! Each task belongs to a group, whose owner waits for all of its tasks when the node stops. A task is *essential* if,
//! without it, the node would still answer but do nothing: if such a task panics, or ends before it was told to, the node
//! ends. A task that *serves* one request, one peer or one job may panic without harm to the others; that is
//! logged and counted.
//!
//! Futures are boxed before they are spawned. Otherwise tokio's code for a task, some thousands of lines, would be compiled
//! once for each kind of future.

mod supervisor;

pub use supervisor::{Failure, Supervisor};
