//! Where symbolic links lead, in a tree as it is or as it is going to be.
//!
//! The text of a link does not tell: `a -> b/../../x` stays inside if `b` is a directory, and leads out if `b` is a link
//! to one that is higher up.

use crate::{
    Fingerprint,
    journal::{Action, Op},
    place,
    sys::{Dir, is, is_no_directory},
};
use rustix::io::Errno;
use std::{
    collections::{HashMap, HashSet},
    ffi::OsString,
    io,
    path::{Component, Path, PathBuf},
};

/// How many links the kernel follows for one path. A path through more leads nowhere.
const MAX_LINKS: u32 = 40;
/// How many names are gone through for one link. The kernel takes no more than 4096 bytes of a path, but takes them
/// again for each link.
const MAX_NAMES: u32 = 4096;

/// What is still to be gone through of a path, the next name last; `None` is the way up.
type Ahead = Vec<Option<OsString>>;

/// Whether a link in `parent`, a directory below a root, leads out of the root, by itself or through others. `link_at`
/// says where the link at a place below the root points, if there is one. A place with nothing there counts as a
/// directory.
///
/// # Errors
///
/// Those of `link_at`.
pub fn leads_out(
    parent: &Path,
    target: &Path,
    mut link_at: impl FnMut(&Path) -> io::Result<Option<PathBuf>>,
) -> io::Result<bool> {
    let mut at = parent.to_owned();
    let Some(mut ahead) = put(target, Vec::new()) else {
        return Ok(true);
    };
    let (mut links, mut names) = (1, 0);
    while let Some(next) = ahead.pop() {
        names += 1;
        if names > MAX_NAMES {
            return Ok(true);
        }
        let Some(name) = next else {
            if !at.pop() {
                return Ok(true);
            }
            continue;
        };
        at.push(name);
        let Some(target) = link_at(&at)? else {
            continue;
        };
        links += 1;
        if links > MAX_LINKS {
            return Ok(false);
        }
        at.pop();
        match put(&target, ahead) {
            Some(more) => ahead = more,
            None => return Ok(true),
        }
    }
    Ok(false)
}

/// Puts the names of a link's target before those that are still ahead; `None` if the target begins at the root of the
/// file system.
fn put(target: &Path, mut ahead: Ahead) -> Option<Ahead> {
    for component in target.components().rev() {
        match component {
            Component::Normal(name) => ahead.push(Some(name.to_owned())),
            Component::ParentDir => ahead.push(None),
            Component::CurDir => {}
            Component::RootDir | Component::Prefix(_) => return None,
        }
    }
    Some(ahead)
}

/// The targets of the user's own links that are taken away, each with the number of such links. If a guest gave such a
/// link another name, it made a new one with the same text and removed the old one: the link still leads where the user
/// wanted it to.
#[derive(Debug, Default)]
pub(crate) struct Gone(HashMap<PathBuf, usize>);

impl Gone {
    /// Adds the links that `ops` remove from `dir`, or replace there.
    pub(crate) fn add(&mut self, dir: &Dir, ops: &[Op]) {
        let put = put_in(ops);
        for op in ops {
            let place = match &op.action {
                Action::Remove { place, was } if was.is_link() => Some(place.clone()),
                Action::Put { replaces, .. } | Action::Rename { replaces, .. }
                    if replaces.as_ref().is_some_and(Fingerprint::is_link) =>
                {
                    before(&put, op.place())
                }
                _ => None,
            };
            // One that cannot be read cannot be taken away either.
            let target = place.and_then(|place| on_disk(dir, Path::new(&place)).ok().flatten());
            if let Some(target) = target {
                *self.0.entry(target).or_default() += 1;
            }
        }
    }

    /// Whether a link with this target is taken away that no other new link has been matched with yet.
    fn take(&mut self, target: &Path) -> bool {
        match self.0.get_mut(target) {
            Some(left) if *left > 0 => {
                *left -= 1;
                true
            }
            _ => false,
        }
    }
}

/// What is put in, by its place.
fn put_in(ops: &[Op]) -> HashMap<&str, &Op> {
    let put = ops.iter().filter_map(|op| Some((op.puts()?.0, op)));
    put.collect()
}

/// Where a place is while nothing has moved yet, since the directory that it is in may have another name then. `None`
/// if that directory is new.
fn before(put: &HashMap<&str, &Op>, place: &str) -> Option<String> {
    let moved = above(place).find_map(|above| Some((above, put.get(above)?)));
    match moved.map(|(above, op)| (above, &op.action)) {
        Some((above, Action::Rename { from, .. })) => {
            let rest = place.get(above.len()..).unwrap_or_default();
            Some(format!("{from}{rest}"))
        }
        Some(_) => None,
        None => Some(place.to_owned()),
    }
}

