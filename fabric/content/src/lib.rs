//! Content by CID: a block store on disk, UnixFS files and directories, CAR streams.
//!
//! It knows no peers. Blocks come from a [`BlockSource`] and go to a [`BlockSink`]; the store is both, and peers may be
//! another source.
//!
//! ```
//! use mc_content::{AddOptions, MemoryBlocks, unixfs};
//!
//! # tokio::runtime::Runtime::new().unwrap().block_on(async {
//! let dir = tempfile::tempdir()?;
//! std::fs::write(dir.path().join("poem"), "one two\n")?;
//! let blocks = MemoryBlocks::default();
//! let added = unixfs::add_path(dir.path(), &blocks, &AddOptions::default()).await?;
//! let out = dir.path().join("copy");
//! unixfs::export(&blocks, added.cid, &out, u64::MAX).await?;
//! assert_eq!(std::fs::read(out.join("poem"))?, b"one two\n");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! # }).unwrap();
//! ```
//!
//! # Invariants
//!
//! * A [`Block`] exists only with bytes that hash to its CID.
//! * A block or pin is durable (`fsync`) when the call that stored it returns.
//! * Files and directories of any size pass through a bounded number of blocks in memory.

pub mod block;
pub mod car;
mod dagpb;
mod error;
mod limits;
pub mod links;
mod memory;
pub mod path;
pub mod seal;
mod store;
mod task_key;
pub mod unixfs;
mod walk;

pub use block::{Block, BlockSink, BlockSource};
pub use error::Error;
pub use limits::{MAX_BLOCK_BYTES, MAX_DAG_BLOCKS};
pub use memory::{CountingSink, MemoryBlocks};
pub use seal::Key;
pub use store::{FsckReport, GcReport, Options, Store};
pub use task_key::TaskKey;
pub use unixfs::{AddOptions, Added};
pub use walk::{Order, missing, ordered_by, stored_bytes};
