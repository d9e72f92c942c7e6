//! A job as users see it.

use mc_types::{
    AttemptResult, Cid, Completion, Envelope, FailureReason, JobId, JobRecord, JobState, KeyId,
    Meter, NodeId, Outcome, Termination, Timestamp,
};
use serde::{Deserialize, Serialize};
use std::{borrow::Cow, collections::BTreeMap};

/// Why a job did not succeed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum JobFailure {
    /// The guest exited with another code than 0.
    Exit,
    /// The guest trapped.
    Trap,
    /// The fuel was used up.
    OutOfFuel,
    /// The guest gave up for want of memory.
    MemoryLimit,
    /// The guest wrote too much.
    OutputLimit,
    /// An attempt took too long.
    Timeout,
    /// No node was free for too long.
    QueueTimeout,
    /// The component or an input cannot be used.
    Rejected,
    /// Machines failed until no retry was left.
    Infrastructure,
    /// The user called it off.
    Cancelled,
}

impl JobFailure {
    /// Why a guest that ended like this did not succeed; `None` when it did.
    #[must_use]
    pub const fn of(end: &Termination) -> Option<Self> {
        match end {
            Termination::Exited { code: 0 } => None,
            Termination::Exited { .. } => Some(Self::Exit),
            Termination::OutOfFuel => Some(Self::OutOfFuel),
            Termination::MemoryLimit => Some(Self::MemoryLimit),
            Termination::OutputLimit => Some(Self::OutputLimit),
            Termination::Trapped { .. } => Some(Self::Trap),
        }
    }
}

/// A job as users see it; also a run without a node, which is shown in the same form.
///
/// Its fields are listed only here. Code that makes a view sets the fields that it knows, and takes the others from
/// [`Self::default`] or from one of the conversions below. The command line prints what is in the JSON.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct JobView {
    /// The job's id; empty for a component that ran without a node.
    pub id: Option<JobId>,
    /// What was computed.
    #[serde(with = "mc_types::cid::portable")]
    pub task_cid: Cid,
    /// Where the job is in its life.
    pub state: JobState,
    /// The guest's exit code, once it exited.
    pub exit_code: Option<u8>,
    /// Why the guest trapped, if it did.
    pub trap: Option<String>,
    /// Why the job did not succeed, if it did not.
    pub failure: Option<JobFailure>,
    /// More about the failure, for humans.
    pub message: Option<String>,
    /// Standard output, a UnixFS file.
    #[serde(default, with = "mc_types::cid::portable::option")]
    pub stdout_cid: Option<Cid>,
    /// Standard error, a UnixFS file.
    #[serde(default, with = "mc_types::cid::portable::option")]
    pub stderr_cid: Option<Cid>,
    /// The contents of `/out`, a UnixFS directory.
    #[serde(default, with = "mc_types::cid::portable::option")]
    pub outputs_cid: Option<Cid>,
    /// What the task's own directories hold in the end, UnixFS directories by path.
    #[serde(
        default,
        skip_serializing_if = "BTreeMap::is_empty",
        with = "mc_types::cid::portable::map"
    )]
    pub dirs: BTreeMap<String, Cid>,
    /// The outcome, DAG-CBOR.
    #[serde(default, with = "mc_types::cid::portable::option")]
    pub outcome_cid: Option<Cid>,
    /// Units of fuel used.
    pub fuel: Option<u64>,
    /// What counted them.
    #[serde(default)]
    pub meter: Option<Meter>,
    /// Highest total of linear memory, in bytes.
    pub memory_peak_bytes: Option<u64>,
    /// Time of the successful attempt, in milliseconds.
    pub wall_ms: Option<u64>,
    /// The node of the newest attempt.
    pub node: Option<NodeId>,
    /// Attempts so far.
    pub attempts: u32,
    /// What a queued job waits for, for humans. The answer to a submission has it only if no known node could ever run
    /// the job; a list has it only for the newest jobs that were handed in at this gateway. `GET /api/v1/jobs/{id}/why`
    /// says it to machines.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub waiting_for: Option<String>,
    /// When it was submitted, in milliseconds since the Unix epoch.
    pub submitted_ms: Option<u64>,
    /// When the newest attempt began to run.
    pub started_ms: Option<u64>,
    /// When it ended.
    pub finished_ms: Option<u64>,
    /// The labels it was submitted with.
    pub labels: BTreeMap<String, String>,
    /// Whose job it is, if that was said.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub submitter: String,
    /// Of a private task: the id of its key. Its results and logs are encrypted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<KeyId>,
    /// Its key, sealed to its submitter.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sealed_key: Option<Envelope>,
}

