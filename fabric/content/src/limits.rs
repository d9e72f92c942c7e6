//! How large things may be.

/// Largest block, in bytes: what every IPFS implementation still carries.
pub const MAX_BLOCK_BYTES: usize = 2 << 20;
/// Bytes of a leaf. Kubo takes blocks of up to 1 MiB by default, and larger leaves mean fewer of them.
pub const CHUNK_BYTES: usize = 1 << 20;
/// Most blocks of one DAG: 16 TiB in blocks of 1 MiB. Bounds the memory of a walk to some 2 GiB, and
/// that of any DAG seen in practice to a few megabytes.
pub const MAX_DAG_BLOCKS: usize = 1 << 24;
