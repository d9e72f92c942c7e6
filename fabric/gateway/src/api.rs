//! The JSON of the HTTP API, shared by the gateway and its clients.

use mc_types::{
    CheckpointRecord, Cid, Digest, End, Ending, Envelope, ErrorCode, FailureReason, JobId,
    JobRecord, JobSpec, JobState, KeyId, Meter, NodeId, Reachability, Timestamp,
};
use serde::{Deserialize, Serialize};
use std::{borrow::Cow, collections::BTreeMap};

/// The body of every response that is not a success.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ErrorBody {
    /// The stable code.
    pub code: ErrorCode,
    /// What was wrong.
    pub message: String,
    /// What to do instead.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
}

/// `POST /api/v1/jobs`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SubmitRequest {
    /// What the job is to be called, so that a client that was not answered may ask again, here or at another
    /// node on the same ledger: the job is recorded once. Ids of another time than about now are not taken.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<JobId>,
    /// The job. Its component and inputs must be in the node's store or with a reachable peer.
    pub job: JobSpec,
}

/// Why a job did not succeed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Failure {
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

/// A job as users see it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
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
    pub failure: Option<Failure>,
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
    /// What it waits for while it is queued, for humans; after its submission, only if no known node could ever
    /// run it; in a list, only of the newest that were handed in at this gateway. `GET /api/v1/jobs/{id}/why` says it
    /// to machines.
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
    /// Of a private task: by what its key is known. Its results and logs are encrypted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<KeyId>,
    /// Its key, sealed to whoever submitted it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sealed_key: Option<Envelope>,
}

impl From<&JobRecord> for JobView {
    fn from(record: &JobRecord) -> Self {
        let completion = record.completion();
        let outcome = completion.map(|c| &c.outcome);
        let (failure, message) = failure_of(record.ending.as_ref());
        Self {
            id: Some(record.id),
            task_cid: record.task_cid,
            state: record.state,
            exit_code: outcome.and_then(|o| exit_code(&o.end)),
            trap: outcome.and_then(|o| trap(&o.end)),
            failure,
            message,
            stdout_cid: outcome.map(|o| o.stdout),
            stderr_cid: outcome.map(|o| o.stderr),
            outputs_cid: outcome.map(|o| o.outputs),
            dirs: outcome.map(|o| o.dirs.clone()).unwrap_or_default(),
            outcome_cid: completion.map(|c| c.outcome_cid),
            fuel: outcome.map(|o| o.fuel),
            meter: outcome.map(|o| o.meter),
            memory_peak_bytes: completion.map(|c| c.usage.memory_peak_bytes),
            wall_ms: completion.map(|c| c.usage.wall_ms),
            node: record.last_node.clone(),
            attempts: record.attempts,
            waiting_for: None,
            submitted_ms: Some(record.submitted.as_millis()),
            started_ms: record.started.map(Timestamp::as_millis),
            finished_ms: record.finished.map(Timestamp::as_millis),
            labels: record.spec.labels.clone(),
            submitter: record.spec.submitter.clone(),
            key: record.spec.task.private.as_ref().map(|private| private.key),
            sealed_key: record.spec.key.as_ref().map(|key| key.submitter.clone()),
        }
    }
}

/// The exit code of a guest that exited.
#[must_use]
pub fn exit_code(end: &End) -> Option<u8> {
    match end {
        End::Exited { code } => Some(*code),
        _ => None,
    }
}

/// The reason of a guest that trapped.
#[must_use]
pub fn trap(end: &End) -> Option<String> {
    match end {
        End::Trapped { kind } => Some(kind.to_string()),
        _ => None,
    }
}

/// Why a guest that ended like this did not succeed; `None` when it did.
#[must_use]
pub fn failure(end: &End) -> Option<Failure> {
    match end {
        End::Exited { code: 0 } => None,
        End::Exited { .. } => Some(Failure::Exit),
        End::OutOfFuel => Some(Failure::OutOfFuel),
        End::MemoryLimit => Some(Failure::MemoryLimit),
        End::OutputLimit => Some(Failure::OutputLimit),
        // A kind that a newer version added is a failure of the guest too.
        _ => Some(Failure::Trap),
    }
}

fn failure_of(ending: Option<&Ending>) -> (Option<Failure>, Option<String>) {
    match ending {
        None => (None, None),
        Some(Ending::Completed(completion)) => (failure(&completion.outcome.end), None),
        Some(Ending::Cancelled) => (Some(Failure::Cancelled), None),
        Some(Ending::Failed(reason)) => {
            let failure = match reason {
                FailureReason::Timeout => Failure::Timeout,
                FailureReason::QueueTimeout | FailureReason::Unplaced { .. } => {
                    Failure::QueueTimeout
                }
                FailureReason::Rejected { .. } => Failure::Rejected,
                _ => Failure::Infrastructure,
            };
            (Some(failure), reason.detail().map(Cow::into_owned))
        }
    }
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
    /// Ids that begin so, the oldest first; not all if there are many.
    pub ids: Vec<JobId>,
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

/// `POST /api/v1/connect`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ConnectRequest {
    /// A multiaddr that ends in `/p2p/` and the peer's id.
    pub address: String,
}

