//! Whether files that were taken from elsewhere can be the files of a guest.

use super::FileSystem;
use crate::{
    error::BadState,
    fs::node::{NodeId, NodeKind, Slot},
};
use std::collections::{BTreeMap, BTreeSet};

impl FileSystem {
    /// Checks files that were taken from elsewhere against those with which the task begins.
    pub(crate) fn check(&self, begin: &Self) -> Result<(), BadState> {
        let bad = |what| Err(BadState(what));
        if self.quota != begin.quota || self.start != begin.start {
            return bad("another quota");
        }
        if self.used.bytes > self.quota.bytes || self.used.files > self.quota.files {
            return bad("more files than the quota allows");
        }
        let mut charged = 0_u64;
        let mut entered = BTreeSet::from([Self::ROOT]);
        for (id, node) in &self.nodes {
            if id.0 >= self.next {
                return bad("a file with a number that is not given out");
            }
            match &node.kind {
                NodeKind::File(data) if data.is_sound() => {
                    charged = charged.saturating_add(data.charged());
                }
                NodeKind::File(_) => return bad("a file that contradicts itself"),
                NodeKind::Symlink(_) | NodeKind::Device(_) => {}
                NodeKind::Directory(directory) => {
                    for child in directory.entries.values().filter_map(Slot::node) {
                        let Some(node) = self.nodes.get(&child) else {
                            return bad("a name of nothing");
                        };
                        let is_directory = matches!(node.kind, NodeKind::Directory(_));
                        // Each directory has one place, so that there are no circles.
                        if is_directory && !entered.insert(child) {
                            return bad("a directory in two places");
                        }
                    }
                }
            }
        }
        if charged > self.quota.bytes {
            return bad("more bytes than the quota allows");
        }
        if !self.ways_up_end() {
            return bad("a directory above itself");
        }
        match self.directory(Self::ROOT) {
            Ok(_) => Ok(()),
            Err(_) => bad("no root"),
        }
    }

    /// Whether the chain of parents of a directory ends: at the root, or at a directory that was removed together with
    /// its parent.
    fn ways_up_end(&self) -> bool {
        let mut below: BTreeMap<NodeId, Vec<NodeId>> = BTreeMap::new();
        let (mut reached, mut directories) = (vec![Self::ROOT], 0_usize);
        for (id, node) in &self.nodes {
            let NodeKind::Directory(directory) = &node.kind else {
                continue;
            };
            directories += 1;
            if *id == Self::ROOT {
                if directory.parent != Self::ROOT {
                    return false;
                }
            } else if self.nodes.contains_key(&directory.parent) {
                below.entry(directory.parent).or_default().push(*id);
            } else {
                reached.push(*id);
            }
        }
        let mut count = 0;
        while let Some(directory) = reached.pop() {
            count += 1;
            reached.extend(below.remove(&directory).unwrap_or_default());
        }
        count == directories
    }

    /// Whether each file is held by as many handles as `opens` says.
    pub(crate) fn has_opens(&self, opens: &BTreeMap<NodeId, u32>) -> bool {
        opens.keys().all(|id| self.nodes.contains_key(id))
            && self
                .nodes
                .iter()
                .all(|(id, node)| node.opens == opens.get(id).copied().unwrap_or_default())
    }
}
