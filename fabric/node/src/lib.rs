//! A node: everything put together.
//!
//! [`Node::start`] opens the data directory, joins the network, and serves the HTTP API. A node has
//! two roles at once. Its *coordinator* grants leases from its ledger; its *worker* runs what
//! coordinators offer, its own among them. Both ask nodes through [`peers::Peers`], which carries requests
//! to other nodes over the network, and to this node itself by a queue. The [dispatcher] takes those, and those of other
//! nodes, and has the roles answer them.
//!
//! # Invariants
//!
//! * One process uses a data directory at a time.
//! * Each task has an owner that waits for its end ([`mc_supervision`]). If an essential task fails, the node ends:
//!   [`Node::failed`].
//! * No role keeps another one alive: they know each other only as nodes that may be asked.
//! * Work that waits for blocks has threads of its own ([`mc_execution::threads`]): tokio's blocking threads read the
//!   blocks.
//! * Shutdown goes from the outside in: no new requests, attempts finished or their leases given
//!   back, then ledger, network and store.

mod advert;
mod archive;
mod backend;
mod caps;
mod completion;
mod content;
mod coordination;
mod data_dir;
mod departures;
mod dispatcher;
mod error;
mod layers;
mod metrics;
mod node;
mod own_requests;
mod peers;
pub mod pins;
pub mod private;
mod task_advert;
pub mod tried;
mod worker;

pub use archive::{Archive, Exported};
pub use data_dir::NodeFile;
pub use error::Error;
pub use node::{Mode, Node};
