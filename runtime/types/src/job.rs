//! A task together with how to run it, and its state.

use crate::{CheckpointEvery, IdError, NodeId, Policy, SealedKey, TaskSpec, TaskSpecError};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Most labels of a job, and most bytes of a label's name or value.
const MAX_LABELS: usize = 64;
const MAX_LABEL_BYTES: usize = 256;
/// Most retries.
const MAX_RETRIES: u32 = 100;
/// The highest priority.
pub const MAX_PRIORITY: u8 = 9;
/// The priority of jobs that name none.
pub const USUAL_PRIORITY: u8 = 5;
/// Most nodes that a private task's key is sealed for.
pub const MAX_COORDINATORS: usize = 64;
/// The label that names the node of a job.
pub const TARGET_NODE: &str = "target_node";
/// Most bytes of a submitter's name.
const MAX_SUBMITTER_BYTES: usize = 128;

/// What a user submits. Nothing here but `task` can change the outcome.
///
/// ```
/// use mc_types::{JobSpec, JobSpecError, TaskSpec, canonical, cid};
///
/// let task = TaskSpec::wasm(cid::of(cid::RAW, b"\0asm\x01\0\0\0"));
/// let (task_cid, _) = canonical::encode(&task)?;
/// let mut job = JobSpec::new(task);
/// job.labels.insert("owner".to_owned(), "me".to_owned());
/// assert_eq!(job.validate(), Ok(()));
/// job.timeout_ms = Some(0);
/// assert_eq!(job.validate(), Err(JobSpecError::ZeroTimeout));
/// // How it is run is no part of the task.
/// assert_eq!(canonical::encode(&job.task)?.0, task_cid);
/// # Ok::<(), canonical::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct JobSpec {
    /// What is to be computed.
    pub task: TaskSpec,
    /// Longest time of one attempt, in milliseconds, before it is killed; absent means none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeout_ms: Option<u64>,
    /// How many further attempts may follow when a machine, not the task, fails. Default 3.
    #[serde(default = "default_retries")]
    pub retries: u32,
    /// Longest time in milliseconds that it may wait for a node, counted for each wait; absent means for ever. A pause
    /// before a retry does not count.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub queue_timeout_ms: Option<u64>,
    /// From 0 to [`MAX_PRIORITY`]: a job is placed before all that wait with a lower one. Default 5.
    #[serde(default = "usual_priority", skip_serializing_if = "is_usual_priority")]
    pub priority: u8,
    /// Whose job it is. Submitters share the machines evenly, however many jobs each has waiting.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub submitter: String,
    /// Names and values that a node must have among its labels to be given the job.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub require: BTreeMap<String, String>,
    /// The rule that chooses among several nodes; absent means the rule of the node that grants the lease.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub policy: Option<Policy>,
    /// How often a checkpoint is taken, from which a later attempt can resume; absent means never.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub checkpoint_every: Option<CheckpointEvery>,
    /// Free names and values, for the user and for policies; [`TARGET_NODE`] names the node to use.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
    /// The sealed key of a private task. A worker gets it with the lease.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<SealedKey>,
}

const fn default_retries() -> u32 {
    3
}

