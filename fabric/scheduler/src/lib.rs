//! Which job runs where, as a pure state machine: commands and the time go in, effects come out.
//!
//! There is no I/O, no clock and no randomness here, so thousands of seeded failures can be
//! simulated in seconds. Whoever drives a [`Scheduler`] first makes the records of
//! [`Effect::Persist`] durable, and only then answers and carries the other effects out.
//!
//! # Invariants
//!
//! * Tokens only grow, and at most one per job is valid: that of its record's holder.
//! * A terminal record never changes again.
//! * What is reserved on a worker for its leases from here is no more than it lends when another one is granted.
//! * A job that was submitted ends, if there are workers that end it and the driver keeps time.

mod command;
mod placement;
mod queue;
mod retry;
mod scheduler;
mod why;
mod workers;

pub use command::{Answer, Command, Effect, Step, WorkerOffer, WorkerView};
pub use placement::{Candidate, Nearness, Placement, Topology};
pub use scheduler::{Config, Scheduler, Stats};
