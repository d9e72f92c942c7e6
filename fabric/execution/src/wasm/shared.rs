//! What all attempts of one executor share.

use super::{bounds::Bounds, copies::Copies};
use crate::{
    blocks::Blocks,
    error::ExecutionError,
    threads::{NotDone, Threads},
};
use mc_content::unixfs;
use mc_engine::{Engine, Error, MAX_COMPONENT_BYTES, Need, Options, Program};
use mc_types::{Cid, TaskKind, TaskSpec};
use std::sync::Arc;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

/// How many checkpoints are encoded at a time: each holds a copy of its guest's memory.
const ENCODERS: usize = 16;

/// What all attempts of one executor share.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) engine: Engine,
    /// Where guests are prepared and run, and their results collected.
    pub(super) guests: Threads,
    /// Where their checkpoints are encoded. A guest waits for this, so it must not share the guests' places.
    pub(super) encoders: Threads,
    /// Bounds how many compilers run at a time.
    compilers: Arc<Semaphore>,
    /// What checkpoints are made of.
    pub(super) copies: Copies,
}

/// The component of a task, which is of the kind that is run here.
pub(super) const fn component(task: &TaskSpec) -> Cid {
    match task.kind {
        TaskKind::Wasm { component } => component,
    }
}

impl Shared {
    pub(super) fn new(options: &Options, bounds: Bounds) -> Result<Self, Error> {
        Ok(Self {
            engine: Engine::new(options)?,
            guests: Threads::new("attempt", bounds.guests),
            encoders: Threads::new("checkpoint", ENCODERS),
            copies: Copies::new(bounds.copied_bytes),
            compilers: Arc::new(Semaphore::new(
                bounds.compilers.clamp(1, Semaphore::MAX_PERMITS),
            )),
        })
    }

    /// Does a part of an attempt that may wait for blocks, on a thread for guests.
    pub(super) async fn on_thread<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, NotDone> {
        self.guests.run(work).await
    }

    /// A program, compiled if it has not been before.
    pub(super) async fn program(
        &self,
        cid: Cid,
        need: Need,
        blocks: &Arc<dyn Blocks>,
    ) -> Result<Program, ExecutionError> {
        if let Some(program) = self.engine.ready(&cid, need) {
            return Ok(program);
        }
        let engine = self.engine.clone();
        let cached = self.on_thread(move || engine.cached(&cid, need)).await;
        if let Some(program) = cached? {
            return Ok(program);
        }
        let bytes = unixfs::read_to_vec(blocks, cid, MAX_COMPONENT_BYTES).await?;
        // Compilers together take no more memory than they may.
        let permit = Arc::clone(&self.compilers).acquire_owned().await;
        let permit = permit.map_err(|e| ExecutionError::Machine(e.to_string()))?;
        let (engine, until) = (self.engine.clone(), CancellationToken::new());
        // A compiler stops when its caller no longer waits.
        let _stops = until.clone().drop_guard();
        let load = move || {
            let loaded = engine.load_until(&cid, &bytes, need, &until);
            // Not before: a compiler takes memory until it has ended, even when its caller no longer waits.
            drop(permit);
            loaded
        };
        Ok(self.on_thread(load).await??)
    }
}
