//! A node: everything put together.
//!
//! [`Node::start`] opens the data directory, joins the network, and serves the HTTP API. A node has
//! two roles at once. Its *coordinator* grants leases from its ledger; its *worker* runs what
//! coordinators offer, its own among them. Both talk through [`peers::Peers`], which carries requests
//! to other nodes over the network and to this node's own roles directly.
//!
//! # Invariants
//!
//! * One process uses a data directory at a time.
//! * Each task has an owner that waits for its end (`tasks.rs`). If one fails without which the node would answer and do
//!   nothing, the node ends: [`Node::failed`].
//! * What waits for blocks on a thread has one of its own ([`mc_execution::threads`]): tokio's are for reading blocks.
//! * Shutdown goes from the outside in: no new requests, attempts finished or their leases given
//!   back, then ledger, network and store.

mod advert;
mod announce;
mod archive;
mod backend;
mod completion;
pub mod config;
mod content;
mod coordinator;
mod data_dir;
mod error;
mod layers;
mod metrics;
mod node;
mod peers;
pub mod pins;
pub mod private;
mod task_advert;
pub mod tried;
mod worker;

pub use archive::{Archive, Exported};
pub use config::Config;
pub use data_dir::NodeFile;
pub use error::Error;
pub use node::{Mode, Node};
