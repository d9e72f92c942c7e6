//! The ledger: every job, durably, in SQLite for one node or in PostgreSQL for several.
//!
//! A [`Ledger`] stores whole records, many in one transaction, and returns them after any crash. It decides nothing,
//! but it enforces four rules: an older fencing token never overwrites a row that a newer one wrote, a job that ended
//! stays as it ended, a node that lost a job to another one can no longer write it, and a node that another one has
//! succeeded writes no jobs, not even new ones, until it has said that it is there again.
//!
//! # Invariants
//!
//! * A record is on disk (`fsync`) when [`Ledger::commit`] returns.
//! * A transaction is applied whole or not at all.
//! * A job has one owner at a time: the node that may write it.
//! * The owner of an open job is listed among the coordinators, if it ever was: whoever takes over from it finds the job.

mod attempt_logs;
mod batch;
mod checkpoints;
mod coordinators;
mod database;
mod error;
mod jobs;
mod kind;
mod ledger;
mod location;
mod migrations;
mod row;

pub use batch::Batch;
pub use error::Error;
pub use ledger::Ledger;
pub use location::Location;
