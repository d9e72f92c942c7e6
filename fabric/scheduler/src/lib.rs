//! Which job runs where, as a pure state machine: commands and the time go in, effects come out.
//!
//! There is no I/O, no clock and no randomness here, so thousands of seeded failures can be simulated in seconds. The
//! driver of a [`Scheduler`] first makes the records of [`Effect::Persist`] durable, and only then answers and carries
//! out the other effects.
//!
//! ```
//! use mc_scheduler::{Answer, Command, Config, Effect, Scheduler};
//! use mc_types::{FencingToken, JobId, JobSpec, TaskSpec, Timestamp, canonical, cid};
//! use std::sync::Arc;
//!
//! let task = TaskSpec::wasm(cid::of(cid::RAW, b"\0asm\x01\0\0\0"));
//! let (task_cid, _) = canonical::encode(&task)?;
//! let now = Timestamp::from_millis(1000);
//! let submit = Command::Submit {
//!     id: JobId::new(now, 7),
//!     task_cid,
//!     spec: Arc::new(JobSpec::new(task)),
//! };
//! let mut scheduler = Scheduler::new(Config::default());
//! let step = scheduler.step(now, submit);
//! assert_eq!(step.answer, Answer::Submitted);
//! let records = step.effects.into_iter().filter_map(|effect| match effect {
//!     Effect::Persist(record) => Some(*record),
//!     _ => None,
//! });
//! // After a restart, the next scheduler goes on from what was made durable.
//! let records = records.collect();
//! let (restored, _) = Scheduler::restore(Config::default(), records, FencingToken::default(), now);
//! assert_eq!(restored.open_jobs(), 1);
//! # Ok::<(), canonical::Error>(())
//! ```
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
