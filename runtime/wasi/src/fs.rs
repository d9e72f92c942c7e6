//! The files of a guest: what it was given, and over that what it wrote.
//!
//! One tree, rooted at `/`. Nodes are made when the guest first meets them and numbered in that order;
//! the number serves as inode. Nothing in here is an object of the operating system.

mod change;
mod changes;
mod data;
mod devices;
mod list;
mod node;
mod page;
mod path;
#[cfg(test)]
mod root_tests;
mod stored;
mod tree;

pub use changes::{Change, Now};
pub use list::Entry;
pub use node::{Device, FileKind, NodeId, Stat};
pub use path::MAX_NAME_BYTES;
pub use tree::{Covers, FileSystem, OpenFlags, Quota};
