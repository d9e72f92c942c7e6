//! Checkpoints of tasks as content: taken from guests, stored as blocks, and read again.

mod load;
mod write;

pub use load::{Loaded, load, task_of};
pub use write::{Output, Stream, Writer};

use crate::threads::NotDone;
use mc_checkpoint::snapshot::BadCheckpoint;

/// Why a checkpoint cannot be made or used.
#[derive(Debug, thiserror::Error)]
pub enum CheckpointError {
    /// It is not one that this task can go on from.
    #[error(transparent)]
    Bad(#[from] BadCheckpoint),
    /// The task cannot have the state of the world that the checkpoint has.
    #[error(transparent)]
    State(#[from] mc_wasi::BadState),
    /// Its blocks cannot be had.
    #[error(transparent)]
    Content(#[from] mc_content::Error),
    /// It is too large.
    #[error("the checkpoint cannot be encoded: {0}")]
    Encode(String),
    /// What the guest wrote cannot be read.
    #[error("what the task wrote so far cannot be read")]
    Output(#[from] std::io::Error),
    /// What encodes it has not done so.
    #[error(transparent)]
    Threads(#[from] NotDone),
}
