//! A directory that was given as `/`, beneath what the task has of its own.

use crate::{
    At, Bounds, Errno, Error, FileSystem, Host, InMemory, Mount, Now, OpenFlags, Opening, Preview,
    Quota, Setup, Tree,
};

fn mount(path: &str, given: bool, writable: bool) -> Mount {
    Mount {
        path: path.to_owned(),
        given,
        writable,
    }
}

/// `/` has `text`, `out/hidden` and `sub/inner` beneath `/in`, `/out`, `/tmp`, `/w` and `/dev`.
fn host() -> (Host, u32) {
    let given = Tree::directory([
        ("text", Tree::file("as it was")),
        ("out", Tree::directory([("hidden", Tree::file("mine"))])),
        ("sub", Tree::directory([("inner", Tree::file("inner"))])),
    ]);
    let inputs = InMemory {
        mounts: vec![
            Tree::directory([]),
            Tree::directory([]),
            Tree::directory([]),
            given,
            Tree::directory([("there", Tree::file("there"))]),
        ],
        ..InMemory::default()
    };
    let setup = Setup {
        args: vec![],
        env: vec![],
        mounts: vec![
            mount("/in", false, false),
            mount("/out", false, true),
            mount("/tmp", false, true),
            mount("/", true, true),
            mount("/w", true, true),
        ],
        bounds: Bounds {
            output_bytes: 0,
            files: Quota {
                bytes: 1 << 20,
                files: 100,
            },
            handles: 100,
        },
        start_seconds: None,
    };
    let mut host = Host::new(setup, Preview::Two, Box::new(inputs));
    let root = host.open_root().unwrap();
    (host, root)
}

fn write(host: &mut Host, root: u32, path: &str) {
    let how = Opening {
        flags: OpenFlags {
            create: true,
            write: true,
            ..OpenFlags::default()
        },
        ..Opening::default()
    };
    let file = host.open_at(root, path, how).unwrap();
    host.write_at(file, 0, b"new").unwrap();
}

fn names(host: &mut Host, root: u32) -> Vec<String> {
    let listing = host.list(root).unwrap();
    std::iter::from_fn(|| host.next_entry(listing).unwrap().map(|entry| entry.name)).collect()
}

#[test]
fn what_was_given_lies_beneath_what_the_task_has_of_its_own() {
    let (mut host, root) = host();
    assert_eq!(
        names(&mut host, root),
        ["dev", "in", "out", "sub", "text", "tmp", "w"]
    );
    assert_eq!(host.stat_at(root, "text", true).unwrap().size, 9);
    assert_eq!(host.stat_at(root, "w/there", true).unwrap().size, 5);
    let hidden = host.stat_at(root, "out/hidden", true);
    assert_eq!(hidden, Err(Error::Guest(Errno::NoEntry)));
}

#[test]
fn what_is_mounted_can_be_neither_removed_nor_renamed_nor_replaced() {
    let (mut host, root) = host();
    let busy = Err(Error::Guest(Errno::Busy));
    for mounted in ["dev", "in", "out", "tmp", "w"] {
        assert_eq!(host.remove_directory(root, mounted), busy, "{mounted}");
        assert_eq!(host.rename((root, mounted), (root, "x")), busy, "{mounted}");
        assert_eq!(
            host.rename((root, "sub"), (root, mounted)),
            busy,
            "{mounted}"
        );
        let made = host.create_directory(root, mounted);
        assert_eq!(made, Err(Error::Guest(Errno::Exist)), "{mounted}");
    }
}

#[test]
fn only_what_is_not_mounted_is_a_change_of_what_was_given() {
    let (mut host, root) = host();
    for path in ["out/a", "tmp/b", "w/c", "made", "text"] {
        write(&mut host, root, path);
    }
    host.rename((root, "sub/inner"), (root, "outer")).unwrap();
    // Looking at a device makes no change.
    host.stat_at(root, "dev/null", true).unwrap();
    let (files, _) = host.files();
    let changes = files.changes(FileSystem::ROOT, &At::mount(3)).unwrap();
    let told: Vec<_> = changes
        .iter()
        .map(|change| (change.place.as_str(), change.now == Now::Removed))
        .collect();
    let expected = [("made", false), ("outer", false), ("text", false)];
    assert_eq!(told, expected, "{changes:?}");
}

#[test]
fn what_lies_beneath_can_be_looked_at_when_the_guest_has_ended() {
    let (mut host, root) = host();
    write(&mut host, root, "out/a");
    let (files, inputs) = host.files();
    let covers = files.uncover(FileSystem::ROOT);
    let beneath = files.stat_at(FileSystem::ROOT, "out/hidden", true, inputs);
    assert_eq!(beneath.unwrap().size, 4);
    files.cover(FileSystem::ROOT, covers);
    let above = files.stat_at(FileSystem::ROOT, "out/a", true, inputs);
    assert_eq!(above.unwrap().size, 3);
    assert_eq!(
        names(&mut host, root),
        ["dev", "in", "out", "sub", "text", "tmp", "w"]
    );
}

/// Once, such a link was made, and nothing of what the task left could be written to a disk.
#[test]
fn links_are_as_long_as_a_disk_takes_them() {
    let (mut host, root) = host();
    let target = |length: usize| "a/".repeat(length / 2) + &"b".repeat(length % 2);
    for (longest, longer, name) in [
        ("x".repeat(4095), "x".repeat(4096), "out/name"),
        (target(4095), target(4096), "out/path"),
    ] {
        host.symlink(root, &longest, name).unwrap();
        let refused = host.symlink(root, &longer, "out/longer");
        assert_eq!(refused, Err(Error::Guest(Errno::NameTooLong)));
    }
    for (target, why) in [("", Errno::NoEntry), ("a\0b", Errno::Invalid)] {
        let refused = host.symlink(root, target, "out/other");
        assert_eq!(refused, Err(Error::Guest(why)), "{target:?}");
    }
}