/// `GET /api/v1/node`: the node that answers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NodeView {
    /// Its id, a libp2p PeerId.
    pub id: NodeId,
    /// The version of `mc-wasm`.
    pub version: String,
    /// The network (namespace) it belongs to.
    pub network: String,
    /// The addresses of the peers that it was told to connect to.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub bootstrap: Vec<String>,
    /// Its dialable addresses, each ending in `/p2p/<id>`.
    pub addresses: Vec<String>,
    /// Tasks it runs at a time; 0 when it executes nothing.
    pub slots_total: u32,
    /// How many of them are free.
    pub slots_free: u32,
    /// Processor cores.
    pub cpus: u32,
    /// Memory of the machine, in bytes.
    pub memory_bytes: u64,
    /// Connected peers.
    pub peers: u32,
    /// Connected IPFS nodes, with which only blocks are exchanged.
    #[serde(default)]
    pub ipfs_peers: u32,
    /// Whether others can connect to it.
    #[serde(default)]
    pub reachability: Reachability,
}

/// What is looked for in `GET /api/v1/nodes?…`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NodeQuery {
    /// Look in the DHT for nodes that this one need not know yet.
    #[serde(default)]
    pub find: bool,
    /// Only nodes with a free slot.
    #[serde(default)]
    pub idle: bool,
    /// Only nodes with a GPU.
    #[serde(default)]
    pub gpu: bool,
    /// Only nodes with so much memory, in bytes.
    #[serde(default)]
    pub memory_bytes: u64,
    /// Only nodes with these labels: `name=value`, separated by commas.
    #[serde(default)]
    pub labels: String,
}

/// One entry of `GET /api/v1/nodes`: a node that the answering node knows.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PeerView {
    /// Its id.
    pub id: NodeId,
    /// Whether it is the answering node itself.
    pub this_node: bool,
    /// Whether there is a connection to it.
    pub connected: bool,
    /// Its addresses.
    pub addresses: Vec<String>,
    /// Whether all connections to it lead over another node.
    #[serde(default)]
    pub relayed: bool,
    /// What it calls itself.
    pub agent: Option<String>,
    /// Round-trip time in microseconds, once measured.
    pub rtt_us: Option<u64>,
    /// Tasks it runs at a time, if it lends slots to the answering node.
    pub slots_total: Option<u32>,
    /// How many of them are free.
    pub slots_free: Option<u32>,
    /// Its processor cores.
    pub cpus: Option<u32>,
    /// Its memory in bytes.
    pub memory_bytes: Option<u64>,
    /// Names and values that describe it.
    #[serde(default)]
    pub labels: BTreeMap<String, String>,
}

/// `GET /api/v1/nodes`.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct NodeList {
    /// This node first.
    pub nodes: Vec<PeerView>,
}

/// Body and answer of `POST /api/v1/content/missing`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CidList {
    /// In the request: roots. In the answer: those whose DAG is not complete in the node's store.
    #[serde(with = "mc_types::cid::portable::list")]
    pub cids: Vec<Cid>,
}

/// Answer of `POST /api/v1/content`, a CAR upload.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Imported {
    /// Blocks that were received and are durable.
    pub blocks: u64,
    /// Their bytes.
    pub bytes: u64,
}

/// `POST /api/v1/layers`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AddLayer {
    /// A file, all of which is in the node's store.
    #[serde(with = "mc_types::cid::portable")]
    pub cid: Cid,
}

/// A layer of a container image that is in the node's store.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LayerView {
    /// The digest, as registries have it.
    pub digest: Digest,
    /// The file that has it.
    #[serde(with = "mc_types::cid::portable")]
    pub cid: Cid,
    /// Its bytes.
    pub size: u64,
}

/// A pin: a name that keeps a DAG from being collected.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PinView {
    /// The name.
    pub name: String,
    /// The root.
    #[serde(with = "mc_types::cid::portable")]
    pub cid: Cid,
}

/// `GET /api/v1/pins`.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct PinList {
    /// By name.
    pub pins: Vec<PinView>,
}

/// `POST /api/v1/fsck`: what a look at all blocks found.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct FsckView {
    /// Blocks that were looked at.
    pub blocks: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Blocks that were not what they should be. They are in the data directory's quarantine now.
    #[serde(with = "mc_types::cid::portable::list")]
    pub corrupt: Vec<Cid>,
    /// Pins with blocks that are not there.
    pub incomplete_pins: Vec<String>,
}

/// Answer of `POST /api/v1/gc`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct GcView {
    /// Blocks that were removed.
    pub removed_blocks: u64,
    /// Their bytes.
    pub removed_bytes: u64,
    /// Blocks that stay.
    pub kept_blocks: u64,
    /// Those of them that no pin needs: they were stored or asked for just now.
    #[serde(default)]
    pub recent_blocks: u64,
    /// Their bytes.
    #[serde(default)]
    pub recent_bytes: u64,
    /// For how long such blocks are spared, in milliseconds.
    #[serde(default)]
    pub grace_ms: u64,
}

/// `GET /api/v1/blocks/{cid}/stat`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BlockStat {
    /// The block.
    #[serde(with = "mc_types::cid::portable")]
    pub cid: Cid,
    /// Its length in bytes.
    pub size: u64,
}

/// `GET /api/v1/dht/providers/{cid}` and `GET /api/v1/dht/peers`.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct DhtPeers {
    /// The nodes found.
    pub peers: Vec<PeerAddresses>,
}

/// A node and where it may be reached.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PeerAddresses {
    /// The node.
    pub id: NodeId,
    /// Its known addresses.
    pub addresses: Vec<String>,
}

/// `GET /api/v1/dht/records/{key}`.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct DhtRecord {
    /// The key as asked for.
    pub key: String,
    /// The value in hexadecimal.
    pub value_hex: String,
    /// Who claims to have published it.
    pub publisher: Option<NodeId>,
}
