//! What a guest changed in a directory that it was given, told entry by entry.
//!
//! The guest can only have changed what it looked at, so only that is searched: given directories are not listed again.

use super::{
    node::{Directory, FileKind, NodeId, NodeKind, Slot},
    tree::FileSystem,
};
use crate::{At, Errno, Result};
use mc_types::MAX_DIRECTORY_DEPTH;
use std::collections::BTreeSet;

/// One change. Places are below the directory, with `/` between names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// Where.
    pub place: String,
    /// The given entry at the place, if any: the place may lie in a directory that was renamed.
    pub base: Option<String>,
    /// What is there now.
    pub now: Now,
}

/// What the guest left in a place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Now {
    /// Nothing is there any more, nor anything that was below it, except for what was renamed away.
    Removed,
    /// What was given in another place, named by where that was. Changes below a directory follow.
    Renamed {
        /// Where it was given.
        from: String,
    },
    /// A file that was made or changed.
    File(NodeId),
    /// A link to this.
    Symlink(String),
    /// A directory that was made. What is in it follows.
    Directory,
    /// A directory that was given elsewhere than below this one, and all that is in it now.
    Foreign(NodeId),
    /// A directory that lies so deep that nothing is reported of what is in it.
    TooDeep,
}

impl FileSystem {
    /// What was changed below the directory `id`, which was given as `root`: a directory comes before what is in it.
    ///
    /// # Errors
    ///
    /// [`Errno::NotDirectory`].
    pub fn changes(&self, id: NodeId, root: &At) -> Result<Vec<Change>> {
        let mut walk = Walk {
            files: self,
            root,
            renamed: BTreeSet::new(),
            changes: Vec::new(),
        };
        walk.find_renamed(id, 0)?;
        walk.directory(id, "", 0)?;
        Ok(walk.changes)
    }
}

struct Walk<'a> {
    files: &'a FileSystem,
    root: &'a At,
    /// Where things were given that have another name now.
    renamed: BTreeSet<String>,
    changes: Vec<Change>,
}

impl Walk<'_> {
    /// Finds what is under a name other than the one that it was given under.
    fn find_renamed(&mut self, id: NodeId, depth: usize) -> Result<(), Errno> {
        let directory = self.files.directory(id)?;
        for (name, slot) in &directory.entries {
            let (Slot::Node(child) | Slot::Made(child)) = slot else {
                continue;
            };
            let base = directory.given.as_ref().map(|given| given.child(name));
            if let Some(from) = self
                .origin(*child)
                .filter(|from| base.as_ref() != Some(*from))
            {
                self.renamed.insert(from.path.clone());
            }
            let is_directory = self.files.kind(*child)? == FileKind::Directory;
            if is_directory && depth < MAX_DIRECTORY_DEPTH && !self.is_foreign(*child) {
                self.find_renamed(*child, depth + 1)?;
            }
        }
        Ok(())
    }

    /// Where it was given, if nothing but its name has changed: this is so for every directory, and for files that were
    /// not written to.
    fn origin(&self, id: NodeId) -> Option<&At> {
        let node = self.files.node(id).ok()?;
        let origin = match &node.kind {
            NodeKind::Directory(directory) => directory.given.as_ref(),
            NodeKind::File(data) if node.links == 1 => data.as_given(),
            NodeKind::File(_) | NodeKind::Symlink(_) | NodeKind::Device(_) => None,
        };
        origin.filter(|at| at.mount == self.root.mount)
    }

    /// Whether it is a directory that was given elsewhere.
    fn is_foreign(&self, id: NodeId) -> bool {
        let directory = self.files.directory(id).ok();
        let given = directory.and_then(|directory| directory.given.as_ref());
        given.is_some_and(|given| given.mount != self.root.mount)
    }

    fn directory(&mut self, id: NodeId, place: &str, depth: usize) -> Result<(), Errno> {
        let files = self.files;
        let Directory { given, entries, .. } = files.directory(id)?;
        for (name, slot) in entries {
            let base = given.as_ref().map(|given| given.child(name));
            let here = At::joined(place, name);
            match slot {
                Slot::Given { .. } | Slot::Mount(_) => {}
                Slot::Removed => self.removed(here, base.as_ref()),
                Slot::Node(child) | Slot::Made(child) => {
                    self.node(*child, (here, depth), base.as_ref())?;
                }
            }
        }
        Ok(())
    }

    /// A name that is free. What was given under it may have another name now.
    fn removed(&mut self, place: String, base: Option<&At>) {
        if base.is_some_and(|base| !self.renamed.contains(&base.path)) {
            self.tell(place, base, Now::Removed);
        }
    }

    /// What has a name in a directory that lies so deep.
    fn node(
        &mut self,
        id: NodeId,
        (place, depth): (String, usize),
        base: Option<&At>,
    ) -> Result<(), Errno> {
        let node = self.files.node(id)?;
        match &node.kind {
            NodeKind::Directory(_) if depth >= MAX_DIRECTORY_DEPTH => {
                self.tell(place, base, Now::TooDeep);
                Ok(())
            }
            NodeKind::Directory(directory) => {
                let now = match &directory.given {
                    given if given.is_some() && given.as_ref() == base => {
                        return self.directory(id, &place, depth + 1);
                    }
                    // Mounted within this one: it tells of its own changes.
                    Some(given) if given.mount != self.root.mount && given.path.is_empty() => {
                        return Ok(());
                    }
                    Some(given) if given.mount != self.root.mount => {
                        self.tell(place, base, Now::Foreign(id));
                        return Ok(());
                    }
                    Some(given) => Now::Renamed {
                        from: given.path.clone(),
                    },
                    None => Now::Directory,
                };
                self.tell(place.clone(), base, now);
                self.directory(id, &place, depth + 1)
            }
            NodeKind::File(data) => {
                let as_given = data.as_given();
                let now = match self.origin(id) {
                    _ if as_given.is_some() && as_given == base => return Ok(()),
                    Some(from) => Now::Renamed {
                        from: from.path.clone(),
                    },
                    None => Now::File(id),
                };
                self.tell(place, base, now);
                Ok(())
            }
            // The original place of the link is unknown. Whether it points elsewhere can be seen at its place.
            NodeKind::Symlink(target) => {
                self.tell(place, base, Now::Symlink(target.clone()));
                Ok(())
            }
            NodeKind::Device(_) => Ok(()),
        }
    }

    fn tell(&mut self, place: String, base: Option<&At>, now: Now) {
        let base = base.filter(|base| base.mount == self.root.mount);
        let base = base.map(|base| base.path.clone());
        self.changes.push(Change { place, base, now });
    }
}

#[cfg(test)]
mod tests;
