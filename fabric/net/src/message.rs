//! What nodes say to each other about work: requests and responses of `/mc/<network>/work/1`.
//!
//! A *worker* lends slots, a *coordinator* grants leases from its ledger; one node is usually both.

use bytes::Bytes;
use mc_types::{
    Cid, Digest, Ending, Envelope, FencingToken, JobId, JobSpec, Lease, LogStream, NodeId, Why,
};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// A question to another node.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Request {
    /// Worker to coordinator, on connecting and whenever it changes: what I lend.
    Announce(Announcement),
    /// Coordinator to worker: jobs wait here; say what you lend.
    Solicit,
    /// To anybody: what do you lend?
    Describe,
    /// Coordinator to worker: run this, you hold the lease.
    Offer {
        /// The lease, already granted.
        lease: Lease,
        /// What to run. Boxed for the sake of the small variants.
        job: Box<JobSpec>,
        /// Checkpoints to go on from, newest first.
        #[serde(default, with = "mc_types::cid::portable::list")]
        checkpoints: Vec<Cid>,
        /// Other coordinators on the same ledger: one of them has the job if this one is gone.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        sisters: Vec<NodeId>,
        /// The lease, signed by the coordinator, so that the worker can prove to others that it had it.
        #[serde(default, skip_serializing_if = "Vec::is_empty", with = "serde_bytes")]
        grant: Vec<u8>,
        /// The key of a private task, sealed to the worker for this lease.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        key: Option<Envelope>,
    },
    /// Worker to coordinator: I am still at it, renew my lease.
    Heartbeat {
        /// The job.
        job: JobId,
        /// The token of my lease.
        token: FencingToken,
        /// Whether the component runs already, rather than still being fetched.
        running: bool,
        /// For how many milliseconds it has.
        #[serde(default)]
        since_ms: u64,
    },
    /// Worker to coordinator: it ended. Repeated until the answer is final.
    Finish {
        /// The job.
        job: JobId,
        /// The token of my lease.
        token: FencingToken,
        /// What it came to.
        ending: Ending,
    },
    /// Worker to coordinator: I cannot go on (shutdown), give it to another.
    Release {
        /// The job.
        job: JobId,
        /// The token of my lease.
        token: FencingToken,
        /// Why, for humans.
        reason: String,
    },
    /// Worker to coordinator: I have taken a checkpoint. Answered when its blocks are at the coordinator's.
    Checkpoint {
        /// The job.
        job: JobId,
        /// The token of my lease.
        token: FencingToken,
        /// The checkpoint.
        #[serde(with = "mc_types::cid::portable")]
        cid: Cid,
        /// Operators that were executed.
        position: u64,
    },
    /// Worker to coordinator: this is what my attempt wrote, though it comes to no outcome. Answered when its blocks are
    /// at the coordinator's.
    Wrote {
        /// The job.
        job: JobId,
        /// The token of my lease.
        token: FencingToken,
        /// Which attempt it was.
        attempt: u32,
        /// Standard output.
        #[serde(with = "mc_types::cid::portable")]
        stdout: Cid,
        /// Standard error.
        #[serde(with = "mc_types::cid::portable")]
        stderr: Cid,
        /// The lease, as it was signed: it may be another's by now.
        #[serde(default, skip_serializing_if = "Vec::is_empty", with = "serde_bytes")]
        grant: Vec<u8>,
    },
    /// Coordinator to worker: take a checkpoint of this attempt now.
    Stop {
        /// The job.
        job: JobId,
        /// The token of the attempt.
        token: FencingToken,
        /// Whether to release the lease then.
        leave: bool,
    },
    /// Coordinator to worker: stop this attempt.
    Cancel {
        /// The job.
        job: JobId,
        /// The token of the attempt.
        token: FencingToken,
    },
    /// Coordinator to coordinator on the same ledger: make the inputs of this job your own.
    Keep {
        /// The job.
        job: JobId,
        /// Its task.
        #[serde(with = "mc_types::cid::portable")]
        task: Cid,
    },
    /// Coordinator to coordinator on the same ledger: a user calls off this job of yours.
    CancelJob {
        /// The job.
        job: JobId,
    },
    /// Coordinator to coordinator on the same ledger: a user wants a checkpoint of this job of yours.
    StopJob {
        /// The job.
        job: JobId,
    },
    /// Coordinator to coordinator on the same ledger: a user wants this job of yours to go on elsewhere.
    MigrateJob {
        /// The job.
        job: JobId,
        /// The node that is to run it.
        to: NodeId,
    },
    /// Coordinator to coordinator on the same ledger: why does this job of yours wait?
    WhyJob {
        /// The job.
        job: JobId,
    },
    /// To anybody: which file do you have that has this digest?
    Layer {
        /// The digest.
        digest: Digest,
    },
    /// Coordinator to worker: what has a running attempt written so far?
    Log {
        /// The job.
        job: JobId,
        /// Which of its streams.
        stream: LogStream,
        /// From which byte on.
        offset: u64,
    },
}

/// The answer to a [`Request`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Response {
    /// To an announcement, a release or a cancellation: noted.
    Ok,
    /// To an announcement: noted, and there is or was work of late. Say it again soon.
    Wanted,
    /// To a request to describe.
    Described(Announcement),
    /// To an offer: it will be run.
    Accepted,
    /// To an offer: it will not.
    Refused {
        /// Why, for humans.
        reason: String,
    },
    /// To a heartbeat: the lease holds for another term.
    Renewed {
        /// Its length in milliseconds.
        ttl_ms: u64,
        /// Other coordinators on the same ledger, as of now.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        sisters: Vec<NodeId>,
    },
    /// To a heartbeat, a finish or a release: the lease is another's by now; drop the attempt.
    Stale,
    /// To a heartbeat: the user called the job off; stop, and finish it as cancelled.
    Cancelled,
    /// To a finish or a log: it is in the ledger, durably. To a request to keep inputs: they are kept.
    Recorded,
    /// To a heartbeat, a finish or a release: ask another coordinator on the same ledger, or again.
    Elsewhere,
    /// To a finish: the result is still being fetched; ask again soon.
    Pending,
    /// To a question why a job waits. Boxed for the sake of the small variants.
    Why(Box<Why>),
    /// To a log request: the bytes from the offset on, perhaps none yet.
    Log {
        /// At most 64 KiB.
        bytes: Bytes,
    },
    /// To a question for a layer: the root of the file, if there is one. It is to be verified.
    Layer {
        /// The root.
        #[serde(with = "mc_types::cid::portable::option")]
        root: Option<Cid>,
    },
    /// The other side cannot answer.
    Error {
        /// Why, for humans.
        message: String,
    },
}

/// What a worker lends to a coordinator.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Announcement {
    /// Tasks it runs at a time; 0 when it executes nothing.
    pub slots_total: u32,
    /// How many of them are free.
    pub slots_free: u32,
    /// Processor cores.
    pub cpus: u32,
    /// Memory of the machine, in bytes.
    pub memory_bytes: u64,
    /// Names and values set by its owner.
    pub labels: BTreeMap<String, String>,
    /// The jobs of the coordinator that is told this which take slots.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub yours: Vec<JobId>,
}
