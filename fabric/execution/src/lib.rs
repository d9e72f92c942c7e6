//! Running tasks: one way for a command that runs a task here and for a worker that runs many for others.
//!
//! It knows no peers, no coordinators and no leases, nor who submitted a task.
//!
//! # Core concepts
//!
//! There is an [`Executor`] for each kind of task; [`Executors`] has those of a node. An executor prepares a task and
//! returns a [`Prepared`], which runs the task once. All differences between callers are in the [`AttemptContext`]:
//! what the task sees ([`TaskInputs`](world::TaskInputs)), where its blocks come from and go to ([`Blocks`]), where it
//! writes ([`Streams`]), where it resumes and when it is stopped ([`Checkpoints`]), where its results go ([`Leaves`]),
//! and who watches ([`Watch`]). An attempt returns [`Finished`], or an [`ExecutionError`], which says whether another
//! machine may do better.
//!
//! ```
//! use mc_content::{MemoryBlocks, unixfs};
//! use mc_execution::{
//!     AttemptContext, Blocks, Controls, Executors, Finished, Leaves, Need, Streams, Unwatched,
//!     wasm::{Bounds, Options, Wasm},
//!     world::{DeclaredInputs, TaskInputs},
//! };
//! use mc_types::{TaskSpec, canonical};
//! use std::sync::Arc;
//!
//! # tokio::runtime::Runtime::new()?.block_on(async {
//! let memory = MemoryBlocks::default();
//! let program = wat::parse_str(r#"(module (memory (export "memory") 1) (func (export "_start")))"#)?;
//! let task = TaskSpec::wasm(unixfs::add_bytes(&program, &memory).await?.cid);
//! let (cid, _) = canonical::encode(&task)?;
//!
//! let executors = Executors::new(vec![Arc::new(Wasm::new(&Options::default(), Bounds::ONE)?)]);
//! let blocks: Arc<dyn Blocks> = Arc::new(memory);
//! let executor = executors.of(task.kind.name())?;
//! let prepared = executor.prepare(&task, Need::Run, &blocks).await?;
//! let finished = prepared
//!     .run(AttemptContext {
//!         inputs: TaskInputs::Declared(DeclaredInputs::of_task(&task, cid, None)),
//!         blocks,
//!         key: None,
//!         streams: Streams::Memory,
//!         storage: None,
//!         timeout: None,
//!         controls: Controls::default(),
//!         checkpoints: None,
//!         leaves: Leaves::Stored { task: cid },
//!         watch: &Unwatched,
//!     })
//!     .await?;
//! let Finished::Ended(ended) = finished else { unreachable!("nobody stops it") };
//! assert_eq!(ended.completion.map(|completion| completion.outcome.task), Some(cid));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! # })?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # To add a kind of task
//!
//! Add a variant of [`TaskKind`](mc_types::TaskKind), and the compiler shows every place that must handle it. Write an
//! [`Executor`] in a file beside [`wasm`], over a crate in `host/` that knows the machine, and add it to the executors
//! that `mc-node` makes for workers and `mc-cli` for `mc-wasm run`. `conformance/CONTRIBUTING.md` has all steps.
//!
//! # Invariants
//!
//! * An engine's types stay in the file of its kind, except the options of its constructor.
//! * Work that waits for blocks has threads of its own ([`threads`]): tokio's blocking threads read the blocks.

mod attempt;
mod blocks;
pub mod checkpoint;
mod deferred;
mod error;
mod executor;
mod log;
mod outcome;
mod spill;
mod streams;
pub mod threads;
pub mod wasm;
pub mod world;

pub use attempt::{
    AttemptContext, Checkpoints, Controls, Ended, Finished, Leaves, Start, StoppedTask, Unwatched,
    Watch, When,
};
pub use blocks::Blocks;
pub use deferred::Deferred;
pub use error::ExecutionError;
pub use executor::{Executor, Executors, Need, Prepared};
pub use log::LogFiles;
pub use outcome::completion;
pub use spill::{Room, Spill, WholeDisk};
pub use streams::Streams;
