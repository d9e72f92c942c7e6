//! WASI as plain data: files, streams, clocks and random numbers that are the same on every peer.
//!
//! What it is not: it knows no wasm. The engine translates between a guest's memory and these calls,
//! for WASI 0.2 and for preview 1 alike.
//!
//! # Core concepts
//!
//! A [`Host`] is a [`State`], all of which can be serialised between any two calls, together with the
//! [`Inputs`] that it reads from. Every call is a function of the two and of the fuel that the guest
//! has used, which stands for time.
//!
//! # Invariants
//!
//! * No file, clock, thread or random number of the operating system is used.
//! * Whatever a guest passes, a call returns: a result, an [`Errno`] for the guest, or a [`Stop`].
//! * What a guest may make grow is bounded by its [`Bounds`].

mod clock;
mod descriptors;
mod error;
mod fs;
mod handles;
mod host;
mod inputs;
mod log;
mod memory;
mod random;
mod snapshot;
mod streams;

pub use clock::{DEFAULT_START_SECONDS, MAX_START_SECONDS, NANOS_PER_SECOND};
pub use descriptors::{NewTime, Opening};
pub use error::{Errno, Error, Result, Stop};
pub use fs::{
    Change, Covers, Device, Entry, FileKind, FileSystem, MAX_NAME_BYTES, NodeId, Now, OpenFlags,
    Quota, Stat,
};
pub use handles::{Descriptor, Handle, Input, Output, Pollable, Status};
pub use host::{Bounds, Host, Mount, Preview, Setup, State};
pub use inputs::{At, Given, Inputs, Nothing};
pub use memory::{InMemory, Tree};
pub use snapshot::{BadState, STATE_VERSION};
pub use streams::StreamError;
