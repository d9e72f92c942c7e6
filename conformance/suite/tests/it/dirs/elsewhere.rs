//! What cannot be put in its place lies elsewhere, and is named.

use super::{COMMANDS, arguments, left_in, names, new_project, state, text, with};
use mc_conformance::{Finished, NodeOptions, mc_in, spawn_in};
use std::{
    ffi::OsStr,
    fs,
    io::{BufRead, BufReader},
    os::unix::{ffi::OsStrExt, fs::FileTypeExt, net::UnixListener},
};

#[test]
fn what_cannot_be_put_in_its_place_lies_elsewhere_and_is_named() {
    let node = NodeOptions::new().start();
    let (dir, proj) = new_project("proj");
    let before = state(&proj);
    // A name that we keep for ourselves.
    let steps = [
        "write",
        "/w/sub/new",
        "precious",
        "remove",
        "/w/text",
        "write",
        "/w/.mc-wasm-staging-abcdef",
        "x",
        "write",
        "/out/result",
        "of hours",
    ];
    let typed = arguments("run", &["proj::/w"], &node, &steps);
    let done = mc_in(dir.path(), with(typed, &["--out", "out"]));
    assert_eq!(done.code, Some(66), "{done:#?}");
    assert_eq!(state(&proj), before);
    let kept = left_in(dir.path());
    assert!(
        done.stderr
            .contains(kept.file_name().unwrap().to_str().unwrap()),
        "{}",
        done.stderr
    );
    assert_eq!(text(kept.join("w/sub/new")), "precious");
    assert_eq!(text(kept.join("out/result")), "of hours");
    assert!(text(kept.join("changes.txt")).contains("removed \"w/text\""));
}

#[test]
fn nothing_that_a_task_calls_its_files_keeps_them_from_lying_elsewhere() {
    let (node, (dir, proj)) = (NodeOptions::new().start(), new_project("proj"));
    let long = "n".repeat(250);
    let [mid, deep] = [1, 40].map(|levels| format!("/{}", vec![&*long; levels].join("/")));
    // The names of our own list, a name that we keep for ourselves, and a path that is too long to be anywhere.
    let mut steps = vec![
        "write",
        "/changes.txt",
        "mine",
        "remove",
        "/text",
        "write",
        "/.mc-wasm-staging-abcdef",
        "x",
        "mkdir",
        "/top",
    ];
    for _ in 0..40 {
        steps.extend(["mkdir", "/new", "rename", "/top"]);
        let inner = ["/new/", &long].concat().leak();
        steps.extend([&*inner, "rename", "/new", "/top"]);
    }
    steps.extend(["write", "/zz", "precious"]);
    let done = mc_in(dir.path(), arguments("run", &["proj::/"], &node, &steps));
    assert_eq!(done.code, Some(66), "{done:#?}");
    assert!(done.stderr.len() < 2000, "{}", done.stderr.len());
    assert_eq!(names(&proj), ["link", "script.sh", "sub", "text"]);
    let kept = left_in(dir.path());
    assert_eq!(text(kept.join("changes.txt")), "mine");
    assert_eq!(text(kept.join("zz")), "precious");
    assert!(kept.join(format!("top{mid}")).is_dir());
    let list = text(kept.join("changes-1.txt"));
    assert!(list.contains("removed \"text\""), "{list}");
    assert!(
        list.contains(&format!("too long: \"top{deep}")[..200]),
        "{list}"
    );
}

/// Steps that make directories of a depth in a place: each turn puts one more around all of them.
fn nested(place: &str, levels: usize) -> Vec<String> {
    let mut steps = vec!["mkdir".to_owned(), format!("{place}/c")];
    for _ in 1..levels {
        let step =
            format!("mkdir {place}/n rename {place}/c {place}/n/c rename {place}/n {place}/c");
        steps.extend(step.split(' ').map(str::to_owned));
    }
    let last = ["write", &format!("{place}/zz"), "precious"];
    steps.extend(last.map(str::to_owned));
    steps
}

#[test]
fn directories_of_any_depth_harm_nobody() {
    let (node, (dir, proj)) = (NodeOptions::new().start(), new_project("proj"));
    for (place, kept_at) in [("/w", "w/zz"), ("/out", "out/zz")] {
        let steps = nested(place, 8000);
        let steps: Vec<_> = steps.iter().map(String::as_str).collect();
        let typed = arguments("run", &["proj::/w"], &node, &steps);
        let done = mc_in(dir.path(), with(typed, &["--out", "out"]));
        assert_eq!(done.code, Some(66), "{place}: {}", done.stderr);
        let kept = left_in(dir.path());
        assert_eq!(text(kept.join(kept_at)), "precious", "{place}");
        fs::remove_dir_all(kept).unwrap();
        assert_eq!(
            names(&proj),
            ["link", "script.sh", "sub", "text"],
            "{place}"
        );
    }
}

