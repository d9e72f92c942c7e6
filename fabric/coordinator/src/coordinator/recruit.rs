//! Finding workers when jobs wait.

use super::Coordinator;
use crate::Duty;
use mc_protocol::Request;
use mc_scheduler::Scheduler;
use mc_types::{NodeId, Timestamp};
use std::{
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};
use tokio::time::Instant;

/// The time between two rounds of asking workers what they lend.
const EVERY: Duration = Duration::from_millis(500);
/// How long workers keep announcing often after the last job has ended.
const LINGER: Duration = Duration::from_secs(60);
/// Between two searches for nodes that have nothing to do.
const SEARCH_EVERY: Duration = Duration::from_secs(2);
/// How many further peers to connect to in one round, when the connected ones are not enough.
const PEERS_PER_ROUND: usize = 8;

/// When there was work, and when workers were asked.
#[derive(Debug)]
pub(super) struct Recruiter {
    begun: Instant,
    /// When there was last work, in milliseconds since `begun`; 0 if never.
    worked: AtomicU64,
    asked: Every,
    searched: Every,
}

impl Default for Recruiter {
    fn default() -> Self {
        Self {
            begun: Instant::now(),
            worked: AtomicU64::new(0),
            asked: Every::new(EVERY),
            searched: Every::new(SEARCH_EVERY),
        }
    }
}

impl Recruiter {
    fn millis(&self) -> u64 {
        u64::try_from(self.begun.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    /// Whether there is work, or was recently.
    pub(super) fn has_work(&self) -> bool {
        let worked = self.worked.load(Ordering::Relaxed);
        let linger = u64::try_from(LINGER.as_millis()).unwrap_or(u64::MAX);
        worked > 0 && self.millis().saturating_sub(worked) < linger
    }

    fn note_work(&self) {
        self.worked.store(self.millis().max(1), Ordering::Relaxed);
    }
}

/// What is done now and then.
#[derive(Debug)]
struct Every {
    period: Duration,
    last: Mutex<Option<Instant>>,
}

impl Every {
    fn new(period: Duration) -> Self {
        let last = Mutex::new(None);
        Self { period, last }
    }

    /// Whether it is time. If so, it is not for another period.
    fn is_due(&self) -> bool {
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        let is_due = last.is_none_or(|at| at.elapsed() >= self.period);
        if is_due {
            *last = Some(Instant::now());
        }
        is_due
    }
}

impl Coordinator {
    /// Records that there is work. If jobs wait, asks the nodes that have not announced recently what they lend. Called
    /// after every step.
    pub(super) fn recruit(&self, scheduler: &Scheduler, now: Timestamp) {
        if self.duty == Duty::Records || scheduler.open_jobs() == 0 {
            return;
        }
        self.recruiter.note_work();
        if !scheduler.has_waiting() || !self.recruiter.asked.is_due() {
            return;
        }
        let connected = self.connected.borrow().clone();
        let silent: Vec<NodeId> = connected
            .iter()
            .filter(|node| !scheduler.is_heard(node, now))
            .cloned()
            .collect();
        let coordinator = self.clone();
        let solicit = async move { coordinator.solicit(silent).await };
        self.tasks.serve("recruiting", solicit);
    }

    async fn solicit(&self, silent: Vec<NodeId>) {
        for node in silent {
            let peers = Arc::clone(&self.peers);
            self.tasks.serve("solicitation", async move {
                // Who does not answer is asked again in the next round.
                let _ = peers.request(&node, Request::Solicit).await;
            });
        }
        self.discovery.connect_more(PEERS_PER_ROUND).await;
        if self.recruiter.searched.is_due() {
            // Those who are found are asked in the next round.
            self.discovery.search_idle().await;
        }
    }
}
