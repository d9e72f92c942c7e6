//! A harness that treats `mc-wasm` as a black box: it knows the path of a binary and its command
//! line, nothing else, so another implementation can be put to the same tests.
//!
//! The binary is the one that `CONFORMANCE_BINARY` names, or the one of this workspace.

mod binary;
mod broken;
mod command;
mod helia;
mod http;
mod jobs;
mod netns;
mod node;
mod privileged;
mod wait;

pub use binary::binary;
pub use broken::way_that_breaks;
pub use command::{Finished, mc, mc_in, mc_with, spawn_in};
pub use helia::{Helia, helia};
pub use http::{Answer, Http, ask, put};
pub use jobs::NOBODY;
pub use netns::Namespace;
pub use node::{Node, NodeOptions, free_port};
pub use privileged::privileged;
pub use wait::{eventually, within};
