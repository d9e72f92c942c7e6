//! The rules one by one, and all of them together under seeded failures.

#![expect(
    clippy::unwrap_used,
    reason = "a failed expectation is how a test fails"
)]
#![expect(clippy::panic, reason = "a failed expectation is how a test fails")]

mod late;
mod moves;
mod policies;
mod reservations;
mod rules;
mod shares;
mod simulation;
mod support;
mod why;
