//! One task in one sandbox: wasmtime, a guest's world, limits, and the cache of compiled code.
//!
//! It knows neither content nor peers. It reads inputs through [`Inputs`](mc_wasi::Inputs), and leaves a guest's files
//! in its world for the caller to collect.
//!
//! # Core concepts
//!
//! An [`Engine`] compiles a component or core module once into a [`Program`], which any number of executions share.
//! [`Program::run`] takes an [`Invocation`] and returns an [`Execution`]: how the guest ended and what it used. A
//! failure of the machine is a [`RunError`] instead, and never part of an outcome.
//!
//! ```
//! use mc_engine::{CancellationToken, Engine, Invocation, Options, Output, World};
//! use mc_types::{Determinism, Limits, Termination, cid};
//! use mc_wasi::InMemory;
//! use std::collections::BTreeMap;
//!
//! let program = wat::parse_str(r#"(module (memory (export "memory") 1) (func (export "_start")))"#)?;
//! let engine = Engine::new(&Options::default())?;
//! let program = engine.load(&cid::of(cid::RAW, &program), &program, Determinism::Deterministic)?;
//! let execution = program.run(Invocation {
//!     name: "guest".to_owned(),
//!     args: vec![],
//!     env: BTreeMap::new(),
//!     limits: Limits::default(),
//!     world: World::Deterministic {
//!         mounts: vec![],
//!         inputs: Box::new(InMemory::default()),
//!         start_seconds: None,
//!     },
//!     stdout: Output::Memory,
//!     stderr: Output::Memory,
//!     timeout: None,
//!     cancel: CancellationToken::new(),
//!     checkpoints: None,
//!     resume: None,
//! })?;
//! assert_eq!(execution.end, Termination::Exited { code: 0 });
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # Invariants
//!
//! * `wasmtime::Config` has one constructor, in `config`.
//! * No wasmtime type leaves the crate. wasmtime-wasi is used in `relaxed` alone: deterministic guests
//!   meet [`mc_wasi`], by `preview1` or `preview2`.
//! * A program runs instrumented, or else counted by wasmtime. The program's bytes decide which, and
//!   [`Execution::meter`] tells.
//! * Compiled code is executed only if its checksum says that this very engine made it.

mod cache;
mod checkpoint;
mod classify;
mod config;
mod deterministic;
#[cfg(test)]
mod differential;
mod engine;
mod error;
mod guest;
mod instance;
mod invocation;
mod isolated;
mod limiter;
mod need;
mod offered;
mod preview1;
mod preview2;
mod program;
mod relaxed;
mod run;
mod sink;
mod sites;
mod ticker;
mod trap;

pub use checkpoint::{Checkpoints, Keeper, MemoryImage, Next, Resume, Saved, StopSignal, Stopped};
pub use classify::{Form, classify};
pub use config::{Allocation, Target};
pub use engine::{Engine, MAX_COMPONENT_BYTES, Options, check};
pub use error::{Error, RunError};
pub use invocation::{Execution, Invocation, Mount, Output, Stdin, World};
pub use isolated::{CompileLimits, Compiler, Job, compile_here};
pub use need::Need;
pub use offered::check_proposals;
pub use program::Program;
pub use tokio_util::sync::CancellationToken;
