//! The worker that is shipped, among coordinators that answer as the test says, with content in memory, tasks that do
//! what the test says, and a clock that goes on when nothing else does.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a failed expectation is how a test fails"
)]

mod announcements;
mod controls;
mod disk;
mod endings;
mod leases;
mod network;
mod offers;
mod storage;
mod tasks;
mod world;
