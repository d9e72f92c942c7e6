//! What is promised, one promise a test.

use crate::{at_step, fixture::Fixture, host::listed, scratch};
use mc_directories::{Error, Reason, Transaction, recover, steps::on_step};
use std::{
    ffi::OsStr,
    fs,
    io::Write,
    os::unix::{
        ffi::OsStrExt,
        fs::{MetadataExt, PermissionsExt, symlink},
    },
    path::{Path, PathBuf},
};

#[test]
fn a_changed_file_keeps_its_mode_but_never_setuid_and_a_moved_one_keeps_everything() {
    let mut it = Fixture::new(&["changed", "from"]);
    let mode = |it: &Fixture, place: &str| it.root.join(place).metadata().unwrap().mode() & 0o7777;
    let set_mode = |it: &Fixture, place: &str, mode| {
        fs::set_permissions(it.root.join(place), fs::Permissions::from_mode(mode)).unwrap();
    };
    set_mode(&it, "changed", 0o4751);
    set_mode(&it, "from", 0o604);
    let before = it.root.join("from").metadata().unwrap();
    it.change("changed");
    it.rename("from", "to");
    it.make("made");
    it.make_dir("dir", None);
    assert_eq!(it.commit(), []);
    assert_eq!(mode(&it, "changed"), 0o751);
    assert_eq!(mode(&it, "to"), 0o604);
    let after = it.root.join("to").metadata().unwrap();
    assert_eq!(
        (after.ino(), after.mtime_nsec()),
        (before.ino(), before.mtime_nsec())
    );
    fs::write(it.root.join("plain"), "").unwrap();
    fs::create_dir(it.root.join("plain-dir")).unwrap();
    assert_eq!(mode(&it, "made"), mode(&it, "plain"));
    assert_eq!(mode(&it, "dir"), mode(&it, "plain-dir"));
}

#[test]
fn what_is_made_from_something_has_its_permissions() {
    let mut it = Fixture::new(&["file", "dir/in", "other"]);
    for (place, mode) in [("file", 0o640), ("dir", 0o550), ("other", 0o600)] {
        fs::set_permissions(it.root.join(place), fs::Permissions::from_mode(mode)).unwrap();
    }
    let (file, dir, other) = (it.print("file"), it.print("dir"), it.print("other"));
    let places = [("made", None), ("other", Some(&other))];
    for (place, replaces) in places {
        it.transaction
            .put_file(it.dir, Path::new(place), replaces, Some(&file), |_| Ok(()))
            .unwrap();
    }
    it.transaction
        .make_directory(it.dir, Path::new("copy"), None, Some(&dir))
        .unwrap();
    it.make("copy/in");
    assert_eq!(it.commit(), []);
    for (place, mode) in [("made", 0o640), ("other", 0o640), ("copy", 0o750)] {
        let is = it.root.join(place).metadata().unwrap().mode() & 0o7777;
        assert_eq!(is, mode, "{place}");
    }
}

#[test]
fn links_that_lead_out_are_left_out_whatever_they_lead_through() {
    let mut it = Fixture::new(&["deep/down/in", "old/in", "file", "was"]);
    symlink("/", it.root.join("theirs")).unwrap();
    let file = it.print("file");
    for (place, target, replaces) in [
        // Each stays inside by its text, and the second leads out through the first.
        ("deep/down/top", "../..", None),
        ("chain", "deep/down/top/../etc/hostname", None),
        // Through one of the user's.
        ("theirs-too", "theirs/etc", None),
        // Through a directory that moved, and one that it is in now.
        ("moved", "new/place/../../was", None),
        ("moved-out", "new/place/../../../file", None),
        ("gone", "old/../../file", None),
        ("absolute", "/etc/hostname", None),
        ("sibling", "./deep/../file2", None),
        ("file", "../file", Some(&file)),
    ] {
        let (place, target) = (Path::new(place), Path::new(target));
        it.transaction
            .put_link(it.dir, place, target, replaces)
            .unwrap();
    }
    it.make_dir("new", None);
    it.rename("old", "new/place");
    let report = std::mem::take(&mut it.transaction).commit().unwrap();
    let root = it.root.canonicalize().unwrap();
    let below = |path: &std::path::PathBuf| path.strip_prefix(&root).unwrap().to_owned();
    let mut left_out: Vec<_> = report.left_out.iter().map(below).collect();
    left_out.sort();
    let expected = [
        "absolute",
        "chain",
        "file",
        "gone",
        "moved-out",
        "theirs-too",
    ];
    assert_eq!(left_out, expected.map(std::path::PathBuf::from));
    assert_eq!(report.conflicts, []);
    for made in ["deep/down/top", "moved", "sibling"] {
        assert!(it.root.join(made).is_symlink(), "{made}");
    }
    // What one of them was to replace is still there.
    assert_eq!(it.text("file"), "old file");
    assert!(
        recover(&it.root).unwrap().is_empty(),
        "nothing is left to do"
    );
}

