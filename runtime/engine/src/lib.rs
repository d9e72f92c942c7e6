//! One task in one sandbox: wasmtime, its limits, and the cache of compiled code.
//!
//! What it is not: it knows neither content nor peers. Inputs are directories of the host that the
//! caller made ready, outputs are files that the caller collects.
//!
//! # Core concepts
//!
//! An [`Engine`] compiles a component once into a [`Program`], which any number of executions share.
//! [`Program::run`] takes an [`Invocation`] and gives an [`Execution`]: how the guest ended and what
//! it used. What the machine did wrong is a [`RunError`] instead, and never part of an outcome.
//!
//! # Invariants
//!
//! * `wasmtime::Config` has one constructor, in `config`.
//! * No wasmtime type leaves the crate, and wasmtime-wasi is used in `wasi` alone: whoever replaces
//!   the WASI implementation replaces that module.
//! * Compiled code is executed only if its checksum says that this very engine made it.

mod cache;
mod classify;
mod config;
mod engine;
mod error;
mod limiter;
mod output;
mod program;
mod ticker;
mod trap;
mod wasi;

pub use classify::check as check_component;
pub use config::Allocation;
pub use engine::{Engine, MAX_COMPONENT_BYTES, Options};
pub use error::{Error, RunError};
pub use program::{Execution, Invocation, Mount, Output, Program, Stdin};
pub use tokio_util::sync::CancellationToken;
