//! Checkpoints of tasks as content: taken from guests, stored as blocks, and read again.

mod error;
mod load;
mod write;

pub use error::CheckpointError;
pub use load::{Loaded, load, task_of};
pub use write::{Output, Stream, Writer};
