//! Running tasks: what a task sees and leaves, its checkpoints as content, and the threads that guests have.
//!
//! What it is not: it knows neither peers nor coordinators, and no leases.

pub mod checkpoint;
pub mod threads;
pub mod world;