/// A link that was the user's before is not lost because it leads out: each goes on with one other name.
#[test]
fn a_link_of_the_users_that_leads_out_may_have_another_name() {
    let mut it = Fixture::new(&["dir/in", "file", "old/in"]);
    for (place, target) in [
        ("out", "../elsewhere"),
        ("dir/deep", "/etc"),
        ("replaced", "../other"),
        ("old/replaced", "../../third"),
    ] {
        symlink(target, it.root.join(place)).unwrap();
    }
    let (file, replaced) = (it.print("file"), it.print("replaced"));
    let below = it.print("old/replaced");
    it.remove("out");
    it.remove("dir/deep");
    it.put("replaced", Some(&replaced));
    it.rename("old", "new");
    it.put("new/replaced", Some(&below));
    for (place, target, replaces) in [
        ("renamed", "../elsewhere", None),
        ("second", "../elsewhere", None),
        ("file", "/etc", Some(&file)),
        ("swapped", "../other", None),
        ("third", "../../third", None),
        ("made", "../made", None),
    ] {
        let (place, target) = (Path::new(place), Path::new(target));
        it.transaction
            .put_link(it.dir, place, target, replaces)
            .unwrap();
    }
    let report = std::mem::take(&mut it.transaction).commit().unwrap();
    let mut left_out: Vec<_> = (report.left_out.iter())
        .map(|path| path.file_name().unwrap().to_str().unwrap())
        .collect();
    left_out.sort_unstable();
    assert_eq!(left_out, ["made", "second"]);
    assert_eq!(report.conflicts, []);
    for (place, target) in [
        ("renamed", "../elsewhere"),
        ("file", "/etc"),
        ("swapped", "../other"),
        ("third", "../../third"),
    ] {
        let is = fs::read_link(it.root.join(place)).unwrap();
        assert_eq!(is, Path::new(target), "{place}");
    }
    for gone in ["out", "dir/deep"] {
        assert!(!it.root.join(gone).is_symlink(), "{gone}");
    }
    assert_eq!(it.text("replaced"), "new replaced");
    assert_eq!(it.text("new/replaced"), "new new/replaced");
}

#[test]
fn a_link_with_a_name_in_it_that_nothing_can_have_is_one_that_leads_nowhere() {
    let mut it = Fixture::new(&["a"]);
    let target = "b".repeat(300);
    it.transaction
        .put_link(it.dir, Path::new("link"), Path::new(&target), None)
        .unwrap();
    assert_eq!(it.commit(), []);
    let made = fs::read_link(it.root.join("link")).unwrap();
    assert_eq!(made, Path::new(&target));
}

#[test]
fn a_transaction_of_nothing_but_links_that_lead_out_leaves_nothing() {
    let mut it = Fixture::new(&["a"]);
    it.transaction
        .put_link(it.dir, Path::new("out"), Path::new("/"), None)
        .unwrap();
    let report = std::mem::take(&mut it.transaction).commit().unwrap();
    assert_eq!(report.left_out.len(), 1);
    assert_eq!(it.places(), ["a"]);
}

#[test]
fn swaps_chains_and_changes_of_kind_are_applied() {
    let mut it = Fixture::new(&["a", "b", "x/1", "y", "p", "q", "d/in"]);
    let (dir, file) = (it.print("x"), it.print("y"));
    it.rename("a", "b");
    it.rename("b", "a");
    it.rename("p", "q");
    it.rename("q", "r");
    it.remove("x/1");
    it.put("x", Some(&dir));
    it.make_dir("y", Some(&file));
    it.make("y/in");
    it.rename("d", "e");
    let inner = it.print("d/in");
    it.put("e/in", Some(&inner));
    assert_eq!(it.commit(), []);
    assert_eq!(
        it.places(),
        ["a", "b", "e", "e/in", "q", "r", "x", "y", "y/in"]
    );
    let texts = ["a", "b", "q", "r", "x", "y/in", "e/in"].map(|place| it.text(place));
    let wanted = [
        "old b", "old a", "old p", "old q", "new x", "new y/in", "new e/in",
    ];
    assert_eq!(texts, wanted);
}

