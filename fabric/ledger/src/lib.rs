//! The ledger: every job, durably, in SQLite for one node or in PostgreSQL for several.
//!
//! A [`Ledger`] is told whole records, many in one transaction, and gives them back after any crash.
//! It decides nothing, but it guards what must never happen: a row that was written under a newer
//! fencing token is not overwritten under an older one, a job that ended stays as it ended, and a node that
//! lost a job to another does not write it any more.
//!
//! # Invariants
//!
//! * A record is on disk (`fsync`) when [`Ledger::commit`] returns.
//! * A transaction is applied whole or not at all.
//! * A job has one owner at a time: the node that may write it.

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
