//! Bitswap 1.2.0: asking peers for blocks, and giving them ours.
//!
//! Specification: <https://specs.ipfs.tech/bitswap-protocol/>. This is a libp2p
//! `NetworkBehaviour` of its own, because answers arrive on streams that the *other* side opens, any
//! number of them at once, and none may be lost.
//!
//! # Core concepts
//!
//! A *session* is a group of wants with the peers that may have them. Each want is asked from one
//! provider at a time, and from the next one when that says it does not have the block, is silent,
//! or goes away. When nobody is left, [`Event::Exhausted`] says so and the want stays open, so that
//! the caller can name further providers.
//!
//! # Invariants
//!
//! * A block is handed on only if its bytes hash to the CID that was wanted.
//! * No want is forgotten: it ends with the block or with [`Behaviour::cancel`].
//! * Whatever peers do, memory stays within the bounds of [`Config`]: all that waits to be sent to a peer is counted,
//!   answers about what is here as well as blocks, and nothing more is looked up for one that does not read.

mod behaviour;
mod client;
mod config;
mod handler;
mod items;
mod message;
mod protocol;
mod rate;
mod server;
mod store;

pub use behaviour::{Behaviour, Event};
pub use client::SessionId;
pub use config::Config;
pub use protocol::{Frame, PROTOCOL, read_frame};
pub use store::{BlockStore, NoBlocks, StoreError};
