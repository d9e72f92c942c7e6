//! Files and directories as DAGs, compatible with `ipfs add --cid-version 1 --chunker size-1048576`.

mod add;
mod adder;
mod directory;
mod entity;
mod export;
mod hamt;
mod name;
mod node;
mod random_access;
mod read;
mod stream;

pub use crate::limits::CHUNK_BYTES;
pub use add::{add_bytes, add_path, add_reader};
pub use adder::{AddOptions, Added, Adder, FileInProgress, Skipped, Symlinks};
pub use directory::{entity_links, entries, resolve};
pub use entity::Entity;
pub use export::{ExportOptions, Exported, Outside, export, export_with};
pub use random_access::{Found, Listing, RandomAccess};
pub use read::{EntryKind, Stat, cat, cat_range, read_to_vec, stat};
pub use stream::stream;
