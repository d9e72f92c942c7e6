//! What one node asks of another. A *worker* lends slots, a *coordinator* grants leases from its ledger; one node is
//! usually both.

use crate::{Announcement, kinds::kinds};
use mc_types::{
    AttemptResult, Cid, Digest, Envelope, FencingToken, JobId, JobSpec, Lease, LogStream, NodeId,
};
use serde::{Deserialize, Serialize};

/// A question to another node.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Request {
    /// Worker to coordinator, on connecting and whenever it changes: what I lend.
    Announce(Announcement),
    /// Coordinator to worker: jobs wait here; say what you lend.
    Solicit,
    /// To any node: what do you lend?
    Describe,
    /// Coordinator to worker: run this, you hold the lease.
    Offer {
        /// The lease, already granted.
        lease: Lease,
        /// What to run. Boxed to keep the other variants small. Its task is read strictly: no part is skipped.
        #[serde(deserialize_with = "crate::job::read")]
        job: Box<JobSpec>,
        /// Checkpoints to go on from, newest first.
        #[serde(default, with = "mc_types::cid::portable::list")]
        checkpoints: Vec<Cid>,
        /// Other coordinators on the same ledger: one of them has the job if this one is gone.
        #[serde(rename = "sisters", default, skip_serializing_if = "Vec::is_empty")]
        replicas: Vec<NodeId>,
        /// The lease, signed by the coordinator, so that the worker can prove to others that it held the lease.
        #[serde(default, skip_serializing_if = "Vec::is_empty", with = "serde_bytes")]
        grant: Vec<u8>,
        /// The key of a private task, sealed to the worker for this lease.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        key: Option<Envelope>,
    },
    /// Worker to coordinator: I am still running this, renew my lease.
    Heartbeat {
        /// The job.
        job: JobId,
        /// The token of my lease.
        token: FencingToken,
        /// Whether the component runs already; if not, it is still being fetched.
        running: bool,
        /// For how many milliseconds the component has been running.
        #[serde(default)]
        since_ms: u64,
    },
    /// Worker to coordinator: the attempt ended. Repeated until the answer is final.
    Finish {
        /// The job.
        job: JobId,
        /// The token of my lease.
        token: FencingToken,
        /// What it came to.
        ending: AttemptResult,
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
    /// Worker to coordinator: I have taken a checkpoint. Answered once the coordinator has the blocks.
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
    /// Worker to coordinator: this is what my attempt wrote, though it has no outcome. Answered once the coordinator
    /// has the blocks.
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
        /// The signed lease. By now another node may hold the job's lease.
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
    /// To any node: which file of yours has this digest?
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

kinds!(Request {
    Announce = "announce",
    Solicit = "solicit",
    Describe = "describe",
    Offer = "offer",
    Heartbeat = "heartbeat",
    Finish = "finish",
    Release = "release",
    Checkpoint = "checkpoint",
    Wrote = "wrote",
    Stop = "stop",
    Cancel = "cancel",
    Keep = "keep",
    CancelJob = "cancel_job",
    StopJob = "stop_job",
    MigrateJob = "migrate_job",
    WhyJob = "why_job",
    Layer = "layer",
    Log = "log",
});

impl Request {
    /// The kinds of [`Response`](crate::Response) that may answer it. Besides these, `error` and `unsupported` may
    /// answer any request. Anything else counts as no answer, and no caller sees it.
    #[must_use]
    pub const fn answers(&self) -> &'static [&'static str] {
        match self {
            Self::Announce(_) => &["ok", "wanted"],
            Self::Solicit | Self::Cancel { .. } => &["ok"],
            Self::Describe => &["described"],
            Self::Offer { .. } => &["accepted", "refused"],
            Self::Heartbeat { .. } => &[
                "renewed",
                "stale",
                "cancelled",
                "recorded",
                "elsewhere",
                "ok",
            ],
            Self::Finish { .. } | Self::Checkpoint { .. } | Self::Wrote { .. } => &[
                "recorded",
                "stale",
                "cancelled",
                "elsewhere",
                "pending",
                "ok",
            ],
            Self::Release { .. } => &["ok", "stale", "cancelled", "recorded", "elsewhere"],
            Self::Stop { .. } => &["ok", "refused"],
            Self::Keep { .. } => &["recorded", "refused"],
            Self::CancelJob { .. } => &["cancelled", "stale", "recorded", "ok", "refused"],
            Self::StopJob { .. } | Self::MigrateJob { .. } => &["ok", "stale", "refused"],
            Self::WhyJob { .. } => &["why", "stale", "refused"],
            Self::Layer { .. } => &["layer"],
            Self::Log { .. } => &["log"],
        }
    }
}
