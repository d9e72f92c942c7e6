//! Random edits of a random tree: who applies the changes to what was given has what the guest has.

use super::*;
use crate::{Error, InMemory, Inputs, Nothing, OpenFlags, Quota, Tree};
use std::collections::BTreeMap;

const SEEDS: u64 = 3_000;
const EDITS: u64 = 12;
const NAMES: [&str; 4] = ["a", "b", "c", "d"];

/// A tree by its paths.
type Flat = BTreeMap<String, Entry>;

#[derive(Debug, Clone, PartialEq, Eq)]
enum Entry {
    Directory,
    File(Vec<u8>),
    Symlink(String),
}

/// SplitMix64.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % bound
    }

    fn name(&mut self) -> &'static str {
        NAMES[usize::try_from(self.below(4)).unwrap()]
    }

    /// A path of one to three names below `/w`.
    fn path(&mut self) -> String {
        let names: Vec<_> = (0..=self.below(3)).map(|_| self.name()).collect();
        format!("w/{}", names.join("/"))
    }

    fn tree(&mut self, depth: u64) -> Tree {
        let mut entries = BTreeMap::new();
        for name in NAMES {
            let tree = match self.below(5) {
                0 if depth > 0 => self.tree(depth - 1),
                1 if depth > 0 => self.tree(depth - 1),
                2 => Tree::file(format!("given {}", self.below(1000))),
                3 => Tree::Symlink(self.name().to_owned()),
                _ => continue,
            };
            entries.insert(name.to_owned(), tree);
        }
        Tree::Directory(entries)
    }
}

fn flatten(tree: &Tree, path: &str, flat: &mut Flat) {
    if let Tree::Directory(entries) = tree {
        for (name, tree) in entries {
            let here = if path.is_empty() {
                name.clone()
            } else {
                format!("{path}/{name}")
            };
            let entry = match tree {
                Tree::Directory(_) => Entry::Directory,
                Tree::File(bytes) => Entry::File(bytes.clone()),
                Tree::Symlink(target) => Entry::Symlink(target.clone()),
            };
            flat.insert(here.clone(), entry);
            flatten(tree, &here, flat);
        }
    }
}

/// One edit as guests make them. It may be refused.
fn edit(files: &mut FileSystem, random: &mut Random, inputs: &mut InMemory) {
    let (path, other, root) = (random.path(), random.path(), FileSystem::ROOT);
    let write = OpenFlags {
        create: true,
        write: true,
        ..OpenFlags::default()
    };
    // What is refused changes nothing.
    let _ = match random.below(7) {
        0 => files.open(root, &path, write, 1, inputs).and_then(|node| {
            let offset = random.below(2).checked_sub(1);
            let written = files.write(node, offset, b"written", 1, inputs);
            files.close(node);
            written.map(drop)
        }),
        1 => files.remove_file(root, &path, 1, inputs),
        2 => files.remove_directory(root, &path, 1, inputs),
        3 => files.create_directory(root, &path, 1, inputs),
        4 => files.symlink(root, random.name(), &path, 1, inputs),
        5 => files.link((root, &path), (root, &other), 1, inputs),
        _ => files.rename((root, &path), (root, &other), 1, inputs),
    };
}

/// What the guest has.
fn listed(files: &mut FileSystem, id: NodeId, path: &str, inputs: &mut InMemory, flat: &mut Flat) {
    let mut after: Option<String> = None;
    while let Some(entry) = files.entry_after(id, after.as_deref(), inputs).unwrap() {
        let here = if path.is_empty() {
            entry.name.clone()
        } else {
            format!("{path}/{}", entry.name)
        };
        let what = match entry.kind {
            FileKind::Directory => Entry::Directory,
            FileKind::File => Entry::File(bytes(files, entry.node, inputs)),
            FileKind::Symlink => Entry::Symlink(files.read_link(id, &entry.name, inputs).unwrap()),
            FileKind::Device => unreachable!("none is in a directory that was given"),
        };
        flat.insert(here.clone(), what);
        if entry.kind == FileKind::Directory {
            listed(files, entry.node, &here, inputs, flat);
        }
        after = Some(entry.name);
    }
}

fn bytes(files: &FileSystem, id: NodeId, inputs: &mut dyn Inputs) -> Vec<u8> {
    let mut bytes = vec![0; 1000];
    let read = files.read(id, 0, &mut bytes, inputs).unwrap();
    bytes.truncate(read);
    bytes
}