#[test]
fn directories_come_back_from_run_and_from_a_job_to_the_same_depth() {
    let (node, (dir, _)) = (NodeOptions::new().start(), new_project("proj"));
    // What a run left beyond it lies elsewhere; of a job nothing does.
    for (command, too_deep) in [("run", 66), ("submit", 65)] {
        for (levels, code) in [(512, 0), (513, too_deep)] {
            let steps = nested("/out", levels);
            let steps: Vec<_> = steps.iter().map(String::as_str).collect();
            let left = format!("{command}-{levels}");
            let typed = arguments(command, &["proj::/w"], &node, &steps);
            let done = mc_in(dir.path(), with(typed, &["--out", &left]));
            assert_eq!(done.code, Some(code), "{left}: {}", done.stderr);
            let deepest = dir.path().join(&left).join("c/".repeat(levels));
            assert_eq!(deepest.is_dir(), code == 0, "{left}");
        }
    }
}

#[test]
fn what_a_guest_has_no_words_for_stays_and_is_in_nobodys_way() {
    let node = NodeOptions::new().start();
    for command in COMMANDS {
        let (dir, proj) = new_project("proj");
        let bad = OsStr::from_bytes(b"bad\xff");
        fs::write(proj.join("sub").join(bad), "of the user").unwrap();
        std::os::unix::fs::symlink(bad, proj.join("pointer")).unwrap();
        let _socket = UnixListener::bind(proj.join("socket")).unwrap();
        let steps = ["append", "/w/text", " and more"];
        mc_in(dir.path(), arguments(command, &["proj::/w"], &node, &steps)).expect_code(0);
        assert_eq!(text(proj.join("text")), "as it was and more", "{command}");
        assert_eq!(text(proj.join("sub").join(bad)), "of the user", "{command}");
        assert!(proj.join("pointer").is_symlink() && proj.join("socket").exists());
    }
}

#[test]
fn what_a_guest_has_no_words_for_outlives_its_directory_and_what_gets_its_name() {
    let node = NodeOptions::new().start();
    for command in COMMANDS {
        let (dir, proj) = new_project("proj");
        let bad = OsStr::from_bytes(b"bad\xff");
        let _socket = UnixListener::bind(proj.join("socket")).unwrap();
        let _inner = UnixListener::bind(proj.join("sub/socket")).unwrap();
        std::os::unix::fs::symlink(bad, proj.join("sub/pointer")).unwrap();
        let steps = ["write", "/w/socket", "of the task", "rmtree", "/w/sub"];
        let done = mc_in(dir.path(), arguments(command, &["proj::/w"], &node, &steps));
        assert_eq!(done.code, Some(73), "{command}: {}", done.stderr);
        assert_eq!(names(&proj.join("sub")), ["pointer", "socket"], "{command}");
        let is_socket = |name: &str| {
            let metadata = fs::symlink_metadata(proj.join(name)).unwrap();
            metadata.file_type().is_socket()
        };
        assert!(is_socket("socket") && is_socket("sub/socket"), "{command}");
        let beside = names(&proj)
            .into_iter()
            .find(|name| name.starts_with("mc-wasm-conflict-"));
        let beside = proj.join(beside.expect("the version of the task"));
        assert_eq!(text(beside.join("socket")), "of the task", "{command}");
    }
}

#[test]
fn outputs_that_cannot_be_written_keep_nothing_else_from_its_place() {
    let (node, (dir, proj)) = (NodeOptions::new().start(), new_project("proj"));
    let steps = [
        "write",
        "/w/new",
        "new",
        "write",
        "/out/result",
        "of hours",
        "say",
        "ready",
        "spin",
        "2000",
        "trap",
    ];
    let typed = arguments("submit", &["proj::/w"], &node, &steps);
    let mut child = spawn_in(dir.path(), with(typed, &["--out", "out"]));
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    assert_eq!(lines.next().unwrap().unwrap(), "ready");
    fs::create_dir(dir.path().join("out")).unwrap();
    fs::write(dir.path().join("out/mine"), "mine").unwrap();
    let done = Finished::of(child);
    assert_eq!(done.code, Some(134), "the guest's own: {done:#?}");
    assert!(done.stderr.contains("--out DIR"), "{}", done.stderr);
    assert_eq!(text(proj.join("new")), "new");
    assert_eq!(names(&dir.path().join("out")), ["mine"]);
}

#[test]
fn names_like_ours_that_are_the_users_stay() {
    let node = NodeOptions::new().start();
    for command in COMMANDS {
        let dir = tempfile::tempdir().unwrap();
        let proj = dir.path().join("proj");
        for name in [".mc-wasm-cache", ".mc-wasm-staging-ours"] {
            fs::create_dir_all(proj.join(name)).unwrap();
        }
        fs::create_dir_all(proj.join(".mc-wasm-keep")).unwrap();
        fs::write(proj.join(".mc-wasm-keep/lock"), "precious").unwrap();
        let before = state(&proj);
        let done = mc_in(
            dir.path(),
            arguments(command, &["proj::/w"], &node, &["say", "hello"]),
        );
        done.expect_code(0);
        assert_eq!(state(&proj), before, "{command}");
    }
}
