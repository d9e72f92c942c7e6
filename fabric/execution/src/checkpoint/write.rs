//! From a guest that was stopped to blocks.

use super::error::CheckpointError;
use mc_checkpoint::{
    PASS_VERSION,
    snapshot::{Blob, Block, Checkpoint, CheckpointKind, FORMAT, Memory, Pages},
};
use mc_content::{
    Key,
    seal::{Cipher, SealContext},
};
use mc_engine::Saved;
use mc_types::Cid;
use std::io::{Read, Seek};

/// Bytes that are read as far as they are needed.
pub trait Stream: Read + Seek {}

impl<T: Read + Seek> Stream for T {}

/// The output of a guest until it was stopped: the streams, and how many of their bytes count.
#[expect(
    missing_debug_implementations,
    reason = "streams of whatever kind have none"
)]
pub struct Output<'a> {
    /// Standard output.
    pub stdout: (&'a mut dyn Stream, u64),
    /// Standard error.
    pub stderr: (&'a mut dyn Stream, u64),
}

/// Makes blocks of the states of one task, one state after the other. Each time it makes only the new blocks.
#[derive(Debug)]
pub struct Writer {
    task: Cid,
    component: Cid,
    pages: Vec<Pages>,
    last: Option<Checkpoint>,
    cipher: Option<Cipher>,
}

impl Writer {
    /// A writer for a task and its component, which encrypts if there is a key.
    #[must_use]
    pub fn new(task: Cid, component: Cid, key: Option<&Key>) -> Self {
        Self {
            task,
            component,
            pages: Vec::new(),
            last: None,
            cipher: key.map(Key::cipher),
        }
    }

    /// Gives the blocks of a state to `emit`, except those that the last state had. Returns the root block of the
    /// checkpoint, which must be stored after all others.
    ///
    /// # Errors
    ///
    /// [`CheckpointError::Encode`], [`CheckpointError::State`], [`CheckpointError::Output`].
    pub fn write(
        &mut self,
        saved: &Saved,
        output: Output<'_>,
        emit: &mut dyn FnMut(Block),
    ) -> Result<Block, CheckpointError> {
        let world = saved.world.to_bytes()?;
        self.pages.resize_with(saved.memories.len(), Pages::default);
        let seal = self.cipher.as_ref();
        let seal = seal.map(|cipher| |bytes: &[u8]| cipher.seal(SealContext::Block, bytes));
        let seal = seal.as_ref().map(|seal| seal as &dyn Fn(&[u8]) -> Vec<u8>);
        let memories = saved.memories.iter().zip(&mut self.pages);
        let memories = memories
            .map(|(memory, pages)| Memory::write(memory, pages, seal, emit))
            .collect();
        let none = Blob::default();
        let before = |of: fn(&Checkpoint) -> &Blob| self.last.as_ref().map_or(&none, of);
        let (from, bytes) = output.stdout;
        let stdout = Blob::append(from, bytes, before(|last| &last.stdout), seal, emit)?;
        let (from, bytes) = output.stderr;
        let stderr = Blob::append(from, bytes, before(|last| &last.stderr), seal, emit)?;
        let mut blob =
            |bytes: &[u8], of: fn(&Checkpoint) -> &Blob| Blob::write(bytes, before(of), seal, emit);
        let checkpoint = Checkpoint {
            format: FORMAT,
            pass: PASS_VERSION,
            host: mc_wasi::STATE_VERSION,
            kind: CheckpointKind::Wasm,
            task: self.task,
            component: self.component,
            position: saved.position,
            paid: saved.paid,
            memory_refused: saved.memory_refused,
            frames: blob(&saved.frames, |last| &last.frames),
            globals: blob(&saved.globals, |last| &last.globals),
            world: blob(&world, |last| &last.world),
            stdout,
            stderr,
            memories,
        };
        let block = checkpoint.to_block();
        let block = block.map_err(|error| CheckpointError::Encode(error.to_string()))?;
        self.last = Some(checkpoint);
        Ok(block)
    }
}