#[test]
fn an_edit_just_before_the_exchange_is_given_back_and_the_guests_version_kept() {
    let mut it = Fixture::new(&["sub/file"]);
    it.change("sub/file");
    let path = it.root.join("sub/file");
    at_step("exchange", move || {
        fs::write(&path, "edited just now").unwrap()
    });
    let conflicts = it.commit();
    assert_eq!(it.text("sub/file"), "edited just now");
    let [(place, Some(kept), Reason::Edited)] = &conflicts[..] else {
        panic!("{conflicts:?}");
    };
    assert_eq!(place, "sub/file");
    assert!(kept.starts_with("mc-wasm-conflict-") && kept.ends_with("/sub/file"));
    // It may have been in a directory that was closed to others.
    let (beside, _) = kept.split_once('/').unwrap();
    let mode = fs::metadata(it.root.join(beside)).unwrap().permissions();
    assert_eq!(mode.mode() & 0o777, 0o700);
    assert_eq!(it.text(kept), "new sub/file");
}

#[test]
fn an_edit_just_before_the_taking_out_stays_where_it_is() {
    for rename in [false, true] {
        let mut it = Fixture::new(&["file"]);
        match rename {
            true => it.rename("file", "moved"),
            false => it.remove("file"),
        }
        let path = it.root.join("file");
        // The journal is moved into its place first.
        let mut takes = 0;
        on_step(Some(Box::new(move |name| {
            takes += usize::from(name == "take");
            if takes == 2 && name == "take" {
                fs::write(&path, "edited just now").unwrap();
            }
            Ok(())
        })));
        let place = if rename { "moved" } else { "file" };
        // Where it is to be found, since it is not where the guest moved it.
        let kept = rename.then(|| "file".to_owned());
        assert_eq!(it.commit(), [(place.to_owned(), kept, Reason::Edited)]);
        assert_eq!(it.places(), ["file"]);
        assert_eq!(it.text("file"), "edited just now");
    }
}

#[test]
fn an_edit_that_restores_the_time_of_modification_is_noticed() {
    let mut it = Fixture::new(&["removed", "changed"]);
    it.remove("removed");
    it.change("changed");
    for place in ["removed", "changed"] {
        crate::host::edit_secretly(&it.root.join(place), &format!("OLD {place}"));
    }
    assert_eq!(it.commit().len(), 2);
    assert_eq!(it.text("removed"), "OLD removed");
    assert_eq!(it.text("changed"), "OLD changed");
}

#[test]
fn what_is_written_through_an_open_file_after_the_exchange_is_kept() {
    let mut it = Fixture::new(&["file"]);
    it.change("file");
    let mut open = fs::File::options()
        .append(true)
        .open(it.root.join("file"))
        .unwrap();
    let mut exchanged = false;
    on_step(Some(Box::new(move |name| {
        exchanged |= name == "exchange";
        // After everything has been put in and compared.
        if exchanged && name == "sync" {
            open.write_all(b", and more").unwrap();
            exchanged = false;
        }
        Ok(())
    })));
    let conflicts = it.commit();
    assert_eq!(it.text("file"), "new file");
    let [(_, Some(kept), Reason::Edited)] = &conflicts[..] else {
        panic!("{conflicts:?}");
    };
    assert_eq!(it.text(kept), "old file, and more");
}

#[test]
fn what_the_host_made_stays_and_the_guests_version_is_kept_beside_it() {
    let mut it = Fixture::new(&["from"]);
    it.make("made");
    it.rename("from", "to");
    it.make_dir("dir", None);
    it.make("dir/in");
    for place in ["made", "to"] {
        fs::write(it.root.join(place), "host").unwrap();
    }
    // A directory that both made is one directory.
    fs::create_dir(it.root.join("dir")).unwrap();
    let conflicts = it.commit();
    assert_eq!(
        (it.text("made"), it.text("to")),
        ("host".into(), "host".into())
    );
    assert_eq!(it.text("from"), "old from");
    assert_eq!(it.text("dir/in"), "new dir/in");
    assert_eq!(conflicts.len(), 2, "{conflicts:?}");
    let kept = conflicts.iter().map(|(_, kept, _)| kept.clone().unwrap());
    let texts: Vec<_> = kept.map(|kept| it.text(&kept)).collect();
    assert_eq!(texts, ["new made", "old from"]);
}

