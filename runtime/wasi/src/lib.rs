//! WASI as plain data: files, streams, clocks and random numbers that are the same on every peer.
//!
//! It knows no wasm. The engine translates between a guest's memory and these calls, for WASI 0.2 and for preview 1
//! alike.
//!
//! # Core concepts
//!
//! A [`Host`] is a [`State`] together with the [`Inputs`] that it reads from. The whole state can be serialised between
//! any two calls. Every call is a function of the two and of the fuel that the guest has used, which stands for time.
//!
//! ```
//! use mc_types::LogStream;
//! use mc_wasi::{Bounds, Host, Nothing, Preview, Quota, Setup, State};
//!
//! let setup = Setup {
//!     args: vec!["guest".to_owned()],
//!     env: vec![],
//!     mounts: vec![],
//!     bounds: Bounds {
//!         output_bytes: 1024,
//!         files: Quota { bytes: 1024, files: 8 },
//!         handles: 8,
//!     },
//!     start_seconds: None,
//! };
//! let mut host = Host::new(setup.clone(), Preview::Two, Box::new(Nothing));
//! // The guest has executed a hundred instructions, and sleeps, which takes no time at all.
//! host.enter(100);
//! host.sleep_until(1_000_000_000);
//! assert_eq!(host.monotonic_now(), 1_000_000_000);
//! host.print(LogStream::Stdout, b"hello")?;
//! assert_eq!(host.take_output(LogStream::Stdout), b"hello");
//!
//! // It goes on elsewhere.
//! let bytes = host.state().to_bytes()?;
//! let mut next = Host::new(setup, Preview::Two, Box::new(Nothing));
//! next.restore(State::from_bytes(&bytes)?)?;
//! assert_eq!(next.state(), host.state());
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # Invariants
//!
//! * No file, clock, thread or random number of the operating system is used. The caller may give a world a [`Storage`]
//!   for files that exceed the room in memory.
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
mod storage;
mod streams;

pub use clock::{DEFAULT_START_SECONDS, MAX_START_SECONDS, NANOS_PER_SECOND};
pub use descriptors::{NewTime, Opening};
pub use error::{BadState, Errno, Error, Result, Stop};
pub use fs::{
    Change, Covers, Device, Entry, FileKind, FileSystem, MAX_NAME_BYTES, NodeId, Now, OpenFlags,
    Quota, Stat,
};
pub use handles::{Descriptor, Handle, Input, Output, Pollable, Status};
pub use host::{Bounds, Host, Mount, Preview, Setup, State};
pub use inputs::{At, InputEntry, Inputs, Nothing};
pub use memory::{InMemory, Tree};
pub use snapshot::STATE_VERSION;
pub use storage::{PAGE_BYTES, Storage};
pub use streams::StreamError;