/// Takes what is at a path, and below it, out of a tree; names are below that.
fn take(flat: &mut Flat, path: &str) -> Flat {
    let inside = |key: &str| key == path || key.starts_with(&format!("{path}/"));
    let keys: Vec<_> = flat.keys().filter(|key| inside(key)).cloned().collect();
    let taken = keys
        .iter()
        .map(|key| (key[path.len()..].to_owned(), flat.remove(key).unwrap()));
    taken.collect()
}

fn apply(given: &Flat, changes: &[Change], files: &FileSystem, inputs: &mut InMemory) -> Flat {
    let mut tree = given.clone();
    let mut moved: Vec<&String> = changes
        .iter()
        .filter_map(|change| match &change.now {
            Now::Renamed { from } => Some(from),
            _ => None,
        })
        .collect();
    // What was inside of another first.
    moved.sort_by_key(|from| std::cmp::Reverse(from.len()));
    let taken: BTreeMap<_, _> = moved
        .iter()
        .map(|from| (*from, take(&mut tree, from)))
        .collect();
    let mut taken = taken;
    // Places below a directory that was renamed are named by where it was: they left with it.
    for change in changes {
        let Some(base) = &change.base else { continue };
        take(&mut tree, base);
        for (from, inside) in &mut taken {
            if let Some(rest) = base
                .strip_prefix(from.as_str())
                .filter(|rest| rest.starts_with('/'))
            {
                take(inside, rest);
            }
        }
    }
    for change in changes {
        let place = &change.place;
        match &change.now {
            Now::Removed => {
                let base = change.base.as_ref().unwrap();
                assert!(
                    !moved.contains(&base),
                    "{base} is not gone, it has another name"
                );
            }
            Now::Renamed { from } => {
                for (rest, entry) in taken.remove(from).unwrap() {
                    tree.insert(format!("{place}{rest}"), entry);
                }
            }
            Now::File(id) => {
                let bytes = bytes(files, *id, inputs);
                tree.insert(place.clone(), Entry::File(bytes));
            }
            Now::Symlink(target) => {
                tree.insert(place.clone(), Entry::Symlink(target.clone()));
            }
            Now::Directory => {
                tree.insert(place.clone(), Entry::Directory);
            }
            Now::Foreign(_) | Now::TooDeep => panic!("there is one directory, and not deep"),
        }
    }
    tree
}

#[test]
fn changes_lead_from_what_was_given_to_what_the_guest_has() {
    for seed in 0..SEEDS {
        let mut random = Random(seed);
        let tree = random.tree(2);
        let mut given = Flat::new();
        flatten(&tree, "", &mut given);
        let mut inputs = InMemory {
            mounts: vec![tree],
            ..InMemory::default()
        };
        let quota = Quota {
            bytes: 1 << 20,
            files: 1000,
        };
        let mut files = FileSystem::new(quota, 0);
        files.mount("/w", Some(At::mount(0)), true);
        for _ in 0..EDITS {
            edit(&mut files, &mut random, &mut inputs);
        }
        let root = files
            .stat_at(FileSystem::ROOT, "w", true, &mut inputs)
            .unwrap()
            .node;
        let changes = files.changes(root, &At::mount(0)).unwrap();
        let applied = apply(&given, &changes, &files, &mut inputs);
        let mut wanted = Flat::new();
        listed(&mut files, root, "", &mut inputs, &mut wanted);
        assert_eq!(applied, wanted, "seed {seed}: {changes:#?}\n{given:#?}");
    }
}

#[test]
fn names_that_come_and_go_leave_nothing_behind() {
    let mut inputs = InMemory {
        mounts: vec![Tree::directory([("given", Tree::file("x"))])],
        ..InMemory::default()
    };
    let quota = Quota {
        bytes: 1 << 20,
        files: 1000,
    };
    let mut files = FileSystem::new(quota, 0);
    files.mount("/w", Some(At::mount(0)), true);
    let root = FileSystem::ROOT;
    files.remove_file(root, "w/given", 1, &mut inputs).unwrap();
    let names = (0..100).map(|number| format!("w/{number}"));
    for name in names.chain(["w/given".to_owned()]) {
        let other = format!("{name}.new");
        files.create_directory(root, &name, 1, &mut inputs).unwrap();
        files
            .rename((root, &name), (root, &other), 1, &mut inputs)
            .unwrap();
        files
            .remove_directory(root, &other, 1, &mut inputs)
            .unwrap();
    }
    let given = files.stat_at(root, "w", true, &mut inputs).unwrap().node;
    assert_eq!(files.directory(given).unwrap().entries.len(), 1);
    let changes = files.changes(given, &At::mount(0)).unwrap();
    let places: Vec<_> = changes.iter().map(|change| change.place.as_str()).collect();
    assert_eq!(places, ["given"], "{changes:#?}");
}