/// A guest that ended; nothing else is known about it.
impl From<&Termination> for JobView {
    fn from(end: &Termination) -> Self {
        let failure = JobFailure::of(end);
        let (exit_code, trap) = match end {
            Termination::Exited { code } => (Some(*code), None),
            Termination::Trapped { kind } => (None, Some(kind.to_string())),
            Termination::OutOfFuel | Termination::MemoryLimit | Termination::OutputLimit => {
                (None, None)
            }
        };
        Self {
            state: match failure {
                None => JobState::Succeeded,
                Some(_) => JobState::Failed,
            },
            exit_code,
            trap,
            failure,
            ..Self::default()
        }
    }
}

/// A task that came to an outcome, without the CID of that.
impl From<&Outcome> for JobView {
    fn from(outcome: &Outcome) -> Self {
        Self {
            task_cid: outcome.task,
            stdout_cid: Some(outcome.stdout),
            stderr_cid: Some(outcome.stderr),
            outputs_cid: Some(outcome.outputs),
            dirs: outcome.dirs.clone(),
            fuel: Some(outcome.fuel),
            meter: Some(outcome.meter),
            ..Self::from(&outcome.end)
        }
    }
}

/// An attempt that came to an outcome.
impl From<&Completion> for JobView {
    fn from(completion: &Completion) -> Self {
        Self {
            outcome_cid: Some(completion.outcome_cid),
            memory_peak_bytes: Some(completion.usage.memory_peak_bytes),
            wall_ms: Some(completion.usage.wall_ms),
            ..Self::from(&completion.outcome)
        }
    }
}

/// A job as the ledger has it.
impl From<&JobRecord> for JobView {
    fn from(record: &JobRecord) -> Self {
        let (failure, message) = failure_of(record.ending.as_ref());
        let spec = &record.spec;
        Self {
            id: Some(record.id),
            task_cid: record.task_cid,
            state: record.state,
            failure,
            message,
            node: record.last_node.clone(),
            attempts: record.attempts,
            submitted_ms: Some(record.submitted.as_millis()),
            started_ms: record.started.map(Timestamp::as_millis),
            finished_ms: record.finished.map(Timestamp::as_millis),
            labels: spec.labels.clone(),
            submitter: spec.submitter.clone(),
            key: spec.task.private.as_ref().map(|private| private.key),
            sealed_key: spec.key.as_ref().map(|key| key.submitter.clone()),
            ..record.completion().map(Self::from).unwrap_or_default()
        }
    }
}

fn failure_of(ending: Option<&AttemptResult>) -> (Option<JobFailure>, Option<String>) {
    match ending {
        None => (None, None),
        Some(AttemptResult::Completed(completion)) => {
            (JobFailure::of(&completion.outcome.end), None)
        }
        Some(AttemptResult::Cancelled) => (Some(JobFailure::Cancelled), None),
        Some(AttemptResult::Failed(reason)) => {
            let failure = match reason {
                FailureReason::Timeout => JobFailure::Timeout,
                FailureReason::QueueTimeout | FailureReason::Unplaced { .. } => {
                    JobFailure::QueueTimeout
                }
                FailureReason::Rejected { .. } => JobFailure::Rejected,
                FailureReason::Infrastructure { .. } | FailureReason::Other { .. } => {
                    JobFailure::Infrastructure
                }
            };
            (Some(failure), reason.detail().map(Cow::into_owned))
        }
    }
}

#[cfg(test)]
mod tests;