const fn usual_priority() -> u8 {
    USUAL_PRIORITY
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes it so")]
const fn is_usual_priority(priority: &u8) -> bool {
    *priority == USUAL_PRIORITY
}

/// Which field of a job cannot be accepted, and why.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum JobSpecError {
    /// The task itself.
    #[error(transparent)]
    Task(#[from] TaskSpecError),
    /// The labels, or those that are required.
    #[error("labels: at most {MAX_LABELS}, each name and value at most {MAX_LABEL_BYTES} bytes")]
    Labels,
    /// The number of retries.
    #[error("retries is {0}; at most {MAX_RETRIES} are accepted")]
    Retries(u32),
    /// The timeout.
    #[error("timeout_ms is 0; leave it out for no timeout")]
    ZeroTimeout,
    /// The time in the queue.
    #[error("queue_timeout_ms is 0; leave it out to wait for ever")]
    ZeroQueueTimeout,
    /// The priority.
    #[error("priority is {0}; it may be 0 to {MAX_PRIORITY}")]
    Priority(u8),
    /// The submitter.
    #[error("submitter: at most {MAX_SUBMITTER_BYTES} bytes")]
    Submitter,
    /// The key of a private task.
    #[error("key: only a private task has one, for at most {MAX_COORDINATORS} nodes")]
    Key,
    /// The interval of checkpoints.
    #[error("checkpoint_every is 0; leave it out for no checkpoints")]
    ZeroInterval,
}

impl JobSpec {
    /// A job that runs `task` with the defaults.
    #[must_use]
    pub fn new(task: TaskSpec) -> Self {
        Self {
            task,
            timeout_ms: None,
            retries: default_retries(),
            queue_timeout_ms: None,
            priority: USUAL_PRIORITY,
            submitter: String::new(),
            require: BTreeMap::new(),
            policy: None,
            checkpoint_every: None,
            labels: BTreeMap::new(),
            key: None,
        }
    }

    /// The only node that may run it, if it names one.
    ///
    /// # Errors
    ///
    /// [`IdError::Node`] when its value is no id of a node.
    pub fn target(&self) -> Result<Option<NodeId>, IdError> {
        self.labels
            .get(TARGET_NODE)
            .map(|text| text.parse())
            .transpose()
    }

    /// Checks what the types cannot express.
    ///
    /// # Errors
    ///
    /// [`JobSpecError`] names the first field that cannot be accepted.
    pub fn validate(&self) -> Result<(), JobSpecError> {
        self.task.validate()?;
        let too_long = |(k, v): (&String, &String)| k.len().max(v.len()) > MAX_LABEL_BYTES;
        for labels in [&self.labels, &self.require] {
            if labels.len() > MAX_LABELS || labels.iter().any(too_long) {
                return Err(JobSpecError::Labels);
            }
        }
        if self.retries > MAX_RETRIES {
            return Err(JobSpecError::Retries(self.retries));
        }
        if self.timeout_ms == Some(0) {
            return Err(JobSpecError::ZeroTimeout);
        }
        if self.queue_timeout_ms == Some(0) {
            return Err(JobSpecError::ZeroQueueTimeout);
        }
        if self.priority > MAX_PRIORITY {
            return Err(JobSpecError::Priority(self.priority));
        }
        if self.submitter.len() > MAX_SUBMITTER_BYTES {
            return Err(JobSpecError::Submitter);
        }
        let fits = |key: &SealedKey| {
            self.task.private.is_some() && key.coordinators.len() <= MAX_COORDINATORS
        };
        if !self.key.as_ref().is_none_or(fits) {
            return Err(JobSpecError::Key);
        }
        if self.checkpoint_every.is_some_and(CheckpointEvery::is_zero) {
            return Err(JobSpecError::ZeroInterval);
        }
        Ok(())
    }
}

/// Where a job is in its life: queued → assigned → running → succeeded, failed or cancelled.
#[derive(
    Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(rename_all = "snake_case")]
pub enum JobState {
    /// Waiting for a node.
    #[default]
    Queued,
    /// Leased to a node that has not started it yet.
    Assigned,
    /// A node is running it.
    Running,
    /// It exited with code 0.
    Succeeded,
    /// It ended in any other way.
    Failed,
    /// The user called it off.
    Cancelled,
}

impl JobState {
    /// Every state.
    pub const ALL: [Self; 6] = [
        Self::Queued,
        Self::Assigned,
        Self::Running,
        Self::Succeeded,
        Self::Failed,
        Self::Cancelled,
    ];

    /// Whether the job will not change any more.
    #[must_use]
    pub const fn is_terminal(self) -> bool {
        matches!(self, Self::Succeeded | Self::Failed | Self::Cancelled)
    }

    /// The name used in JSON and in the ledger.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Queued => "queued",
            Self::Assigned => "assigned",
            Self::Running => "running",
            Self::Succeeded => "succeeded",
            Self::Failed => "failed",
            Self::Cancelled => "cancelled",
        }
    }
}

impl std::fmt::Display for JobState {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(self.as_str())
    }
}
