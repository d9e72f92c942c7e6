//! The ledger: every job, durably.
//!
//! A [`Ledger`] is told whole records, many in one transaction, and gives them back after any crash.
//! It decides nothing, but it guards what must never happen: a row that was written under a newer
//! fencing token is not overwritten under an older one, and a job that ended stays as it ended.
//!
//! # Invariants
//!
//! * A record is on disk (`fsync`) when [`Ledger::apply`] returns.
//! * A transaction is applied whole or not at all.

mod error;
mod ledger;
mod sqlite;

pub use error::Error;
pub use ledger::Ledger;
