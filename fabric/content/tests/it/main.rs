//! The store and UnixFS on a real disk.

#![expect(
    clippy::unwrap_used,
    reason = "a failed expectation is how a test fails"
)]
#![expect(
    clippy::indexing_slicing,
    reason = "a missing block is how a test fails"
)]

mod adding;
mod crash;
mod hostile;
mod layout;
mod sealed;
mod store;
mod unixfs;
