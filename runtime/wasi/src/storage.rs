//! Where bytes of files are kept that have no room in memory.

use crate::Stop;
use std::fmt::Debug;

/// Bytes of a page.
pub const PAGE_BYTES: u64 = 64 << 10;

/// Pages of [`PAGE_BYTES`] outside of memory, for the files of one guest.
///
/// Every method may block, and fails with [`Stop::Host`], since a full or broken disk is no outcome. Where bytes are
/// kept does not affect what a guest sees, and a serialised world contains all bytes.
pub trait Storage: Debug + Send + Sync {
    /// Finds room for a page and returns its number. The page may have anything in it at first.
    ///
    /// # Errors
    ///
    /// [`Stop::Host`].
    fn allocate(&self) -> Result<u64, Stop>;

    /// A page is not needed any more.
    fn release(&self, page: u64);

    /// Reads what was written to a page.
    ///
    /// # Errors
    ///
    /// [`Stop::Host`].
    fn read(&self, page: u64, offset: usize, into: &mut [u8]) -> Result<(), Stop>;

    /// Writes to a page, within its bounds.
    ///
    /// # Errors
    ///
    /// [`Stop::Host`].
    fn write(&self, page: u64, offset: usize, bytes: &[u8]) -> Result<(), Stop>;
}
