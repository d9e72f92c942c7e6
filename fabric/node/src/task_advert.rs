//! In which state jobs are, as their coordinators say in the DHT.

use mc_net::{
    Client,
    dht::{Kind, Refusal},
};
use mc_types::{Cid, JobId, JobRecord, JobState, NodeId, Timestamp, canonical};
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// How long the state of a job that has not ended is believed, unless it is said again.
const OPEN_TTL: Duration = Duration::from_secs(180);

/// What a coordinator says of a job.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct TaskAdvert {
    pub state: JobState,
    #[serde(with = "mc_types::cid::portable")]
    pub task: Cid,
    /// The node of the newest attempt.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub node: Option<NodeId>,
    pub attempts: u32,
    pub submitted: Timestamp,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub started: Option<Timestamp>,
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

/// Says in which state a job is.
pub(crate) async fn publish(net: &Client, record: &JobRecord) -> Result<(), Refusal> {
    let advert = TaskAdvert::from(record);
    let (_, body) = canonical::encode(&advert).map_err(|_| Refusal::Malformed)?;
    let ttl = match advert.state.is_terminal() {
        true => Kind::Task.longest(),
        false => OPEN_TTL,
    };
    let what = (Kind::Task, record.id.to_string());
    net.publish(what, None, body, ttl).await
}

/// Looks for a job; gives what is said of it, and its coordinator, which says so.
pub(crate) async fn find(net: &Client, job: JobId) -> Option<(NodeId, TaskAdvert)> {
    let entry = net.lookup(Kind::Task, &job.to_string()).await.ok()??;
    let advert = canonical::decode(&entry.body).ok()?;
    Some((entry.publisher, advert))
}
