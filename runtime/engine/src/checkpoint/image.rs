//! What memories are filled from.

/// Bytes of a page of linear memory.
pub(super) const PAGE_BYTES: u64 = 1 << 16;

/// The contents of a linear memory.
pub trait MemoryImage: Send {
    /// Its size in bytes: whole pages of 64 KiB.
    fn bytes(&self) -> u64;

    /// The next bytes that are not all zero, and their address: in ascending order, none twice.
    ///
    /// # Errors
    ///
    /// Whatever keeps them from being read.
    fn next(&mut self) -> std::io::Result<Option<(u64, Vec<u8>)>>;
}
