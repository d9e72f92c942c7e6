//! What all attempts of a worker share.

use crate::{
    Options, Parts,
    backlog::Backlog,
    controls::Controls,
    coordinators::Coordinators,
    disk::Disk,
    ended::Ended,
    kept::Kept,
    known::{Known, Recent},
};
use mc_execution::LogFiles;
use mc_protocol::Announcement;
use mc_supervision::Supervisor;
use mc_types::{FencingToken, JobId, Lent, NodeId, Resources};
use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
};
use tokio::sync::{Notify, broadcast, watch};
use tokio_util::sync::CancellationToken;

/// How many questions of coordinators may wait. Those that are lost are asked again.
const SOLICITATIONS: usize = 256;
/// How many new connections may wait to be noticed by the outbox, which also retries by itself.
const MET: usize = 256;

/// What all attempts of a worker share.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) options: Options,
    pub(crate) parts: Parts,
    pub(crate) disk: Arc<Disk>,
    running: Mutex<HashMap<JobId, Running>>,
    pub(crate) ended: Ended,
    pub(crate) recent: Recent,
    pub(crate) backlog: Arc<Backlog>,
    pub(crate) kept: Kept,
    pub(crate) free: watch::Sender<u32>,
    /// Whether, since an attempt last ended, an offer was refused although a slot was free.
    pub(crate) was_short: AtomicBool,
    /// Notified when an attempt ends after such a refusal.
    pub(crate) room: Notify,
    /// Coordinators that ask what this worker lends.
    pub(crate) solicited: broadcast::Sender<NodeId>,
    /// Nodes that have connected.
    pub(crate) met: broadcast::Sender<NodeId>,
    pub(crate) attempts: Supervisor,
    pub(crate) counts: Counts,
    /// Set first when the node shuts down: attempts take a last checkpoint and release their leases.
    pub(crate) leaving: CancellationToken,
    pub(crate) closing: CancellationToken,
}

/// How often coordinators took the ending of an attempt, or refused it.
#[derive(Debug, Default)]
pub struct Counts {
    /// Endings that a coordinator has in its ledger.
    pub recorded: AtomicU64,
    /// Endings that no coordinator wanted any more.
    pub refused: AtomicU64,
}

/// An attempt as the worker sees it from outside.
#[derive(Debug)]
pub(crate) struct Running {
    pub(crate) coordinators: Coordinators,
    pub(crate) token: FencingToken,
    pub(crate) controls: Controls,
    pub(crate) logs: LogFiles,
    /// What is reserved for it.
    pub(crate) reserved: Resources,
    /// What was known about it when it was accepted.
    pub(crate) known: Known,
}

impl Shared {
    /// The state of a worker that runs nothing yet.
    pub(crate) fn new(
        options: Options,
        parts: Parts,
        attempts: Supervisor,
        ended: &CancellationToken,
    ) -> Self {
        let (free, _) = watch::channel(options.announcement.slots_total);
        let Resources {
            scratch_bytes,
            output_bytes,
            ..
        } = options.caps.total;
        let disk = Disk::new(scratch_bytes, output_bytes, options.caps.disk_bytes);
        Self {
            options,
            parts,
            disk: Arc::new(disk),
            running: Mutex::default(),
            ended: Ended::default(),
            recent: Recent::default(),
            backlog: Arc::default(),
            kept: Kept::default(),
            free,
            was_short: AtomicBool::new(false),
            room: Notify::new(),
            solicited: broadcast::Sender::new(SOLICITATIONS),
            met: broadcast::Sender::new(MET),
            attempts,
            counts: Counts::default(),
            leaving: ended.child_token(),
            closing: ended.child_token(),
        }
    }

    pub(crate) fn running(&self) -> MutexGuard<'_, HashMap<JobId, Running>> {
        // Every update is a single insertion or removal, so a poisoned map is still consistent.
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn slots(&self) -> usize {
        usize::try_from(self.options.announcement.slots_total).unwrap_or(usize::MAX)
    }

    /// What this worker lends, and what of it is free while these attempts run.
    pub(crate) fn lent(&self, running: &HashMap<JobId, Running>) -> Lent {
        let reserved: Resources = running.values().map(|attempt| attempt.reserved).sum();
        let lent = self.options.caps.lent();
        Lent {
            free: lent.total.saturating_sub(reserved),
            ..lent
        }
    }

    /// The announcement while these attempts run.
    pub(crate) fn announcement(&self, running: &HashMap<JobId, Running>) -> Announcement {
        Announcement {
            slots_free: *self.free.borrow(),
            lent: self.lent(running),
            ..self.options.announcement.clone()
        }
    }

    /// A node that is shutting down lends nothing, even when attempts end.
    pub(crate) fn publish_free(&self, running: &HashMap<JobId, Running>) {
        let busy = u32::try_from(running.len()).unwrap_or(u32::MAX);
        let free = if self.leaving.is_cancelled() {
            0
        } else {
            self.options.announcement.slots_total.saturating_sub(busy)
        };
        self.free.send_replace(free);
    }

    /// Forgets an attempt that ended.
    pub(crate) fn remove(&self, job: JobId, token: FencingToken) {
        let mut running = self.running();
        if running.get(&job).is_some_and(|r| r.token == token) {
            running.remove(&job);
            self.ended.add(job, token);
            self.publish_free(&running);
            if self.was_short.swap(false, Ordering::Relaxed) {
                self.room.notify_one();
            }
        }
    }
}