/// The indices of those links among `ops` that lead out of `dir` once all of them are made. The user's own links, which
/// are `gone` from where they were, do not count.
pub(crate) fn leading_out(
    dir: &Dir,
    slots: &Dir,
    ops: &[Op],
    gone: &mut Gone,
) -> io::Result<Vec<usize>> {
    let is_link = |op: &Op| match &op.action {
        Action::Put { made, .. } => made.is_link(),
        _ => false,
    };
    if !ops.iter().any(is_link) {
        return Ok(Vec::new());
    }
    let tree = Tree {
        dir,
        slots,
        put: put_in(ops),
        taken: ops.iter().filter_map(|op| Some(op.takes()?.0)).collect(),
    };
    let mut found = Vec::new();
    for (index, op) in ops.iter().enumerate().filter(|(_, op)| is_link(op)) {
        let Some(target) = slots.read_link(&op.slot_name())? else {
            continue;
        };
        let (parent, _) = place::split(op.place());
        let leads_out = leads_out(Path::new(parent), &target, |at| tree.link_at(at))?;
        if leads_out && !gone.take(&target) {
            found.push(index);
        }
    }
    Ok(found)
}

/// A host directory as it is going to be.
struct Tree<'a> {
    dir: &'a Dir,
    slots: &'a Dir,
    /// What is put in, by its place.
    put: HashMap<&'a str, &'a Op>,
    /// Places from which something is taken.
    taken: HashSet<&'a str>,
}

impl Tree<'_> {
    fn link_at(&self, at: &Path) -> io::Result<Option<PathBuf>> {
        let Some(at) = at.to_str() else {
            // Guests make no such names.
            return on_disk(self.dir, at);
        };
        match self.put.get(at).map(|op| (op, &op.action)) {
            Some((op, Action::Put { .. })) => return self.slots.read_link(&op.slot_name()),
            Some((_, Action::Rename { from, .. })) => return on_disk(self.dir, Path::new(from)),
            _ => {}
        }
        // It has moved with the directory that it is in, or is nothing if that is new.
        let Some(was) = before(&self.put, at) else {
            return Ok(None);
        };
        // What moved is gone from where it was, except for those that see it where it is now.
        let moved = above(at).find_map(|above| self.put.get(above));
        let until = moved.map_or("", |op| op.takes().map_or("", |(from, _)| from));
        let gone = std::iter::once(was.as_str()).chain(above(&was));
        let mut gone = gone.take_while(|place| *place != until);
        if gone.any(|place| self.taken.contains(place)) {
            return Ok(None);
        }
        on_disk(self.dir, Path::new(&was))
    }
}

fn on_disk(dir: &Dir, at: &Path) -> io::Result<Option<PathBuf>> {
    let parent = at.parent().and_then(Path::to_str).unwrap_or_default();
    let Some(name) = at.file_name().and_then(|name| name.to_str()) else {
        return Ok(None);
    };
    match dir.beneath(parent).and_then(|dir| dir.read_link(name)) {
        // Links may have names in them that nothing can have.
        Err(error) if is_no_directory(&error) || is(&error, &[Errno::NAMETOOLONG]) => Ok(None),
        found => found,
    }
}

/// The places of the directories that something is in, the nearest first.
fn above(place: &str) -> impl Iterator<Item = &str> {
    std::iter::successors(Some(place), |place| Some(place.rsplit_once('/')?.0)).skip(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The links of a tree, whose other entries do not matter.
    fn out(links: &[(&str, &str)], link: &str) -> bool {
        let links: HashMap<_, _> = links.iter().copied().collect();
        let at = |place: &Path| Ok(links.get(place.to_str().unwrap()).map(PathBuf::from));
        let parent = Path::new(link).parent().unwrap();
        leads_out(parent, Path::new(links[link]), at).unwrap()
    }

    #[test]
    fn links_are_followed_through_other_links() {
        assert!(!out(&[("a", "deep/down/../../file")], "a"));
        // `top` is the tree itself, so that its text looks deeper than it is.
        let chain = [("deep/down/top", "../.."), ("a", "deep/down/top/../etc")];
        assert!(out(&chain, "a") && !out(&chain, "deep/down/top"));
        // The other way round: by its text it would leave.
        assert!(!out(&[("in", "deep/down"), ("a", "in/../../file")], "a"));
        // Through three links, the last of which leads up.
        let chain = [
            ("deep/one", "two"),
            ("deep/two", "down/three"),
            ("deep/down/three", "../.."),
            ("a", "deep/one/../../etc/hostname"),
        ];
        assert!(out(&chain, "a") && !out(&chain, "deep/one"));
    }

    #[test]
    fn what_leads_nowhere_is_judged_by_its_text() {
        for (target, leaves) in [
            ("missing", false),
            ("missing/../file", false),
            ("missing/../..", true),
            ("./././file", false),
            ("..", true),
            ("/", true),
            ("//file", true),
            ("", false),
        ] {
            assert_eq!(out(&[("a", target)], "a"), leaves, "{target}");
        }
        assert!(!out(&[("a", "a")], "a"), "a circle");
        assert!(!out(&[("a", "b/x"), ("b", "a/y")], "a"), "a circle");
        let long = "deep/../".repeat(500) + "file";
        assert!(!out(&[("a", &long)], "a"));
        let too_long = "deep/../".repeat(5000) + "file";
        assert!(out(&[("a", &too_long)], "a"));
    }
}
