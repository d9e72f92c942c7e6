//! Listing directories, in the order of the names' bytes.

use super::{
    devices,
    node::{FileKind, NodeId, Slot},
    tree::FileSystem,
};
use crate::{Inputs, Result};
use std::{ops::Bound, sync::Arc};

/// One entry of a directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Its name.
    pub name: String,
    /// What it is.
    pub node: NodeId,
    /// What kind of thing that is.
    pub kind: FileKind,
}

impl FileSystem {
    /// The entry that comes after `after`, or the first one.
    ///
    /// # Errors
    ///
    /// [`Errno::NotDirectory`](crate::Errno::NotDirectory).
    pub fn entry_after(
        &mut self,
        id: NodeId,
        after: Option<&str>,
        inputs: &mut dyn Inputs,
    ) -> Result<Option<Entry>> {
        let given = match &self.directory(id)?.given {
            Some(at) if devices::has(at) => devices::names(),
            Some(at) => inputs.list(at)?,
            None => Arc::default(),
        };
        let mut after = after.map(str::to_owned);
        loop {
            let Some(name) = self.name_after(id, after.as_deref(), &given)? else {
                return Ok(None);
            };
            if let Some(node) = self.child(id, &name, inputs)? {
                let kind = self.kind(node)?;
                return Ok(Some(Entry { name, node, kind }));
            }
            after = Some(name);
        }
    }

    /// The next name that was given or that the guest gave, whichever comes first.
    fn name_after(
        &self,
        id: NodeId,
        after: Option<&str>,
        given: &[String],
    ) -> Result<Option<String>> {
        let from = match after {
            Some(after) => given.partition_point(|name| name.as_str() <= after),
            None => 0,
        };
        let theirs = given.get(from).map(String::as_str);
        let start = after.map_or(Bound::Unbounded, Bound::Excluded);
        // This looks no further than the next given name: a guest may have removed all names, one after the other.
        let ours = self
            .directory(id)?
            .entries
            .range::<str, _>((start, Bound::Unbounded))
            .take_while(|(name, _)| theirs.is_none_or(|theirs| name.as_str() < theirs))
            .find(|(_, slot)| !matches!(slot, Slot::Removed))
            .map(|(name, _)| name.as_str());
        let next = match (ours, theirs) {
            (Some(ours), Some(theirs)) => Some(ours.min(theirs)),
            (ours, theirs) => ours.or(theirs),
        };
        Ok(next.map(str::to_owned))
    }

    pub(super) fn is_empty(&mut self, id: NodeId, inputs: &mut dyn Inputs) -> Result<bool> {
        Ok(self.entry_after(id, None, inputs)?.is_none())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{At, InMemory, Quota, Tree};
    use std::collections::BTreeMap;

    /// So many that removing them one by one would take minutes, if each search went past all removed ones.
    const ENTRIES: u32 = 100_000;

    #[test]
    fn a_large_directory_that_was_emptied_is_found_to_be_empty() {
        let names = (0..ENTRIES).map(|number| number.to_string());
        let full: BTreeMap<_, _> = names.map(|name| (name, Tree::file(""))).collect();
        let above = [("full".to_owned(), Tree::Directory(full))];
        let mut inputs = InMemory {
            mounts: vec![Tree::Directory(above.into())],
            ..InMemory::default()
        };
        let mut files = FileSystem::new(Quota { bytes: 0, files: 0 }, 0);
        files.mount("/w", Some(At::mount(0)), true);
        let root = FileSystem::ROOT;
        for number in 0..ENTRIES {
            let path = format!("w/full/{number}");
            files.remove_file(root, &path, 0, &mut inputs).unwrap();
        }
        files
            .remove_directory(root, "w/full", 0, &mut inputs)
            .unwrap();
    }
}
