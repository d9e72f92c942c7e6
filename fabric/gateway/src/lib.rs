//! The HTTP API of a node.
//!
//! The gateway knows nothing of networks or ledgers: everything it serves comes from a
//! [`backend::Backend`], which the node implements. The JSON and the paths are in [`mc_api`], for clients too.
//!
//! | path | what |
//! |---|---|
//! | `/api/v1/jobs` | submit, look at, wait for, follow and cancel jobs |
//! | `/api/v1/node`, `/api/v1/nodes` | this node, those it knows, and those the DHT has |
//! | `/api/v1/connect` | connect to a peer, or to an IPFS node |
//! | `/api/v1/content` | upload blocks as a CAR stream |
//! | `/api/v1/blocks`, `/api/v1/pins`, `/api/v1/gc`, `/api/v1/fsck` | the block store |
//! | `/api/v1/dht` | look into the DHT |
//! | `/ipfs/{cid}/{path}` | content from whoever has it, as an IPFS gateway gives it: bytes, blocks, CARs |
//! | `/metrics` | numbers for monitoring |
//! | `/api/health` | whether it answers |
//!
//! How many connections there are and how long each may be silent has bounds (`connections.rs`, `limits.rs`). A request
//! whose handling panics is answered with an error, told to the backend, and harms no other.
//!
//! Every error is an [`mc_api::ErrorBody`]. Requests from web pages are refused: see [`Server`].

pub mod backend;
mod connections;
mod error;
mod extract;
mod guard;
mod limits;
pub mod metrics;
mod routes;
mod server;
mod shared;
mod unread;

pub use connections::MAX_CONNECTIONS;
pub use server::{Options, Server, ServerError};
