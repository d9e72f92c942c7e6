//! Real guests in the real sandbox.

#![expect(
    clippy::unwrap_used,
    reason = "a failed expectation is how a test fails"
)]

mod cache;
mod ends;
mod relaxed;
mod support;
mod world;
