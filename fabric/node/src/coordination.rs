//! What this node's coordinator works over: the traits of [`mc_coordinator`], implemented for the parts of a node.

mod content;
mod discovery;
mod jobs;
mod keys;

pub(crate) use discovery::Dht;
pub(crate) use jobs::Jobs;
pub(crate) use keys::NodeKeys;
