//! What a node answers.

use crate::{Announcement, kinds::kinds};
use bytes::Bytes;
use mc_types::{Cid, ErrorCode, NodeId, Why};
use serde::{Deserialize, Serialize};

/// The answer to a [`Request`](crate::Request).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Response {
    /// To an announcement, a release or a cancellation: noted.
    Ok,
    /// To an announcement: noted. Work is waiting, or was a moment ago; announce again soon.
    Wanted,
    /// To a request to describe.
    Described(Announcement),
    /// To an offer: I will run it.
    Accepted,
    /// To an offer, or to a request of another coordinator: I will not do it.
    Refused {
        /// Which kind of refusal it is.
        code: ErrorCode,
        /// Why, for humans.
        reason: String,
    },
    /// To a heartbeat: the lease holds for another term.
    Renewed {
        /// Its length in milliseconds.
        ttl_ms: u64,
        /// Other coordinators on the same ledger, as of now.
        #[serde(rename = "sisters", default, skip_serializing_if = "Vec::is_empty")]
        replicas: Vec<NodeId>,
    },
    /// To a heartbeat, a finish or a release: another node has the lease; drop the attempt.
    Stale,
    /// To a heartbeat: the user called the job off; stop, and finish it as cancelled.
    Cancelled,
    /// To a finish or a log: the ledger has it, durably. To a request to keep inputs: I keep them.
    Recorded,
    /// To a heartbeat, a finish or a release: ask another coordinator on the same ledger, or again.
    Elsewhere,
    /// To a finish: the result is still being fetched; ask again soon.
    Pending,
    /// To a question why a job waits. Boxed to keep the other variants small.
    Why(Box<Why>),
    /// To a log request: the bytes from the offset on, perhaps none yet.
    Log {
        /// At most 64 KiB.
        bytes: Bytes,
    },
    /// To a question for a layer: the root of the file, if there is one. The caller has to verify it.
    Layer {
        /// The root.
        #[serde(with = "mc_types::cid::portable::option")]
        root: Option<Cid>,
    },
    /// The other side cannot answer.
    Error {
        /// Which kind of error it is.
        code: ErrorCode,
        /// Why, for humans.
        message: String,
    },
    /// The other side does not know the request, or a part of it that it must know. It has done nothing.
    Unsupported {
        /// The name of the request, as the other side read it.
        kind: String,
    },
}

kinds!(Response {
    Ok = "ok",
    Wanted = "wanted",
    Described = "described",
    Accepted = "accepted",
    Refused = "refused",
    Renewed = "renewed",
    Stale = "stale",
    Cancelled = "cancelled",
    Recorded = "recorded",
    Elsewhere = "elsewhere",
    Pending = "pending",
    Why = "why",
    Log = "log",
    Layer = "layer",
    Error = "error",
    Unsupported = "unsupported",
});

impl Response {
    /// A refusal.
    #[must_use]
    pub fn refused(code: ErrorCode, reason: impl Into<String>) -> Self {
        Self::Refused {
            code,
            reason: reason.into(),
        }
    }

    /// An error.
    #[must_use]
    pub fn error(code: ErrorCode, message: impl Into<String>) -> Self {
        Self::Error {
            code,
            message: message.into(),
        }
    }

    /// Whether it may answer a request that allows `answers` (see [`Request::answers`](crate::Request::answers)).
    #[must_use]
    pub fn is_among(&self, answers: &[&str]) -> bool {
        matches!(self, Self::Error { .. } | Self::Unsupported { .. })
            || answers.contains(&self.kind())
    }
}
