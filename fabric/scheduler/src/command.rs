//! The commands that a scheduler takes, and the effects that it asks for.

use mc_types::{
    AttemptResult, Cid, FencingToken, JobId, JobRecord, JobSpec, JobState, Lease, Lent, NodeId,
};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

/// Something that happened.
#[derive(Debug, Clone)]
pub enum Command {
    /// A user hands in a job. Its id must be new, and its specification valid.
    Submit {
        /// The new job.
        id: JobId,
        /// The CID of its task.
        task_cid: Cid,
        /// What is to be run and how.
        spec: Arc<JobSpec>,
    },
    /// A worker announces what it lends.
    Announce {
        /// The worker.
        worker: NodeId,
        /// What it lends.
        offer: WorkerOffer,
        /// The jobs of this scheduler that take its slots.
        running: Vec<JobId>,
    },
    /// The connection to a worker is gone. Its leases stay valid until they expire, since the worker may come back.
    WorkerGone {
        /// The worker.
        worker: NodeId,
    },
    /// The process of a worker has ended, so it cannot come back.
    WorkerEnded {
        /// The worker.
        worker: NodeId,
        /// The newest token at the time that the end was noticed. Leases with newer tokens belong to another process.
        newest: FencingToken,
        /// Attempts of the worker that another process continues, or whose end another process reports.
        but: BTreeSet<(JobId, FencingToken)>,
    },
    /// A worker refused an offer, or did not answer it.
    OfferFailed {
        /// The job.
        job: JobId,
        /// The token of the offered lease.
        token: FencingToken,
        /// Whether the worker certainly does not run it; then the offer does not count as an attempt.
        refused: bool,
        /// Why, for humans.
        reason: String,
    },
    /// A worker wants its lease renewed.
    Heartbeat {
        /// The worker.
        worker: NodeId,
        /// The job.
        job: JobId,
        /// The token of its lease.
        token: FencingToken,
        /// For how long the task itself has been running, if it does.
        running: Option<Duration>,
    },
    /// A coordinator is about to fetch a worker's result: is the result still wanted? Renews the lease.
    CheckFinish {
        /// The worker.
        worker: NodeId,
        /// The job.
        job: JobId,
        /// The token of its lease.
        token: FencingToken,
    },
    /// An attempt ended, and its result is at hand.
    Finish {
        /// The worker.
        worker: NodeId,
        /// The job.
        job: JobId,
        /// The token of its lease.
        token: FencingToken,
        /// What it came to.
        ending: AttemptResult,
    },
    /// A worker gives a lease back.
    Release {
        /// The worker.
        worker: NodeId,
        /// The job.
        job: JobId,
        /// The token of its lease.
        token: FencingToken,
        /// Why, for humans.
        reason: String,
    },
    /// A user wants the next attempt of a job to run on this node.
    Migrate {
        /// The job.
        job: JobId,
        /// The node.
        node: NodeId,
    },
    /// The worker cannot release a job that should move.
    Stay {
        /// The job.
        job: JobId,
    },
    /// The user calls a job off.
    Cancel {
        /// The job.
        job: JobId,
    },
    /// Time has passed.
    Tick,
}

/// What a worker lends.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct WorkerOffer {
    /// Tasks it runs at a time.
    pub slots_total: u32,
    /// How many of them are free.
    pub slots_free: u32,
    /// Processor cores.
    pub cpus: u32,
    /// The resources that it lends, and how much of them is free.
    pub lent: Lent,
    /// Names and values set by its owner.
    pub labels: BTreeMap<String, String>,
}

/// A worker as the scheduler sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WorkerView {
    /// The worker.
    pub id: NodeId,
    /// What it lends. The free part takes into account what was granted since the worker's announcement.
    pub offer: WorkerOffer,
}

/// The answer to a command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// Done, nothing more to say.
    Done,
    /// The job is in the queue.
    Submitted,
    /// The same, though no known node could ever run it.
    Unplaceable,
    /// The named node cannot run the job; nothing was done.
    Unfit {
        /// Why, for humans.
        reason: String,
    },
    /// Nothing was done: the job is about to move already.
    Moving {
        /// The node that it moves to.
        to: NodeId,
    },
    /// The job will move once its worker releases it.
    Leave {
        /// The worker.
        node: NodeId,
        /// The token of its lease.
        token: FencingToken,
    },
    /// There are too many open jobs.
    Overloaded,
    /// The lease holds for another term.
    Renewed {
        /// The length of the term.
        ttl: Duration,
    },
    /// Another node holds the lease by now.
    Stale,
    /// The job was called off.
    Cancelled,
    /// The finish is in the record, now or already.
    Recorded,
    /// The result is wanted.
    MayFinish {
        /// The task whose result it must be.
        task_cid: Cid,
    },
    /// The job is not open: it ended, or never was.
    NotOpen,
}

/// Something to be done, in order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Effect {
    /// Make this record durable, before anything else is done.
    Persist(Box<JobRecord>),
    /// Offer the job to the worker.
    Offer {
        /// The worker.
        worker: NodeId,
        /// Its lease.
        lease: Lease,
        /// What to run.
        spec: Arc<JobSpec>,
    },
    /// Tell the worker to stop.
    CancelAttempt {
        /// The worker.
        worker: NodeId,
        /// The job.
        job: JobId,
        /// The token of its attempt.
        token: FencingToken,
    },
    /// Find out whether the process of this worker has ended: its connection closed while it held leases. If it has,
    /// give [`Command::WorkerEnded`].
    Probe {
        /// The worker.
        worker: NodeId,
        /// The newest token now.
        newest: FencingToken,
    },
    /// Callers that wait for the job should look.
    Changed {
        /// The job.
        job: JobId,
        /// Its new state.
        state: JobState,
    },
}

/// What a command led to.
#[derive(Debug)]
pub struct Step {
    /// The answer to the sender of the command.
    pub answer: Answer,
    /// What is to be done.
    pub effects: Vec<Effect>,
}
