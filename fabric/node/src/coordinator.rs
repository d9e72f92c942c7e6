//! The coordinator: grants leases, and remembers every job, through one actor.
//!
//! The actor steps the pure scheduler, writes what changed into the ledger, and only then answers
//! and acts. Commands that arrive while a transaction is being written share the next one, so the
//! cost of making them durable does not grow with their number.

mod actor;
mod finish;
mod watchers;

use crate::{content::Content, error::Error, peers::Peers};
use actor::Input;
use finish::Finishes;
use mc_ledger::Ledger;
use mc_net::message::{Announcement, Response};
use mc_scheduler::{Answer, Command, WorkerView};
use mc_types::{Clock, Ending, FencingToken, JobId, JobRecord, JobSpec, JobState, NodeId, canonical};
use std::{sync::Arc, time::Duration};
use tokio::sync::{mpsc, oneshot};
use watchers::Watchers;

pub use actor::Actor;

/// Commands that may wait for the actor. A sender beyond that waits itself.
const QUEUE_COMMANDS: usize = 1024;

/// A cheap handle to this node's coordinator.
#[derive(Debug, Clone)]
pub struct Coordinator {
    inputs: mpsc::Sender<Input>,
    ledger: Ledger,
    content: Content,
    watchers: Arc<Watchers>,
    finishes: Arc<Finishes>,
    clock: Arc<dyn Clock>,
}
