//! From a guest that was stopped to blocks.

use super::CheckpointError;
use mc_checkpoint::{
    PASS_VERSION,
    snapshot::{Blob, Block, Checkpoint, FORMAT, Kind, Memory, Pages},
};
use mc_engine::Stopped;
use mc_types::Cid;

/// The state of a guest, copied, so that the guest can go on.
#[derive(Debug)]
pub struct Taken {
    position: u64,
    paid: u64,
    memory_refused: bool,
    frames: Vec<u8>,
    globals: Vec<u8>,
    memories: Vec<Vec<u8>>,
    world: Vec<u8>,
    /// Bytes of standard output and standard error.
    pub output_bytes: (u64, u64),
}

impl Taken {
    /// Copies the state of a guest.
    ///
    /// # Errors
    ///
    /// [`CheckpointError::State`].
    pub fn of(stopped: &Stopped<'_>) -> Result<Self, CheckpointError> {
        Ok(Self {
            position: stopped.position,
            paid: stopped.paid,
            memory_refused: stopped.memory_refused,
            frames: stopped.frames.to_vec(),
            globals: stopped.globals.to_vec(),
            memories: stopped
                .memories
                .iter()
                .map(|memory| memory.to_vec())
                .collect(),
            world: stopped.world.to_bytes()?,
            output_bytes: stopped.world.output_bytes(),
        })
    }

    /// Operators that were executed.
    #[must_use]
    pub const fn position(&self) -> u64 {
        self.position
    }
}

/// What a guest wrote until it was stopped.
#[derive(Debug, Clone, Copy, Default)]
pub struct Output<'a> {
    /// Standard output.
    pub stdout: &'a [u8],
    /// Standard error.
    pub stderr: &'a [u8],
}

/// Makes blocks of the states of one task, one after the other, and each time only of what is new.
#[derive(Debug)]
pub struct Writer {
    task: Cid,
    component: Cid,
    pages: Vec<Pages>,
    last: Option<Checkpoint>,
}

impl Writer {
    /// A writer for a task and its component.
    #[must_use]
    pub const fn new(task: Cid, component: Cid) -> Self {
        Self {
            task,
            component,
            pages: Vec::new(),
            last: None,
        }
    }

    /// Gives the blocks of a state to `emit`, but not those of the last one. Returns the checkpoint's own,
    /// which is to be stored after all others.
    ///
    /// # Errors
    ///
    /// [`CheckpointError::Encode`].
    pub fn write(
        &mut self,
        taken: &Taken,
        output: Output<'_>,
        emit: &mut dyn FnMut(Block),
    ) -> Result<Block, CheckpointError> {
        self.pages.resize_with(taken.memories.len(), Pages::default);
        let memories = taken.memories.iter().zip(&mut self.pages);
        let memories = memories
            .map(|(memory, pages)| Memory::write(memory, pages, emit))
            .collect();
        let none = Blob::default();
        let mut blob = |bytes: &[u8], of: fn(&Checkpoint) -> &Blob| {
            Blob::write(bytes, self.last.as_ref().map_or(&none, of), emit)
        };
        let checkpoint = Checkpoint {
            format: FORMAT,
            pass: PASS_VERSION,
            host: mc_wasi::STATE_VERSION,
            kind: Kind::Wasm,
            task: self.task,
            component: self.component,
            position: taken.position,
            paid: taken.paid,
            memory_refused: taken.memory_refused,
            frames: blob(&taken.frames, |last| &last.frames),
            globals: blob(&taken.globals, |last| &last.globals),
            world: blob(&taken.world, |last| &last.world),
            stdout: blob(output.stdout, |last| &last.stdout),
            stderr: blob(output.stderr, |last| &last.stderr),
            memories,
        };
        let block = checkpoint.to_block();
        let block = block.map_err(|error| CheckpointError::Encode(error.to_string()))?;
        self.last = Some(checkpoint);
        Ok(block)
    }
}