#[test]
fn what_the_host_removed_is_a_conflict_only_if_the_guest_wanted_it() {
    let mut it = Fixture::new(&["changed", "removed", "moved"]);
    it.change("changed");
    it.remove("removed");
    it.rename("moved", "to");
    for place in ["changed", "removed", "moved"] {
        fs::remove_file(it.root.join(place)).unwrap();
    }
    let conflicts = it.commit();
    let places: Vec<_> = conflicts
        .iter()
        .map(|(place, _, reason)| (&**place, reason))
        .collect();
    let mut sorted = places.clone();
    sorted.sort_by_key(|it| it.0);
    assert_eq!(sorted, [("changed", &Reason::Gone), ("to", &Reason::Gone)]);
}

#[test]
fn a_removed_directory_stays_with_what_the_host_put_into_it() {
    let mut it = Fixture::new(&["dir/old"]);
    it.remove("dir");
    it.remove("dir/old");
    fs::write(it.root.join("dir/host"), "host").unwrap();
    assert_eq!(it.commit(), [("dir".to_owned(), None, Reason::NotEmpty)]);
    assert_eq!(it.places(), ["dir", "dir/host"]);
}

#[test]
fn no_link_leads_out_of_the_directory_even_if_it_comes_in_the_middle() {
    for step in ["create", "open-beneath", "noreplace"] {
        let mut it = Fixture::new(&["sub/changed", "sub/removed"]);
        let outside = it.root.parent().unwrap().join("outside");
        fs::create_dir(&outside).unwrap();
        for name in ["changed", "removed"] {
            fs::write(outside.join(name), "outside").unwrap();
        }
        it.change("sub/changed");
        it.remove("sub/removed");
        it.make("sub/made");
        let (sub, away, target) = (it.root.join("sub"), it.root.join("away"), outside.clone());
        at_step(step, move || {
            fs::rename(&sub, away).unwrap();
            symlink(&target, &sub).unwrap();
        });
        it.commit();
        assert_eq!(listed(&outside).len(), 2);
        assert!(
            listed(&outside)
                .values()
                .all(|it| it.text.as_deref() == Some("outside"))
        );
        let after = listed(&it.root);
        assert!(
            after
                .values()
                .any(|it| it.text.as_deref() == Some("new sub/made")),
            "{after:?}"
        );
    }
}

#[test]
fn no_link_leads_to_another_directory_inside() {
    let mut it = Fixture::new(&["sub/old", "other/old"]);
    it.make("sub/made");
    fs::remove_dir_all(it.root.join("sub")).unwrap();
    symlink("other", it.root.join("sub")).unwrap();
    let conflicts = it.commit();
    assert!(
        matches!(&conflicts[..], [(_, Some(_), Reason::NoDirectory)]),
        "{conflicts:?}"
    );
    assert_eq!(listed(&it.root.join("other")).len(), 1);
}

#[test]
fn a_directory_that_was_replaced_comes_back_with_what_the_host_has_just_put_into_it() {
    let mut it = Fixture::new(&["dir/old"]);
    let seen = it.print("dir");
    it.remove("dir/old");
    it.put("dir", Some(&seen));
    let path = it.root.join("dir/host");
    at_step("exchange", move || fs::write(&path, "host").unwrap());
    let conflicts = it.commit();
    assert_eq!(it.text("dir/host"), "host");
    let [(_, Some(kept), Reason::NotEmpty)] = &conflicts[..] else {
        panic!("{conflicts:?}");
    };
    assert_eq!(it.text(kept), "new dir");
}

#[test]
fn names_of_one_inode_are_removed_and_changed_independently() {
    let mut it = Fixture::new(&["one"]);
    for other in ["two", "three"] {
        fs::hard_link(it.root.join("one"), it.root.join(other)).unwrap();
    }
    it.remove("one");
    it.remove("two");
    it.change("three");
    assert_eq!(it.commit(), []);
    assert_eq!(it.places(), ["three"]);
}

