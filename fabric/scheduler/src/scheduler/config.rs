//! How a scheduler behaves, and what it counts.

use crate::placement::Topology;
use mc_types::Policy;
use std::time::Duration;

/// How a scheduler behaves.
#[derive(Debug, Clone)]
pub struct Config {
    /// The term of a lease.
    pub lease_ttl: Duration,
    /// How long a worker may take to fetch what a job needs, before it runs.
    pub prepare_timeout: Duration,
    /// How long after a job's own timeout its worker may go on claiming that it runs.
    pub timeout_grace: Duration,
    /// A worker that was silent for this long gets no offers until it announces itself again. Workers announce what
    /// they lend every four seconds.
    pub worker_silence: Duration,
    /// By which rule jobs are placed that name none.
    pub policy: Policy,
    /// Who is near.
    pub topology: Topology,
    /// The pause after a first failure.
    pub backoff_base: Duration,
    /// The longest pause.
    pub backoff_cap: Duration,
    /// Most jobs that have not ended.
    pub max_open_jobs: usize,
    /// Most workers.
    pub max_workers: usize,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            lease_ttl: Duration::from_secs(15),
            prepare_timeout: Duration::from_secs(30 * 60),
            timeout_grace: Duration::from_secs(60),
            worker_silence: Duration::from_secs(13),
            policy: Policy::default(),
            topology: Topology::default(),
            backoff_base: Duration::from_millis(100),
            backoff_cap: Duration::from_secs(30),
            max_open_jobs: 1_000_000,
            max_workers: 100_000,
        }
    }
}

/// What happened since the scheduler was made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Stats {
    /// Heartbeats, finishes and releases whose token was no longer valid.
    pub stale: u64,
    /// Leases that expired.
    pub expired: u64,
    /// Leases that were granted.
    pub granted: u64,
    /// Attempts that were taken from workers which neither began nor ended them.
    pub overdue: u64,
    /// Leases whose worker's process was found to have ended.
    pub ended: u64,
    /// Milliseconds that did not count against leases, since this scheduler itself did not run.
    pub late_ms: u64,
}
