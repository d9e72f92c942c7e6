//! `/dev`: the files that C libraries open by name. They are the same for the same task.

use super::node::{Device, Directory, NodeId, NodeKind};
use crate::At;
use std::{collections::BTreeMap, sync::Arc};

/// The directory that they are in.
pub(super) const DIRECTORY: &str = "dev";
/// The number of the mount that it is. No task is given as many.
const MOUNT: u32 = u32::MAX;

/// In the order of the names' bytes.
const ALL: [(&str, Device); 4] = [
    ("null", Device::Null),
    ("random", Device::Random),
    ("urandom", Device::Random),
    ("zero", Device::Zero),
];

/// The place of the directory.
pub(super) const fn place() -> At {
    At::mount(MOUNT)
}

/// Whether a place is the directory or in it.
pub(super) const fn has(at: &At) -> bool {
    at.mount == MOUNT
}

/// What is at a place of these.
pub(super) fn look_up(at: &At, parent: NodeId) -> Option<NodeKind> {
    if at.path.is_empty() {
        return Some(NodeKind::Directory(Directory {
            parent,
            given: Some(place()),
            entries: BTreeMap::new(),
        }));
    }
    let found = ALL.iter().find(|(name, _)| *name == at.path);
    found.map(|(_, device)| NodeKind::Device(*device))
}

/// The names in the directory.
pub(super) fn names() -> Arc<[String]> {
    ALL.iter().map(|(name, _)| (*name).to_owned()).collect()
}
