//! What runs tasks of one kind.

use crate::{
    attempt::{AttemptContext, Finished},
    blocks::Blocks,
    error::ExecutionError,
};
use async_trait::async_trait;
use mc_types::{KindName, TaskSpec};
use std::sync::Arc;

/// What a task is prepared for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Need {
    /// To run from the beginning, and stop once on request.
    Run,
    /// To resume from a checkpoint, or after each of many stops. Preparing may take longer.
    GoOn,
}

/// Runs tasks of one kind. There is one of each kind on a node, for all its attempts.
#[async_trait]
pub trait Executor: std::fmt::Debug + Send + Sync {
    /// The kind.
    fn kind(&self) -> KindName;

    /// Prepares a task if this machine already has all that it needs. Blocks while it reads a file.
    fn ready(&self, task: &TaskSpec, need: Need) -> Option<Box<dyn Prepared>>;

    /// Fetches and prepares what the task needs before it can begin.
    ///
    /// # Errors
    ///
    /// [`ExecutionError`].
    ///
    /// # Cancel safety
    ///
    /// Dropping the future stops the compiler and the fetches.
    async fn prepare(
        &self,
        task: &TaskSpec,
        need: Need,
        blocks: &Arc<dyn Blocks>,
    ) -> Result<Box<dyn Prepared>, ExecutionError>;

    /// Refuses further work, and waits until all running attempts have ended.
    async fn close(&self);
}

/// A task that can begin.
#[async_trait]
pub trait Prepared: Send + Sync {
    /// Whether it can be stopped, to go on later.
    fn can_checkpoint(&self) -> bool;

    /// Runs the task until it has ended or left.
    ///
    /// # Errors
    ///
    /// [`ExecutionError`]: it has no outcome.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future does not end the task: cancel it before.
    async fn run(self: Box<Self>, cx: AttemptContext<'_>) -> Result<Finished, ExecutionError>;
}

/// The executors of a node, one for each kind of task that it runs. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct Executors(Vec<Arc<dyn Executor>>);

impl Executors {
    /// These. Of two for one kind, the first is used.
    #[must_use]
    pub const fn new(all: Vec<Arc<dyn Executor>>) -> Self {
        Self(all)
    }

    /// The one for tasks of a kind.
    ///
    /// # Errors
    ///
    /// [`ExecutionError::NoExecutor`].
    pub fn of(&self, kind: KindName) -> Result<&dyn Executor, ExecutionError> {
        let mut all = self.0.iter();
        let found = all.find(|executor| executor.kind() == kind);
        let found = found.map(|executor| &**executor);
        found.ok_or(ExecutionError::NoExecutor { kind })
    }

    /// Closes all of them.
    pub async fn close(&self) {
        let closing = self.0.iter().map(|executor| executor.close());
        futures::future::join_all(closing).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kind_without_an_executor_is_named_and_tried_elsewhere() {
        let refused = Executors::default().of(KindName::Wasm).unwrap_err();
        assert!(refused.to_string().ends_with("wasm"), "{refused}");
        assert!(!refused.is_tasks_fault());
    }
}