#[test]
fn further_names_of_a_file_count_as_files() {
    let mut inputs = InMemory {
        mounts: vec![Tree::directory([("given", Tree::file("x"))])],
        ..InMemory::default()
    };
    let quota = Quota {
        bytes: 1 << 20,
        files: 2,
    };
    let mut files = FileSystem::new(quota, 0);
    files.mount("/w", Some(At::mount(0)), true);
    let root = FileSystem::ROOT;
    let mut link = |files: &mut FileSystem, to: &str| {
        files.link((root, "w/given"), (root, to), 1, &mut inputs)
    };
    link(&mut files, "w/a").unwrap();
    link(&mut files, "w/b").unwrap();
    let full = link(&mut files, "w/c").unwrap_err();
    assert_eq!(full, Error::Guest(Errno::InsufficientSpace));
    files
        .rename((root, "w/a"), (root, "w/d"), 1, &mut Nothing)
        .unwrap();
    assert_eq!(files.used().files, 2);
    for (path, left) in [("w/given", 1), ("w/b", 0), ("w/d", 0)] {
        files.remove_file(root, path, 1, &mut Nothing).unwrap();
        assert_eq!(files.used().files, left, "{path}");
    }
}

#[test]
fn what_was_only_looked_at_is_not_changed() {
    let mut inputs = InMemory {
        mounts: vec![Tree::directory([
            ("file", Tree::file("x")),
            ("dir", Tree::directory([])),
        ])],
        ..InMemory::default()
    };
    let mut files = FileSystem::new(
        Quota {
            bytes: 10,
            files: 10,
        },
        0,
    );
    files.mount("/w", Some(At::mount(0)), true);
    let mut flat = Flat::new();
    let root = files
        .stat_at(FileSystem::ROOT, "w", true, &mut inputs)
        .unwrap()
        .node;
    listed(&mut files, root, "", &mut inputs, &mut flat);
    assert_eq!(flat.len(), 2);
    assert_eq!(files.changes(root, &At::mount(0)).unwrap(), []);
}

#[test]
fn what_lies_too_deep_is_told_of_once_however_deep_it_is() {
    let mut inputs = InMemory {
        mounts: vec![Tree::directory([])],
        ..InMemory::default()
    };
    let quota = Quota {
        bytes: 10,
        files: 100_000,
    };
    let mut files = FileSystem::new(quota, 0);
    files.mount("/w", Some(At::mount(0)), true);
    let root = FileSystem::ROOT;
    let make = |files: &mut FileSystem, inputs: &mut InMemory, path: &str| {
        files.create_directory(root, path, 1, inputs).unwrap();
    };
    make(&mut files, &mut inputs, "w/c");
    // Each turn puts one more directory around all of them.
    for _ in 0..50_000 {
        make(&mut files, &mut inputs, "w/n");
        for (from, to) in [("w/c", "w/n/c"), ("w/n", "w/c")] {
            files
                .rename((root, from), (root, to), 1, &mut inputs)
                .unwrap();
        }
    }
    make(&mut files, &mut inputs, "w/other");
    let w = files.stat_at(root, "w", true, &mut inputs).unwrap().node;
    let changes = files.changes(w, &At::mount(0)).unwrap();
    let made = changes.iter().filter(|change| change.now == Now::Directory);
    assert_eq!(made.count(), MAX_DIRECTORY_DEPTH + 1);
    let too_deep = changes.iter().filter(|change| change.now == Now::TooDeep);
    let places: Vec<_> = too_deep
        .map(|change| change.place.split('/').count())
        .collect();
    assert_eq!(places, [MAX_DIRECTORY_DEPTH + 1]);
    assert_eq!(changes.last().unwrap().place, "other");
}
