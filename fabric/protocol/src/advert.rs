//! What nodes announce in the DHT: the bodies of its entries, by kind.

use crate::Announcement;
use mc_types::{Cid, JobRecord, JobState, NodeId, Timestamp};
use serde::{Deserialize, Serialize};

/// What a node announces of itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Advert {
    /// What it lends.
    pub lends: Announcement,
}

/// What a coordinator announces of a job.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TaskAdvert {
    /// The state of the job. A version that does not know the state ignores the whole advert, since all other fields
    /// depend on the state.
    pub state: JobState,
    /// Its task.
    #[serde(with = "mc_types::cid::portable")]
    pub task: Cid,
    /// The node of the newest attempt.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub node: Option<NodeId>,
    /// How many attempts were granted so far.
    pub attempts: u32,
    /// When it was submitted.
    pub submitted: Timestamp,
    /// When the newest attempt began to run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub started: Option<Timestamp>,
    /// When it ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub finished: Option<Timestamp>,
    /// The outcome, if there is one. The coordinator has all of it.
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

/// What a worker announces of a job while its coordinator is away. The CID names the outcome, which has the rest.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CompletionAdvert {
    /// The outcome.
    #[serde(with = "mc_types::cid::portable")]
    pub outcome: Cid,
}
