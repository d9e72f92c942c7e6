//! The state of a guest, copied.

use crate::{MemoryImage, Resume, Stopped};
use mc_wasi::State;

/// Bytes that are given at a time when a memory is filled.
const PIECE_BYTES: usize = 4096;

/// The state of a guest that was stopped, for as long as it is wanted.
#[derive(Clone, PartialEq)]
pub struct Saved {
    /// Operators that it had executed.
    pub position: u64,
    /// Those of them that it had executed at its last call.
    pub paid: u64,
    /// What was on its stack.
    pub frames: Vec<u8>,
    /// Its mutable globals.
    pub globals: Vec<u8>,
    /// Its linear memories.
    pub memories: Vec<Vec<u8>>,
    /// Whether it was ever refused memory.
    pub memory_refused: bool,
    /// Its world.
    pub world: State,
}

impl std::fmt::Debug for Saved {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Saved")
            .field("position", &self.position)
            .finish_non_exhaustive()
    }
}

impl Stopped<'_> {
    /// Copies the state, so that the guest can go on. The copy reuses the memories of `last`, since filling memory
    /// that the system has to provide first takes several times as long.
    #[must_use]
    pub fn save(&self, last: Option<Vec<Vec<u8>>>) -> Saved {
        let mut memories = last.unwrap_or_default();
        memories.resize_with(self.memories.len(), Vec::new);
        for (copy, memory) in memories.iter_mut().zip(self.memories) {
            copy.clear();
            copy.extend_from_slice(memory);
        }
        Saved {
            position: self.position,
            paid: self.paid,
            frames: self.frames.to_vec(),
            globals: self.globals.to_vec(),
            memories,
            memory_refused: self.memory_refused,
            world: self.world.clone(),
        }
    }
}

impl Saved {
    /// A copy with which a guest can go on.
    #[must_use]
    pub fn resume(&self) -> Resume {
        let memories = self
            .memories
            .iter()
            .map(|memory| -> Box<dyn MemoryImage> { Box::new(Image::of(memory.clone())) });
        Resume {
            position: self.position,
            paid: self.paid,
            frames: self.frames.clone(),
            globals: self.globals.clone(),
            memories: memories.collect(),
            memory_refused: self.memory_refused,
            world: self.world.clone(),
        }
    }
}

/// A memory that is at hand.
struct Image {
    bytes: Vec<u8>,
    next: usize,
}

impl Image {
    const fn of(bytes: Vec<u8>) -> Self {
        Self { bytes, next: 0 }
    }
}

impl MemoryImage for Image {
    fn bytes(&self) -> u64 {
        u64::try_from(self.bytes.len()).unwrap_or(u64::MAX)
    }

    fn next(&mut self) -> std::io::Result<Option<(u64, Vec<u8>)>> {
        while let Some(rest) = self.bytes.get(self.next..).filter(|rest| !rest.is_empty()) {
            let address = u64::try_from(self.next).unwrap_or(u64::MAX);
            let piece = rest.get(..PIECE_BYTES).unwrap_or(rest);
            self.next += piece.len();
            if piece.iter().any(|byte| *byte != 0) {
                return Ok(Some((address, piece.to_vec())));
            }
        }
        Ok(None)
    }
}
