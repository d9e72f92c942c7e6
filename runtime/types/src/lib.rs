//! The vocabulary that every other crate of Mutual Cloud shares: pure data, no I/O.
//!
//! A [`TaskSpec`] says *what is computed*: component, arguments, inputs and limits. It is encoded as canonical DAG-CBOR
//! ([`canonical`]), so it has a CID, and so has the [`Outcome`] that every honest peer must reach. A [`JobSpec`] adds
//! *how to run it* (timeout, retries, labels, priority): none of that changes the outcome, so none of it is in the
//! task's CID.
//!
//! ```
//! use mc_types::{canonical, cid, Limits, TaskSpec};
//!
//! let component = cid::of(cid::RAW, b"\0asm\x0d\0\x01\0");
//! let task = TaskSpec::wasm(component).with_args(["--count", "3"]);
//! let (task_cid, bytes) = canonical::encode(&task)?;
//! assert_eq!(canonical::decode::<TaskSpec>(&bytes)?, task);
//! assert_eq!(task_cid.codec(), cid::DAG_CBOR);
//! assert_eq!(task.limits, Limits::default());
//! # Ok::<(), canonical::Error>(())
//! ```
//!
//! # Invariants
//!
//! * One value has one encoding: [`canonical::decode`] refuses any other.
//! * Encodings are append-only. A new field is optional and absent when it has its default, so old tasks keep their
//!   CIDs; the files under `fixtures/` test that promise.
//! * Nothing here reads a clock, a file or the environment; [`SystemClock`] and [`SteadyClock`] are the only
//!   exceptions.

mod adaptive_window;
mod attempt_log;
pub mod base64url;
pub mod canonical;
mod causes;
mod checkpoint;
pub mod cid;
mod clock;
mod dht_mode;
mod digest;
mod error_code;
mod failure;
mod hex;
mod id;
mod job;
mod lease;
mod lenient;
mod lent;
mod limits;
mod log_stream;
mod outcome;
mod panics;
mod policy;
mod private;
mod reachability;
mod record;
mod resources;
mod task;
mod usage;
mod verified;
mod why;

pub use crate::cid::Cid;
pub use adaptive_window::AdaptiveWindow;
pub use attempt_log::AttemptLog;
pub use causes::with_causes;
pub use checkpoint::{CheckpointEvery, CheckpointRecord};
pub use clock::{Clock, SteadyClock, SystemClock, Timestamp};
pub use dht_mode::DhtMode;
pub use digest::{Digest, NoDigest};
pub use error_code::ErrorCode;
pub use failure::FailureReason;
pub use id::{IdError, JobId, NodeId};
pub use job::{
    JobSpec, JobSpecError, JobState, MAX_COORDINATORS, MAX_PRIORITY, TARGET_NODE, USUAL_PRIORITY,
};
pub use lease::{FencingToken, Lease};
pub use lent::Lent;
pub use limits::{
    Limits, MAX_DIRECTORY_DEPTH, MAX_LINK_TARGET_BYTES, MAX_MEMORY_BYTES, MAX_STACK_BYTES,
};
pub use log_stream::LogStream;
pub use outcome::{Meter, Outcome, Termination, TrapKind};
pub use panics::panic_message;
pub use policy::{Policy, UnknownPolicy};
pub use private::{Envelope, KeyId, NoKeyId, Private, SealedKey};
pub use reachability::Reachability;
pub use record::{AttemptResult, Completion, Holder, JobRecord};
pub use resources::{ONE_CORE_MILLIS, Resources};
pub use task::{Determinism, KindName, TaskKind, TaskSpec, TaskSpecError};
pub use usage::Usage;
pub use verified::Verified;
pub use why::{Change, Clause, Lack, NearestMiss, Turn, Why};
