//! What clients ask about jobs, and what is answered besides the job itself.

use crate::JobView;
use mc_types::{CheckpointRecord, JobId, JobSpec, JobState, LogStream, NodeId};
use serde::{Deserialize, Serialize};

/// `POST /api/v1/jobs`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SubmitRequest {
    /// The id that the job is to have. A client that got no answer may submit the job again under the same id, here or
    /// at another node on the same ledger: the job is recorded once. An id is refused if its time is far from now.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<JobId>,
    /// The job. Its component and inputs must be in the node's store or with a reachable peer.
    pub job: JobSpec,
}

/// The query of `GET /api/v1/jobs?…`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct JobListQuery {
    /// Only jobs in this state.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub state: Option<JobState>,
    /// At most so many; absent means a usual number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<u32>,
}

/// `GET /api/v1/jobs`.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct JobList {
    /// Newest first.
    pub jobs: Vec<JobView>,
    /// Whether there are more than were asked for.
    #[serde(default)]
    pub more: bool,
}

/// `GET /api/v1/jobs/beginning/{text}`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct JobIds {
    /// Ids that begin with the text, the oldest first; not all of them if there are many.
    pub ids: Vec<JobId>,
}

/// The query of `GET /api/v1/jobs/{id}?…`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct JobQuery {
    /// The state that the client knows: with `wait_ms`, the answer comes once the job is in another one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seen: Option<JobState>,
    /// How long to wait for that, in milliseconds; absent means not at all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub wait_ms: Option<u64>,
}

/// The query of `GET /api/v1/jobs/{id}/logs?…`: which part of a job's logs is wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LogQuery {
    /// Which of the streams.
    pub stream: LogStream,
    /// From which byte on.
    #[serde(default)]
    pub offset: u64,
    /// Whether to go on until the job ends.
    #[serde(default)]
    pub follow: bool,
    /// Of which attempt, from 1 on; of the newest if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub attempt: Option<u32>,
}

/// `GET /api/v1/jobs/{id}/checkpoints`.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct CheckpointList {
    /// Newest first.
    pub checkpoints: Vec<CheckpointRecord>,
}

/// `POST /api/v1/jobs/{id}/migrate`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MigrateRequest {
    /// The node that is to run the job.
    pub to: NodeId,
}

#[cfg(test)]
mod tests {
    use super::*;
    use mc_types::{TaskSpec, Timestamp, cid};
    use serde_json::json;

    #[test]
    fn a_submission_needs_no_id_and_takes_nothing_unknown() {
        let job = JobSpec::new(TaskSpec::wasm(cid::of(cid::RAW, b"component")));
        let request = SubmitRequest { id: None, job };
        let json = serde_json::to_value(&request).unwrap();
        assert!(json.get("id").is_none(), "{json}");
        let read: SubmitRequest = serde_json::from_value(json.clone()).unwrap();
        assert_eq!((read.id, read.job), (None, request.job));
        let mut named = json.clone();
        let id = JobId::new(Timestamp::from_millis(1), 2);
        named["id"] = id.to_string().into();
        let read: SubmitRequest = serde_json::from_value(named).unwrap();
        assert_eq!(read.id, Some(id));
        let mut unknown = json;
        unknown["prio"] = 1.into();
        assert!(serde_json::from_value::<SubmitRequest>(unknown).is_err());
    }

    #[test]
    fn a_list_of_an_older_node_is_read() {
        let list: JobList = serde_json::from_value(json!({"jobs": []})).unwrap();
        assert!(list.jobs.is_empty() && !list.more);
        let json = serde_json::to_value(&list).unwrap();
        assert_eq!(json, json!({"jobs": [], "more": false}));
    }

    #[test]
    fn queries_leave_out_what_is_not_asked_for() {
        let none = json!({});
        assert_eq!(serde_json::to_value(JobListQuery::default()).unwrap(), none);
        assert_eq!(serde_json::to_value(JobQuery::default()).unwrap(), none);
        let waits = JobQuery {
            seen: Some(JobState::Queued),
            wait_ms: Some(2000),
        };
        let json = json!({"seen": "queued", "wait_ms": 2000});
        assert_eq!(serde_json::to_value(waits).unwrap(), json);
        assert_eq!(serde_json::from_value::<JobQuery>(json).unwrap(), waits);
        assert!(serde_json::from_value::<JobQuery>(json!({"wait": 1})).is_err());
        assert!(serde_json::from_value::<JobListQuery>(json!({"limits": 1})).is_err());
    }

    #[test]
    fn a_log_is_read_from_its_beginning_unless_something_else_is_said() {
        let read: LogQuery = serde_json::from_value(json!({"stream": "stderr"})).unwrap();
        let expected = LogQuery {
            stream: LogStream::Stderr,
            offset: 0,
            follow: false,
            attempt: None,
        };
        assert_eq!(read, expected);
        assert_eq!(
            serde_json::to_value(expected).unwrap(),
            json!({"stream": "stderr", "offset": 0, "follow": false})
        );
        for bad in [
            json!({}),
            json!({"stream": "stdin"}),
            json!({"stream": "stdout", "from": 3}),
        ] {
            assert!(serde_json::from_value::<LogQuery>(bad).is_err());
        }
    }

    #[test]
    fn a_move_names_its_node_and_nothing_else() {
        let to = json!({"to": "12D3KooWA"});
        let read: MigrateRequest = serde_json::from_value(to.clone()).unwrap();
        assert_eq!(serde_json::to_value(&read).unwrap(), to);
        for bad in [
            json!({}),
            json!({"to": "no node"}),
            json!({"to": "12D3KooWA", "now": true}),
        ] {
            assert!(serde_json::from_value::<MigrateRequest>(bad).is_err());
        }
    }
}
