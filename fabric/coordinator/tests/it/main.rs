//! The coordinator as it is shipped, over jobs, content and nodes that are made up.

#![expect(
    clippy::unwrap_used,
    reason = "a failed expectation is how a test fails"
)]

mod checkpoints;
mod finishing;
mod logs;
mod moving;
mod replicas;
mod retention;
mod simulation;
mod submitting;
mod support;
mod watching;
