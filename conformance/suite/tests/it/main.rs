//! The promises of the README, put to a real binary: real processes, real network, real disk.

#![expect(
    clippy::unwrap_used,
    reason = "a failed expectation is how a test fails"
)]
#![expect(
    clippy::indexing_slicing,
    reason = "a missing JSON field is how a test fails"
)]
#![expect(
    clippy::expect_used,
    reason = "a failed expectation is how a test fails"
)]

mod bad_input;
mod checkpoints;
mod content;
mod databases;
mod dht;
mod dirs;
mod disk;
mod exit_codes;
mod fabric;
mod failover;
mod gateways;
mod hostile;
mod hostile_peers;
mod hosts;
mod interop;
mod ipfs_gateway;
mod jobs;
mod kills;
mod layers;
mod ledger;
mod logs;
mod many_guests;
mod mdns;
mod nat;
mod private;
mod proposals;
mod queue;
mod resources;
mod ripgrep;
mod run;
mod scripts;
mod stored;
mod terminal;
mod together;
mod vectors;
mod why;

/// The path of a guest, as it is typed.
fn wasm(name: &str) -> String {
    mc_artifacts::guest(name).display().to_string()
}
