//! What a guest found, what it left, and how that is told to a transaction.

use mc_directories::{DirectoryId, Error, Fingerprint, Transaction};
use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    os::unix::fs::{PermissionsExt, symlink},
    path::Path,
    time::{Duration, UNIX_EPOCH},
};

/// SplitMix64.
#[derive(Clone, Debug)]
pub(crate) struct Random(u64);

impl Random {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    pub(crate) fn below(&mut self, bound: usize) -> usize {
        usize::try_from(self.next() % u64::try_from(bound.max(1)).unwrap()).unwrap()
    }

    pub(crate) fn one_in(&mut self, of: usize) -> bool {
        self.below(of) == 0
    }

    pub(crate) fn pick<T: Clone>(&mut self, of: &[T]) -> Option<T> {
        of.get(self.below(of.len())).cloned()
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    File(String),
    Link(String),
    Dir,
}

#[derive(Clone, Debug)]
pub(crate) struct Node {
    pub(crate) kind: Kind,
    /// Where the guest found it.
    pub(crate) origin: Option<String>,
    pub(crate) changed: bool,
}

pub(crate) type Tree = BTreeMap<String, Node>;

/// One host directory.
#[derive(Clone, Debug)]
pub(crate) struct Scenario {
    pub(crate) found: Tree,
    pub(crate) left: Tree,
    changes: Vec<Change>,
}

#[derive(Clone, Debug)]
enum Change {
    Put(String, Kind, Option<String>),
    Rename(String, String, Option<String>),
    Remove(String),
}

const NAMES: [&str; 6] = ["a", "b", "c", "d", "e", "f"];

impl Scenario {
    pub(crate) fn new(random: &mut Random) -> Self {
        let mut found = Tree::new();
        for number in 0..4 + random.below(14) {
            let Some(place) = free_place(&found, random) else {
                continue;
            };
            let node = Node {
                kind: some_kind(random, &format!("o{number}")),
                origin: Some(place.clone()),
                changed: false,
            };
            found.insert(place, node);
        }
        let mut left = found.clone();
        for number in 0..1 + random.below(12) {
            edit(&mut left, random, number);
        }
        let mut changes = told(&found, &left, random);
        for index in (1..changes.len()).rev() {
            changes.swap(index, random.below(index + 1));
        }
        Self {
            found,
            left,
            changes,
        }
    }

    pub(crate) fn build(&self, root: &Path) {
        for (place, node) in &self.found {
            let path = root.join(place);
            match &node.kind {
                Kind::Dir => fs::create_dir(path).unwrap(),
                Kind::Link(target) => symlink(target, path).unwrap(),
                Kind::File(content) => {
                    fs::write(&path, content).unwrap();
                    let file = fs::File::open(&path).unwrap();
                    file.set_modified(time_of(content)).unwrap();
                    file.set_permissions(fs::Permissions::from_mode(mode_of(content)))
                        .unwrap();
                }
            }
        }
    }

    pub(crate) fn seen(&self, root: &Path) -> BTreeMap<String, Fingerprint> {
        let places = self.found.keys();
        places
            .map(|place| {
                let print = Fingerprint::of(&root.join(place)).unwrap().unwrap();
                (place.clone(), print)
            })
            .collect()
    }

    /// Places at which something is taken out or put in.
    pub(crate) fn touched(&self) -> Vec<String> {
        let places = self.changes.iter().map(|change| match change {
            Change::Put(place, ..) | Change::Rename(place, ..) | Change::Remove(place) => place,
        });
        places.cloned().collect()
    }