#[test]
fn what_lies_on_another_file_system_is_a_conflict() {
    let mut it = Fixture::new(&["from"]);
    it.rename("from", "mount/to");
    fs::create_dir(it.root.join("mount")).unwrap();
    let mut first = true;
    on_step(Some(Box::new(move |name| {
        let fails = name == "noreplace" && std::mem::take(&mut first);
        match fails {
            // EXDEV.
            true => Err(std::io::Error::from_raw_os_error(18)),
            false => Ok(()),
        }
    })));
    let conflicts = it.commit();
    assert!(matches!(&conflicts[..], [(_, Some(kept), Reason::Refused(_))] if kept == "from"));
    assert_eq!(it.text("from"), "old from");
}

#[test]
fn two_changes_of_one_place_are_refused_and_change_nothing() {
    let mut it = Fixture::new(&["a"]);
    it.make("b");
    it.make("b");
    let refused = std::mem::take(&mut it.transaction).commit().unwrap_err();
    assert!(matches!(refused, Error::Twice { .. }), "{refused}");
    assert_eq!(it.places(), ["a"]);
}

#[test]
fn the_directory_is_what_its_path_named_first() {
    let mut it = Fixture::new(&[]);
    let link = it.root.parent().unwrap().join("link");
    symlink(&it.root, &link).unwrap();
    let mut transaction = Transaction::new();
    it.dir = transaction.directory(&link.join(".")).unwrap();
    it.transaction = transaction;
    fs::remove_file(&link).unwrap();
    it.make("made");
    it.commit();
    assert_eq!(it.places(), ["made"]);
}

#[test]
fn many_files_are_put_in() {
    let mut it = Fixture::new(&[]);
    it.make_dir("dir", None);
    for number in 0..400 {
        it.make(&format!("dir/{number}"));
    }
    assert_eq!(it.commit(), []);
    assert_eq!(it.places().len(), 401);
}

#[test]
fn a_transaction_that_is_dropped_leaves_nothing() {
    let mut it = Fixture::new(&["a"]);
    it.make("b");
    it.make_dir("c", None);
    // A living process's is left alone.
    assert_eq!(recover(&it.root).unwrap(), []);
    assert_eq!(listed(&it.root).len(), 6);
    it.transaction = Transaction::new();
    assert_eq!(it.places(), ["a"]);
}

#[test]
fn content_that_cannot_be_written_is_no_part_of_the_transaction() {
    let mut it = Fixture::new(&["a"]);
    let failed = it
        .transaction
        .put_file(it.dir, Path::new("b"), None, None, |_| {
            Err(std::io::ErrorKind::StorageFull.into())
        });
    assert!(matches!(failed, Err(Error::Prepare { .. })));
    it.make("c");
    assert_eq!(it.commit(), []);
    assert_eq!(it.places(), ["a", "c"]);
}

/// Makes a file in each of these directories, and is killed right after the commit; the next one finishes it.
fn recovered_after_the_commit(roots: &[PathBuf]) {
    let mut transaction = Transaction::new();
    for root in roots {
        fs::create_dir_all(root).unwrap();
        let dir = transaction.directory(root).unwrap();
        let made = transaction.put_file(dir, Path::new("new"), None, None, |file| {
            file.write_all(b"new")
        });
        made.unwrap();
    }
    on_step(Some(Box::new(|step| match step {
        "committed" => Err(std::io::ErrorKind::Interrupted.into()),
        _ => Ok(()),
    })));
    let killed = transaction.commit();
    on_step(None);
    assert!(
        matches!(killed, Err(Error::Unfinished { .. })),
        "{killed:?}"
    );
    let reports = recover(&roots[0]).unwrap();
    assert!(reports.iter().all(|report| report.pending.is_empty()));
    for root in roots {
        assert_eq!(fs::read(root.join("new")).unwrap(), b"new");
        assert_eq!(fs::read_dir(root).unwrap().count(), 1);
    }
}

#[test]
fn directories_whose_paths_are_not_utf8_are_recovered_too() {
    let base = scratch();
    let bad = base.path().join(OsStr::from_bytes(b"no\xfftext"));
    recovered_after_the_commit(&[bad.join("a"), bad.join("b")]);
}

#[test]
fn many_directories_with_long_paths_are_recovered_too() {
    let base = scratch();
    let deep = (0..14).fold(base.path().to_owned(), |dir, _| dir.join("d".repeat(250)));
    let roots: Vec<_> = (0..30).map(|n| deep.join(format!("root{n}"))).collect();
    recovered_after_the_commit(&roots);
}
