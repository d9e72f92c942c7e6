//! Tasks that are WebAssembly: components and core modules.
//!
//! Besides the executor, this checks, compiles and inspects programs, so that no other module needs the engine.

mod attempt;
mod bounds;
mod copies;
mod recorder;
mod shared;

pub use bounds::Bounds;
pub use mc_checkpoint::{Admission, Inspection, inspect};
pub use mc_engine::{
    Allocation, CompileLimits, Compiler, Error, Job, MAX_COMPONENT_BYTES, Options, Target, check,
    check_proposals, classify, compile_here,
};

use crate::{
    attempt::{AttemptContext, Finished},
    blocks::Blocks,
    error::ExecutionError,
    executor::{Executor, Need, Prepared},
};
use async_trait::async_trait;
use mc_engine::Program;
use mc_types::{Determinism, KindName, TaskSpec};
use shared::{Shared, component};
use std::sync::Arc;

/// Runs WebAssembly. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Wasm {
    shared: Arc<Shared>,
}

impl Wasm {
    /// An executor that keeps to `bounds`.
    ///
    /// # Errors
    ///
    /// [`Error`].
    pub fn new(options: &Options, bounds: Bounds) -> Result<Self, Error> {
        Ok(Self {
            shared: Arc::new(Shared::new(options, bounds)?),
        })
    }

    fn prepared(&self, task: &TaskSpec, program: Program) -> Box<dyn Prepared> {
        Box::new(Guest {
            shared: Arc::clone(&self.shared),
            task: task.clone(),
            program,
        })
    }
}

#[async_trait]
impl Executor for Wasm {
    fn kind(&self) -> KindName {
        KindName::Wasm
    }

    fn ready(&self, task: &TaskSpec, need: Need) -> Option<Box<dyn Prepared>> {
        let need = engines(need, task.determinism);
        let program = self.shared.engine.cached(&component(task), need)?;
        Some(self.prepared(task, program))
    }

    async fn prepare(
        &self,
        task: &TaskSpec,
        need: Need,
        blocks: &Arc<dyn Blocks>,
    ) -> Result<Box<dyn Prepared>, ExecutionError> {
        let need = engines(need, task.determinism);
        let program = self.shared.program(component(task), need, blocks).await?;
        Ok(self.prepared(task, program))
    }

    async fn close(&self) {
        tokio::join!(self.shared.guests.close(), self.shared.encoders.close());
    }
}

/// What the engine is asked for.
fn engines(need: Need, determinism: Determinism) -> mc_engine::Need {
    match (need, mc_engine::Need::from(determinism)) {
        (Need::GoOn, mc_engine::Need::Run) => mc_engine::Need::Resume,
        (_, need) => need,
    }
}

/// A program that is to be run for a task.
#[derive(Debug)]
struct Guest {
    shared: Arc<Shared>,
    task: TaskSpec,
    program: Program,
}

#[async_trait]
impl Prepared for Guest {
    fn can_checkpoint(&self) -> bool {
        self.program.stops()
    }

    async fn run(self: Box<Self>, cx: AttemptContext<'_>) -> Result<Finished, ExecutionError> {
        let Self {
            shared,
            task,
            program,
        } = *self;
        Box::pin(attempt::run(&shared, &task, program, cx)).await
    }
}
