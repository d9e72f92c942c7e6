//! Running tasks: one road for a command that runs one here and for a worker that runs many for others.
//!
//! What it is not: it knows neither peers nor coordinators, no leases, and not who wants a task to be run.
//!
//! # Core concepts
//!
//! There is an [`Executor`] for each kind of task; [`Executors`] has those of a node. It prepares a task, which gives a
//! [`Prepared`], and that runs it, once. All that differs between one who has tasks run and another is in the
//! [`AttemptContext`]: what the task sees ([`TaskInputs`](world::TaskInputs)), where its blocks come from and go to
//! ([`Blocks`]), where it writes ([`Streams`]), from where it goes on and when it is stopped ([`Checkpoints`]), what becomes
//! of what it leaves ([`Leaves`]), and who is told ([`Watch`]). An attempt comes to [`Finished`], or to an
//! [`ExecutionError`], which says whether another machine may do better.
//!
//! ```
//! use mc_content::{MemoryBlocks, unixfs};
//! use mc_execution::{
//!     AttemptContext, Blocks, Controls, Executors, Finished, Leaves, Need, Streams, Unwatched,
//!     wasm::{Bounds, Options, Wasm},
//!     world::{GivenInputs, TaskInputs},
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
//!         inputs: TaskInputs::Given(GivenInputs::of_task(&task, cid, None)),
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
//! A variant of [`TaskKind`](mc_types::TaskKind), whereupon the compiler shows what has to be said of it; a file beside
//! [`wasm`], with an [`Executor`]; and that executor among those that `mc-node` makes when it starts.
//!
//! # Invariants
//!
//! * Nothing of an engine leaves the file of its kind, but what is to be chosen when it is made.
//! * What waits for blocks on a thread has one of its own ([`threads`]): tokio's are for reading blocks.

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
    AttemptContext, Checkpoints, Controls, Ended, Finished, Leaves, Left, Start, Unwatched, Watch,
    When,
};
pub use blocks::Blocks;
pub use deferred::Deferred;
pub use error::ExecutionError;
pub use executor::{Executor, Executors, Need, Prepared};
pub use log::LogFiles;
pub use outcome::completion;
pub use spill::{Room, Spill, WholeDisk};
pub use streams::Streams;
