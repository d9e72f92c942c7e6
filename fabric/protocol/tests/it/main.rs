//! What goes over the wire: as it was from the beginning, and with what a later version adds.

#![expect(
    clippy::unwrap_used,
    reason = "a failed expectation is how a test fails"
)]

mod fixtures;
mod next_version;
mod samples;
