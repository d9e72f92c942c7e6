//! The coordinator: it grants leases for the jobs of a node, and remembers every job.
//!
//! A [`Coordinator`] drives the pure scheduler ([`mc_scheduler`]) over what it is given in [`Parts`]: a [`JobStore`], a
//! [`ContentStore`], an [`Exchange`](mc_protocol::Exchange) by which nodes are asked, [`Keys`] and [`Discovery`]. It knows
//! no database, no blocks and no network, so that a test can be all of these: `tests/it/simulation.rs` has the
//! coordinator that is shipped go through hundreds of seeded failures, under a clock of its own. The files beside it test
//! its promises one by one, over the same parts.
//!
//! # Invariants
//!
//! * Only what is in the job store has happened. The coordinator sends no answer and no offer of a group of commands
//!   before the group is written. If writing fails, it rebuilds the scheduler from the store.
//! * Inputs are in this node's content before a job is acknowledged. A result, a checkpoint or a log is there before the
//!   job store says that it exists.
//! * Content of a job is pinned before the coordinator checks that all of it is here, and unpinned after the job store has
//!   said that nobody needs it any more. A crash in between leaves a pin too many, which the next start removes, and never
//!   one too few.
//! * One task steps the scheduler. It never waits for another node: each request to one has a task of its own.
//! * Time is that of the clock in [`Parts`], and of tokio. Only the id of a job that comes without
//!   one is random.

mod content;
mod coordinator;
mod discovery;
mod error;
mod failure;
mod jobs;
mod keys;
mod parts;
pub mod pins;
mod retention;

pub use content::{ContentError, ContentStore, UNLIMITED};
pub use coordinator::{Coordinator, Written};
pub use discovery::Discovery;
pub use error::Error;
pub use failure::Failure;
pub use jobs::JobStore;
pub use keys::Keys;
pub use parts::{Duty, Parts};
pub use retention::{Archive, Retention};
