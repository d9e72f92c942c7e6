//! Files and directories as DAGs, compatible with `ipfs add --cid-version 1`.

mod add;
mod export;
mod random_access;
mod read;

pub use add::{
    AddOptions, Added, Adder, CHUNK_BYTES, FileInProgress, add_bytes, add_path, add_reader,
};
pub use export::export;
pub use random_access::{Found, RandomAccess};
pub use read::{Kind, Stat, cat, entries, read_to_vec, stat};
