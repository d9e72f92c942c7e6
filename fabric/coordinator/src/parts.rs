//! What a coordinator is put together from.

use crate::{ContentStore, Discovery, JobStore, Keys};
use mc_protocol::Exchange;
use mc_types::{Clock, NodeId};
use std::{collections::BTreeSet, sync::Arc};
use tokio::sync::watch;

/// What a coordinator does besides remembering jobs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Duty {
    /// It grants leases, and lets them expire.
    Grants,
    /// Neither: it will be gone soon, and would leave its leases behind.
    Records,
}

/// What a coordinator works with.
#[derive(Debug, Clone)]
pub struct Parts {
    /// Where jobs are kept.
    pub jobs: Arc<dyn JobStore>,
    /// Where inputs and results are kept.
    pub content: Arc<dyn ContentStore>,
    /// How workers and other coordinators are asked.
    pub peers: Arc<dyn Exchange>,
    /// How others learn of jobs, and workers are found.
    pub discovery: Arc<dyn Discovery>,
    /// In whose name leases are signed.
    pub keys: Arc<dyn Keys>,
    /// Who may be asked to work.
    pub connected: watch::Receiver<Arc<BTreeSet<NodeId>>>,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// What it does.
    pub duty: Duty,
}
