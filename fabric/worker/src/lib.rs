//! The worker: it runs what coordinators offer, as much at a time as its node lends.
//!
//! It knows no network, no database and no engine. [`Parts`] says what it is put together from: other nodes
//! are asked by an [`Exchange`](mc_protocol::Exchange), blocks are read and stored by [`Content`], tasks are run by
//! [`Executors`](mc_execution::Executors), and the DHT and the key of the node are behind [`Completions`] and [`Keys`]. So
//! a test can be all of these: `tests/it` has the worker that is shipped meet coordinators that say what the test says,
//! under a clock of its own.
//!
//! # The way of an attempt
//!
//! ```text
//! Offer ─► Worker::offer ─► accepted: a slot and its resources are taken
//!             │ refused          │
//!             ▼                  ├─► heartbeats.rs   renews the lease, and says when it is lost
//!          with a reason         ├─► execute.rs      has the task run; blocks.rs has its blocks
//!                                ▼
//!                            attempt.rs   the slot is free
//!                                │
//!                                ▼
//!                            outbox.rs    sends how it ended until a coordinator has taken it
//! ```
//!
//! # Invariants
//!
//! * All running attempts together never take more than [`Caps`] allow, whatever coordinators and jobs ask for. Memory
//!   and cores are reserved from the offer to the end; disk is counted as it fills (`disk.rs`).
//! * An attempt that finds no room on the disk because of other attempts has not failed. The worker reports it as
//!   [`ErrorCode::Overloaded`](mc_types::ErrorCode::Overloaded), which costs the job none of its retries.
//! * Only the coordinator that granted a lease, and those that it named as its replicas, have a say in the attempt, and
//!   only by its token.
//! * A slot is freed however its attempt ends, even by a panic, and never before the guest has ended.
//! * The worker sends the end of an attempt until a coordinator has taken it or no longer wants it. If the first answer
//!   does not come, it writes the end to disk, with pins for its content, and a later process keeps sending it. After a
//!   day it gives up.
//! * A coordinator that does not take how its attempts ended gets no more work done (`backlog.rs`).
//! * Time is tokio's.

mod accepted;
mod announce;
mod attempt;
mod backlog;
mod before;
mod blocks;
mod caps;
mod completions;
mod content;
mod controls;
mod coordinators;
mod disk;
mod ended;
mod error;
mod execute;
mod heartbeats;
mod kept;
mod keys;
mod known;
mod outbox;
mod parts;
mod scratch;
mod shared;
mod streams;
mod worker;

pub use announce::announce;
pub use caps::Caps;
pub use completions::Completions;
pub use content::{Content, Source};
pub use error::Error;
pub use keys::Keys;
pub use known::{Known, Stage};
pub use outbox::PIN_PREFIX;
pub use parts::{Options, Parts};
pub use shared::Counts;
pub use streams::StoredStreams;
pub use worker::{Offer, Worker};
