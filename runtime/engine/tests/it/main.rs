//! Real guests in the real sandbox.

#![expect(
    clippy::unwrap_used,
    reason = "a failed expectation is how a test fails"
)]
#![expect(
    clippy::disallowed_methods,
    reason = "the guests run on threads, and so do those who watch them"
)]

mod cache;
mod checkpoints;
mod determinism;
mod ends;
mod hostile;
mod imports;
mod opening;
mod preview1;
mod proposals;
mod relaxed;
mod support;
mod types;
mod unstable;
mod world;
