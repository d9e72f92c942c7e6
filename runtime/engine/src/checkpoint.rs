//! Stopping a guest, saving its state, and resuming it, here or elsewhere.

mod image;
mod restoring;
mod saved;

pub use image::MemoryImage;
pub(crate) use restoring::Restoring;
pub use saved::Saved;

use crate::RunError;
use image::PAGE_BYTES;
use mc_checkpoint::{Sites, meter};
use mc_wasi::State;
use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

/// Asks a running guest to stop at its next site. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct StopSignal(Arc<AtomicBool>);

impl StopSignal {
    /// Asks. The guest stops within some 10 ms, unless it ends before or cannot be stopped.
    pub fn raise(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    pub(crate) fn is_raised(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }

    /// The guest has stopped.
    pub(crate) fn clear(&self) {
        self.0.store(false, Ordering::Relaxed);
    }
}

/// When a guest is stopped, and who takes its state.
pub struct Checkpoints {
    /// The position at which it is stopped first: at the first site beyond it.
    pub first: Option<u64>,
    /// Stops it at any time.
    pub stop_signal: StopSignal,
    /// Takes its state.
    pub keeper: Box<dyn Keeper>,
}

impl std::fmt::Debug for Checkpoints {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Checkpoints")
            .field("first", &self.first)
            .finish_non_exhaustive()
    }
}

/// Takes the state of guests that were stopped. It is called on the guest's own thread, which waits.
pub trait Keeper: Send {
    /// Takes what it needs of `stopped`, and says how the guest goes on.
    ///
    /// # Errors
    ///
    /// Whatever keeps this machine from going on.
    fn keep(&mut self, stopped: &Stopped<'_>) -> Result<Next, RunError>;
}

/// How a guest that was stopped goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Next {
    /// Until the first site beyond a position, or until the stop signal is raised. Only a program that was loaded
    /// for [`crate::Need::Resume`] can; another one leaves.
    GoOn {
        /// The position.
        until: Option<u64>,
    },
    /// Not here: [`RunError::Left`].
    Leave,
}

/// The state of a guest that was stopped.
#[derive(Debug, Clone, Copy)]
pub struct Stopped<'a> {
    /// Operators that it has executed.
    pub position: u64,
    /// Those of them that it had executed at its last call.
    pub paid: u64,
    /// What is on its stack.
    pub frames: &'a [u8],
    /// Its mutable globals.
    pub globals: &'a [u8],
    /// Its linear memories.
    pub memories: &'a [&'a [u8]],
    /// Whether it was ever refused memory.
    pub memory_refused: bool,
    /// Its world.
    pub world: &'a State,
    /// What it wrote to standard output here, if that went to memory.
    pub stdout: &'a [u8],
    /// What it wrote to standard error here, if that went to memory.
    pub stderr: &'a [u8],
}

/// The state with which a guest goes on.
pub struct Resume {
    /// Operators that it has executed.
    pub position: u64,
    /// Those of them that it had executed at its last call.
    pub paid: u64,
    /// What is on its stack.
    pub frames: Vec<u8>,
    /// Its mutable globals.
    pub globals: Vec<u8>,
    /// Its linear memories.
    pub memories: Vec<Box<dyn MemoryImage>>,
    /// Whether it was ever refused memory.
    pub memory_refused: bool,
    /// Its world.
    pub world: State,
}

impl std::fmt::Debug for Resume {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Resume")
            .field("position", &self.position)
            .finish_non_exhaustive()
    }
}

impl Resume {
    /// Checks what can be checked of it before anything runs.
    ///
    /// # Errors
    ///
    /// What does not fit the program whose sites are `sites`.
    pub(crate) fn check(&self, sites: &Sites, max_memory: u64) -> Result<(), String> {
        sites.check(&self.frames).map_err(|bad| bad.to_string())?;
        let globals = u64::try_from(self.globals.len()).unwrap_or(u64::MAX);
        if globals != u64::from(sites.globals_bytes()) {
            return Err("its globals are not those of the program".to_owned());
        }
        if self.frames.len() > usize::try_from(meter::FRAMES_BYTES).unwrap_or_default() {
            return Err("its stack is larger than any".to_owned());
        }
        let count = u32::try_from(self.memories.len()).unwrap_or(u32::MAX);
        if count != sites.memories() {
            return Err("it does not have the memories of the program".to_owned());
        }
        let mut total = 0_u64;
        for memory in &self.memories {
            let bytes = memory.bytes();
            if !bytes.is_multiple_of(PAGE_BYTES) {
                return Err("a memory is not made of whole pages".to_owned());
            }
            total = total.saturating_add(bytes);
        }
        if total > max_memory {
            return Err(format!(
                "its memories have {total} bytes, more than the limit of {max_memory}"
            ));
        }
        if self.paid > self.position || self.position > i64::MAX.unsigned_abs() / 2 {
            return Err("its position is impossible".to_owned());
        }
        Ok(())
    }

    /// The beginning of the meter's memory, and what comes after that.
    pub(crate) fn split(
        self,
        allowance: meter::Allowance,
        paid: i64,
    ) -> (Vec<u8>, Restoring, State) {
        let frames = u32::try_from(self.frames.len()).unwrap_or(u32::MAX);
        let end = meter::FRAMES.saturating_add(frames);
        let mut image = vec![0; usize::try_from(end).unwrap_or_default()];
        for (offset, bytes) in [
            (0, meter::resume(allowance, end, paid).as_slice()),
            (meter::GLOBALS, &self.globals),
            (meter::FRAMES, &self.frames),
        ] {
            let offset = usize::try_from(offset).unwrap_or(usize::MAX);
            let place = image.get_mut(offset..).unwrap_or_default();
            if let Some(place) = place.get_mut(..bytes.len()) {
                place.copy_from_slice(bytes);
            }
        }
        let restoring = Restoring::of(self.memories);
        (image, restoring, self.world)
    }
}
