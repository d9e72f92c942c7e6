//! What a node knows about the machine that it runs on.
//!
//! Everything here blocks for at most a few seconds: call it where that is acceptable.

pub mod inventory;
pub mod lock;
pub mod memory;
pub mod priority;
pub mod probe;
pub mod time;
