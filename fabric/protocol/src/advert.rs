//! What nodes say in the DHT: the bodies of its entries, by kind.

use crate::Announcement;
use mc_types::{Cid, JobRecord, JobState, NodeId, Timestamp};
use serde::{Deserialize, Serialize};

/// What a node says of itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Advert {
    /// What it lends.
    pub lends: Announcement,
}

/// What a coordinator says of a job.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TaskAdvert {
    /// Where the job is in its life. If this version does not know the state, it takes the whole advert as saying
    /// nothing, since all the rest follows from the state.
    pub state: JobState,
    /// Its task.
    #[serde(with = "mc_types::cid::portable")]
    pub task: Cid,
    /// The node of the newest attempt.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub node: Option<NodeId>,
    /// Attempts that were granted so far.
    pub attempts: u32,
    /// When it was submitted.
    pub submitted: Timestamp,
    /// When the newest attempt began to run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub started: Option<Timestamp>,
    /// When it ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub finished: Option<Timestamp>,
    /// The outcome, if it came to one. The coordinator has all of it.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        with = "mc_types::cid::portable::option"
    )]
    pub outcome: Option<Cid>,
}

impl From<&JobRecord> for TaskAdvert {
    fn from(record: &JobRecord) -> Self {
        Self {
            state: record.state,
            task: record.task_cid,
            node: record.last_node.clone(),
            attempts: record.attempts,
            submitted: record.submitted,
            started: record.started,
            finished: record.finished,
            outcome: record.completion().map(|completion| completion.outcome_cid),
        }
    }
}

/// What a worker says of a job while its coordinator is away. All else is in the outcome, which the CID names.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CompletionAdvert {
    /// What it came to.
    #[serde(with = "mc_types::cid::portable")]
    pub outcome: Cid,
}
