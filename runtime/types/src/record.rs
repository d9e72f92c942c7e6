//! The ledger's row of a job: everything that must survive a crash.

use crate::{
    Cid, FailureReason, FencingToken, JobId, JobSpec, JobState, NodeId, Outcome, Timestamp, Usage,
};
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// The result of an attempt, as its node reports it. It is part of messages, so unknown fields are skipped and unknown
/// reasons are read as [`FailureReason::Other`]. The [`Outcome`] in it has a CID, so it is read strictly.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AttemptResult {
    /// The task reached an outcome. Boxed, since it is by far the largest variant.
    Completed(Box<Completion>),
    /// The attempt failed without one.
    Failed(#[serde(deserialize_with = "crate::failure::read")] FailureReason),
    /// The attempt was called off.
    Cancelled,
}

/// An outcome and what it took to reach it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Completion {
    /// The CID of `outcome`.
    #[serde(with = "crate::cid::portable")]
    pub outcome_cid: Cid,
    /// The outcome.
    pub outcome: Outcome,
    /// What the machine measured.
    pub usage: Usage,
}

/// Who holds a job at the moment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Holder {
    /// The node.
    pub node: NodeId,
    /// The token of its lease.
    pub token: FencingToken,
    /// When the lease ends unless renewed.
    pub expires: Timestamp,
}

/// A job as the scheduler knows it and the ledger keeps it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JobRecord {
    /// The job.
    pub id: JobId,
    /// The CID of `spec.task`.
    pub task_cid: Cid,
    /// What was submitted.
    pub spec: Arc<JobSpec>,
    /// Where the job is in its life.
    pub state: JobState,
    /// The node that runs it now; present exactly while it is assigned or running.
    pub holder: Option<Holder>,
    /// The node of the newest attempt.
    pub last_node: Option<NodeId>,
    /// The newest token that was granted for this job.
    pub last_token: FencingToken,
    /// Attempts that were granted so far.
    pub attempts: u32,
    /// Not offered before this instant: the back-off after a failed attempt.
    pub not_before: Timestamp,
    /// What it came to; present exactly in a terminal state.
    pub ending: Option<AttemptResult>,
    /// When it was submitted.
    pub submitted: Timestamp,
    /// When the newest attempt began to run.
    pub started: Option<Timestamp>,
    /// When it reached a terminal state.
    pub finished: Option<Timestamp>,
}

impl JobRecord {
    /// A job as it enters the queue.
    #[must_use]
    pub fn queued(id: JobId, task_cid: Cid, spec: Arc<JobSpec>, now: Timestamp) -> Self {
        Self {
            id,
            task_cid,
            spec,
            state: JobState::Queued,
            holder: None,
            last_node: None,
            last_token: FencingToken::default(),
            attempts: 0,
            not_before: now,
            ending: None,
            submitted: now,
            started: None,
            finished: None,
        }
    }

    /// The outcome, if the job reached one.
    #[must_use]
    pub fn completion(&self) -> Option<&Completion> {
        match &self.ending {
            Some(AttemptResult::Completed(completion)) => Some(completion),
            _ => None,
        }
    }
}
