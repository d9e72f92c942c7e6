//! The HTTP API's JSON and paths, for the gateway and for its clients.
//!
//! | file | what |
//! |---|---|
//! | [`paths`] | where each thing is |
//! | `errors` | the body of every answer that is no success |
//! | `jobs`, `job_view` | requests about jobs, and a job as users see it |
//! | `nodes` | nodes, those of the DHT included |
//! | `content` | blocks and CARs |
//! | `pins` | pins, garbage collection, and the check of the store |
//! | `layers` | layers of container images |
//! | `dht` | what a look into the DHT finds |
//!
//! # Invariants
//!
//! * What a client sends is refused if it has a field that is unknown: a misspelt field would be ignored otherwise.
//! * What a node answers may have fields that a client does not know, so that a newer node serves older clients.

mod content;
mod dht;
mod errors;
mod job_view;
mod jobs;
mod layers;
mod nodes;
pub mod paths;
mod pins;

pub use content::{BlockStat, CidList, Imported};
pub use dht::{DhtPeers, DhtRecord, PeerAddresses};
pub use errors::ErrorBody;
pub use job_view::{JobFailure, JobView};
pub use jobs::{
    CheckpointList, JobIds, JobList, JobListQuery, JobQuery, LogQuery, MigrateRequest,
    SubmitRequest,
};
pub use layers::{AddLayer, LayerQuery, LayerView};
pub use nodes::{ConnectRequest, NodeList, NodeQuery, NodeView, PeerView};
pub use pins::{FsckView, GcQuery, GcView, PinList, PinView};