    pub(crate) fn tell(
        &self,
        transaction: &mut Transaction,
        dir: DirectoryId,
        seen: &BTreeMap<String, Fingerprint>,
    ) -> Result<(), Error> {
        for change in &self.changes {
            let print = |of: &Option<String>| of.as_ref().map(|of| &seen[of]);
            match change {
                Change::Remove(place) => transaction.remove(dir, Path::new(place), &seen[place])?,
                Change::Rename(from, to, replaces) => transaction.rename(
                    dir,
                    Path::new(from),
                    Path::new(to),
                    &seen[from],
                    print(replaces),
                )?,
                Change::Put(place, kind, replaces) => {
                    let place = Path::new(place);
                    let replaces = print(replaces);
                    match kind {
                        Kind::Dir => transaction.make_directory(dir, place, replaces, None)?,
                        Kind::Link(to) => {
                            transaction.put_link(dir, place, Path::new(to), replaces)?;
                        }
                        Kind::File(content) => {
                            transaction.put_file(dir, place, replaces, None, |it| {
                                it.write_all(content.as_bytes())
                            })?;
                        }
                    }
                }
            }
        }
        Ok(())
    }
}

pub(crate) fn mode_of(content: &str) -> u32 {
    [0o644, 0o600, 0o755, 0o640][content.len() % 4]
}

pub(crate) fn time_of(content: &str) -> std::time::SystemTime {
    let number = content
        .bytes()
        .fold(0, |sum, byte| sum * 31 + u64::from(byte));
    UNIX_EPOCH + Duration::new(1_600_000_000 + number % 10_000_000, 123_456_789)
}

fn some_kind(random: &mut Random, label: &str) -> Kind {
    match random.below(8) {
        0..=2 => Kind::Dir,
        3 => Kind::Link(format!("to-{label}")),
        _ => Kind::File(format!("{label}{}", "-".repeat(random.below(5)))),
    }
}

fn parent(place: &str) -> &str {
    place.rsplit_once('/').map_or("", |(parent, _)| parent)
}

fn name(place: &str) -> &str {
    place.rsplit_once('/').map_or(place, |(_, name)| name)
}

fn joined(parent: &str, name: &str) -> String {
    match parent {
        "" => name.to_owned(),
        parent => format!("{parent}/{name}"),
    }
}

fn free_place(tree: &Tree, random: &mut Random) -> Option<String> {
    let mut dirs = vec![String::new()];
    dirs.extend(places(tree, |node| node.kind == Kind::Dir));
    dirs.retain(|dir| dir.split('/').count() < 4);
    let place = joined(&random.pick(&dirs)?, random.pick(&NAMES)?);
    (!tree.contains_key(&place)).then_some(place)
}

fn places(tree: &Tree, which: impl Fn(&Node) -> bool) -> Vec<String> {
    let chosen = tree.iter().filter(|(_, node)| which(node));
    chosen.map(|(place, _)| place.clone()).collect()
}

fn is_below(place: &str, dir: &str) -> bool {
    place == dir
        || place
            .strip_prefix(dir)
            .is_some_and(|rest| rest.starts_with('/'))
}

fn remove(tree: &mut Tree, place: &str) {
    tree.retain(|it, _| !is_below(it, place));
}

fn rename(tree: &mut Tree, from: &str, to: &str) {
    let moved: Vec<_> = tree
        .extract_if(.., |place, _| is_below(place, from))
        .collect();
    tree.extend(moved.into_iter().map(|(place, node)| {
        let rest = place.strip_prefix(from).unwrap();
        (format!("{to}{rest}"), node)
    }));
}

fn edit(tree: &mut Tree, random: &mut Random, number: usize) {
    let all = places(tree, |_| true);
    let label = format!("g{number}");
    match random.below(9) {
        0 | 1 => {
            if let Some(place) = free_place(tree, random) {
                let kind = some_kind(random, &label);
                tree.insert(place, new(kind));
            }
        }
        2 | 3 => {
            let files = places(tree, |node| matches!(node.kind, Kind::File(_)));
            if let Some(node) = random.pick(&files).and_then(|it| tree.get_mut(&it)) {
                node.kind = Kind::File(label);
                node.changed = true;
            }
        }
        4 => {
            if let Some(place) = random.pick(&all) {
                remove(tree, &place);
            }
        }
        5 => {
            // Becomes something else.
            if let Some(place) = random.pick(&all) {
                remove(tree, &place);
                let kind = some_kind(random, &label);
                tree.insert(place, new(kind));
            }
        }
        6 | 7 => {
            if let (Some(from), Some(to)) = (random.pick(&all), free_place(tree, random))
                && !is_below(&to, &from)
            {
                rename(tree, &from, &to);
            }
        }
        _ => {
            if let (Some(a), Some(b)) = (random.pick(&all), random.pick(&all)) {
                move_over(tree, &a, &b, random);
            }
        }
    }
}

/// A swap, or a move over what is there.
fn move_over(tree: &mut Tree, a: &str, b: &str, random: &mut Random) {
    if is_below(a, b) || is_below(b, a) {
        return;
    }
    rename(tree, a, "z");
    match random.one_in(3) {
        true => remove(tree, b),
        false => rename(tree, b, a),
    }
    rename(tree, "z", b);
}

fn new(kind: Kind) -> Node {
    Node {
        kind,
        origin: None,
        changed: false,
    }
}

/// The changes that lead from one tree to the other, in one of the ways to tell them.
fn told(found: &Tree, left: &Tree, random: &mut Random) -> Vec<Change> {
    let spot = |place: &str| {
        let dir = match parent(place) {
            "" => String::new(),
            dir => left[dir].origin.clone()?,
        };
        Some(joined(&dir, name(place))).filter(|spot| found.contains_key(spot))
    };
    let is_moved = |place: &str, node: &Node| node.origin.is_some() && node.origin != spot(place);
    let live: BTreeSet<&String> = left
        .iter()
        .filter(|(place, node)| !(node.changed && is_moved(place, node)))
        .filter_map(|(_, node)| node.origin.as_ref())
        .collect();
    let mut dead: BTreeSet<&String> = found.keys().filter(|it| !live.contains(it)).collect();
    let mut changes = Vec::new();
    for (place, node) in left {
        if node.origin.is_some() && !is_moved(place, node) {
            if node.changed {
                changes.push(Change::Put(
                    place.clone(),
                    node.kind.clone(),
                    node.origin.clone(),
                ));
            }
            continue;
        }
        let replaced = spot(place);
        let is_same_place = replaced.as_ref() == Some(place);
        let replaces = replaced.filter(|it| is_told(it, is_same_place, &mut dead, random));
        changes.push(match &node.origin {
            Some(from) if live.contains(from) => {
                Change::Rename(from.clone(), place.clone(), replaces)
            }
            _ => Change::Put(place.clone(), node.kind.clone(), replaces),
        });
    }
    changes.extend(dead.into_iter().cloned().map(Change::Remove));
    changes
}

/// Whether what was in the place is stated with the change, perhaps instead of its removal.
fn is_told(
    replaced: &String,
    is_same_place: bool,
    dead: &mut BTreeSet<&String>,
    random: &mut Random,
) -> bool {
    match (dead.contains(replaced), is_same_place) {
        (true, true) if random.one_in(2) => dead.remove(replaced),
        (_, true) => random.one_in(2),
        (true, false) => random.one_in(2) && dead.remove(replaced),
        (false, false) => false,
    }
}
