//! The user's own directories, `--dir HOST::GUEST`: only what the task changed is changed, and nothing is lost.

use mc_artifacts::guest;
use mc_conformance::{Finished, Node, NodeOptions, mc_in, spawn_in};
use std::{
    ffi::OsStr,
    fs,
    io::{BufRead, BufReader},
    os::unix::{
        ffi::OsStrExt,
        fs::{FileTypeExt, MetadataExt, PermissionsExt},
        net::UnixListener,
    },
    path::{Path, PathBuf},
};

/// Both commands that give a task a directory: `run`, and `submit` to a node.
const COMMANDS: [&str; 2] = ["run", "submit"];

fn arguments(command: &str, dirs: &[&str], node: &Node, steps: &[&str]) -> Vec<String> {
    let mut arguments = vec!["--node".to_owned(), node.api.clone(), command.to_owned()];
    for dir in dirs {
        arguments.extend(["--dir".to_owned(), (*dir).to_owned()]);
    }
    arguments.push(guest("files").display().to_string());
    arguments.push("--".to_owned());
    arguments.extend(steps.iter().map(ToString::to_string));
    arguments
}

/// Puts options before the first `--dir`.
fn with(mut arguments: Vec<String>, options: &[&str]) -> Vec<String> {
    let at = arguments.iter().position(|it| it == "--dir").unwrap();
    arguments.splice(at..at, options.iter().map(ToString::to_string));
    arguments
}

/// What `mc-wasm-left-…` in a directory is called.
fn left_in(dir: &Path) -> PathBuf {
    let mut names = names(dir).into_iter();
    let left = names.find(|name| name.starts_with("mc-wasm-left-"));
    dir.join(left.expect("what the task left"))
}

/// A project: a script that can be executed, a text, a directory with a file, a link.
fn project(dir: &Path) {
    fs::create_dir_all(dir.join("sub")).unwrap();
    fs::write(dir.join("script.sh"), "#!/bin/sh\n").unwrap();
    fs::set_permissions(dir.join("script.sh"), fs::Permissions::from_mode(0o755)).unwrap();
    fs::write(dir.join("text"), "as it was").unwrap();
    fs::write(dir.join("sub/inner"), "inner").unwrap();
    std::os::unix::fs::symlink("text", dir.join("link")).unwrap();
}

/// A project of that name, in a directory of its own.
fn new_project(name: &str) -> (tempfile::TempDir, PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    let proj = dir.path().join(name);
    project(&proj);
    (dir, proj)
}

/// What can be seen of everything below a directory: contents, modes, times, inodes.
fn state(dir: &Path) -> Vec<(String, String)> {
    let mut found = Vec::new();
    let mut entries: Vec<_> = fs::read_dir(dir)
        .unwrap()
        .map(|e| e.unwrap().path())
        .collect();
    entries.sort();
    for path in entries {
        let metadata = path.symlink_metadata().unwrap();
        let name = path.file_name().unwrap().to_str().unwrap().to_owned();
        if metadata.is_dir() {
            let inner = state(&path).into_iter();
            found.extend(inner.map(|(inner, what)| (format!("{name}/{inner}"), what)));
            found.push((name, format!("{:o}", metadata.mode())));
            continue;
        }
        let text = fs::read_to_string(&path).unwrap();
        let (mode, inode) = (metadata.mode(), metadata.ino());
        let (seconds, nanos) = (metadata.mtime(), metadata.mtime_nsec());
        found.push((name, format!("{text:?} {mode:o} {inode} {seconds}.{nanos}")));
    }
    found
}

fn set_mode(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

fn mode(path: &Path) -> u32 {
    path.metadata().unwrap().mode() & 0o7777
}

fn text(path: impl AsRef<Path>) -> String {
    fs::read_to_string(path).unwrap()
}

fn names(dir: &Path) -> Vec<String> {
    let entries = fs::read_dir(dir).unwrap();
    let mut names: Vec<_> = entries
        .map(|e| e.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

#[test]
fn a_directory_that_the_task_does_not_change_stays_as_it_is_however_it_is_named() {
    let node = NodeOptions::new().start();
    let (dir, proj) = new_project("proj");
    let before = state(&proj);
    let absolute = format!("{}::/w", proj.display());
    for command in COMMANDS {
        for (cwd, given) in [
            (dir.path(), "proj::/w"),
            (dir.path(), "./proj/::/w"),
            (proj.as_path(), ".::/w"),
            (proj.join("sub").as_path(), "..::/w"),
            (dir.path(), &absolute),
        ] {
            let done = mc_in(cwd, arguments(command, &[given], &node, &["say", "hello"]));
            assert_eq!(done.expect_code(0).text(), "hello\n", "{command} {given}");
            assert_eq!(state(&proj), before, "{command} {given}");
        }
    }
}

#[test]
fn what_the_task_made_changed_renamed_and_removed_is_so_and_all_else_stays() {
    let node = NodeOptions::new().start();
    for command in COMMANDS {
        let (dir, proj) = new_project("proj");
        fs::write(proj.join("old"), "of another name").unwrap();
        let kept: Vec<_> = state(&proj.join("sub"));
        let steps = [
            "append",
            "/w/script.sh",
            "true\n",
            "write",
            "/w/new",
            "new",
            "rename",
            "/w/old",
            "/w/name",
            "remove",
            "/w/text",
            "mkdir",
            "/w/dir",
            "write",
            "/w/dir/file",
            "in it",
        ];
        let done = mc_in(dir.path(), arguments(command, &["proj::/w"], &node, &steps));
        done.expect_code(0);
        assert_eq!(
            names(&proj),
            ["dir", "link", "name", "new", "script.sh", "sub"],
            "{command}"
        );
        assert_eq!(
            text(proj.join("script.sh")),
            "#!/bin/sh\ntrue\n",
            "{command}"
        );
        let mode = proj.join("script.sh").metadata().unwrap().mode();
        assert_eq!(
            mode & 0o777,
            0o755,
            "{command}: it can be executed as before"
        );
        assert_eq!(text(proj.join("name")), "of another name", "{command}");
        assert_eq!(text(proj.join("dir/file")), "in it", "{command}");
        assert_eq!(state(&proj.join("sub")), kept, "{command}");
    }
}

#[test]
fn a_file_that_moves_from_one_directory_to_another_arrives() {
    let node = NodeOptions::new().start();
    for command in COMMANDS {
        let dir = tempfile::tempdir().unwrap();
        for name in ["a", "b"] {
            project(&dir.path().join(name));
        }
        fs::write(dir.path().join("a/file"), "it").unwrap();
        set_mode(&dir.path().join("a/file"), 0o640);
        set_mode(&dir.path().join("a/sub"), 0o700);
        set_mode(&dir.path().join("a/sub/inner"), 0o600);
        let steps = [
            "rename", "/a/file", "/b/file", "rename", "/a/sub", "/b/moved",
        ];
        let given = [
            format!("{}::/a", dir.path().join("a").display()),
            "b::/b".to_owned(),
        ];
        let given = given.each_ref().map(String::as_str);
        mc_in(dir.path(), arguments(command, &given, &node, &steps)).expect_code(0);
        assert_eq!(
            names(&dir.path().join("a")),
            ["link", "script.sh", "text"],
            "{command}"
        );
        assert_eq!(text(dir.path().join("b/file")), "it", "{command}");
        assert_eq!(text(dir.path().join("b/moved/inner")), "inner", "{command}");
        assert_eq!(text(dir.path().join("b/sub/inner")), "inner", "{command}");
        // What was private does not become public.
        for (place, is) in [
            ("b/file", 0o640),
            ("b/moved", 0o700),
            ("b/moved/inner", 0o600),
        ] {
            assert_eq!(mode(&dir.path().join(place)), is, "{command}: {place}");
        }
    }
}

#[test]
fn a_file_that_moves_and_changes_or_leaves_a_directory_that_goes_keeps_its_mode() {
    let node = NodeOptions::new().start();
    for command in COMMANDS {
        let (dir, proj) = new_project("proj");
        set_mode(&proj.join("sub/inner"), 0o600);
        let steps = [
            "rename",
            "/w/sub/inner",
            "/w/inner",
            "rmtree",
            "/w/sub",
            "rename",
            "/w/script.sh",
            "/w/run.sh",
        ];
        mc_in(dir.path(), arguments(command, &["proj::/w"], &node, &steps)).expect_code(0);
        assert_eq!(
            names(&proj),
            ["inner", "link", "run.sh", "text"],
            "{command}"
        );
        assert_eq!(mode(&proj.join("inner")), 0o600, "{command}");
        assert_eq!(mode(&proj.join("run.sh")), 0o755, "{command}");
    }
    // Only the guest's own files tell that what has another name and other bytes is the same file.
    let dir = tempfile::tempdir().unwrap();
    project(&dir.path().join("proj"));
    let steps = [
        "rename",
        "/w/script.sh",
        "/w/run.sh",
        "append",
        "/w/run.sh",
        "true\n",
    ];
    mc_in(dir.path(), arguments("run", &["proj::/w"], &node, &steps)).expect_code(0);
    assert_eq!(mode(&dir.path().join("proj/run.sh")), 0o755);
}

#[test]
fn a_run_that_was_stopped_says_how_it_goes_on_with_its_directories() {
    let (node, (dir, proj)) = (NodeOptions::new().start(), new_project("my proj"));
    let steps = ["spin", "3", "write", "/w/new", "new"];
    let typed = arguments("run", &["my proj::/w"], &node, &steps);
    let stop = ["--checkpoint-at", "1000000", "-o", "half.car"];
    let stopped = mc_in(dir.path(), with(typed, &stop)).expect_code(0);
    let next = "mc-wasm resume half.car --dir 'my proj::/w'";
    assert!(stopped.stderr.contains(next), "{}", stopped.stderr);
    assert!(!proj.join("new").exists());
    let resume = ["resume", "half.car", "--dir", "my proj::/w"];
    mc_in(dir.path(), resume).expect_code(0);
    assert_eq!(text(proj.join("new")), "new");
    // What is no checkpoint is named.
    let bad = mc_in(dir.path(), ["resume", "my proj/text"]);
    assert_eq!(bad.code, Some(65), "{bad:#?}");
    assert!(bad.stderr.contains("my proj/text: "), "{}", bad.stderr);
}

#[test]
fn a_checkpoint_is_put_nowhere_into_what_the_task_is_given() {
    let (node, (dir, proj)) = (NodeOptions::new().start(), new_project("proj"));
    let typed = arguments("run", &["proj::/w"], &node, &["spin", "3"]);
    for place in ["proj/half.car", "proj/sub/half.car", "text"] {
        fs::write(dir.path().join("text"), "an input").unwrap();
        let stop = [
            "--checkpoint-at",
            "1000000",
            "-o",
            place,
            "--input",
            "given=text",
        ];
        let typed = with(typed.clone(), &stop);
        let refused = mc_in(dir.path(), typed);
        assert_eq!(refused.code, Some(2), "{place}: {}", refused.stderr);
    }
    assert_eq!(names(&proj), ["link", "script.sh", "sub", "text"]);
    assert_eq!(text(dir.path().join("text")), "an input");
}

#[test]
fn a_directory_is_changed_whose_own_path_no_guest_could_write() {
    let node = NodeOptions::new().start();
    for command in COMMANDS {
        let dir = tempfile::tempdir().unwrap();
        let proj = dir.path().join(OsStr::from_bytes(b"no\xfftext"));
        project(&proj);
        let steps = ["append", "/w/text", " and more", "write", "/out/a", "b"];
        let typed = arguments(command, &[".::/w"], &node, &steps);
        mc_in(&proj, with(typed, &["--out", "out"])).expect_code(0);
        assert_eq!(text(proj.join("text")), "as it was and more", "{command}");
        assert_eq!(text(proj.join("out/a")), "b", "{command}");
    }
}

#[test]
fn what_was_private_and_has_another_name_and_other_bytes_does_not_become_public() {
    let node = NodeOptions::new().start();
    for command in COMMANDS {
        let (dir, proj) = new_project("proj");
        fs::write(proj.join("old"), "for all").unwrap();
        set_mode(&proj.join("text"), 0o600);
        set_mode(&proj.join("sub"), 0o700);
        let steps = [
            "append",
            "/w/text",
            " and more",
            "rename",
            "/w/text",
            "/w/notes",
            "append",
            "/w/sub/inner",
            " and more",
            "rename",
            "/w/sub",
            "/w/other",
        ];
        mc_in(dir.path(), arguments(command, &["proj::/w"], &node, &steps)).expect_code(0);
        assert_eq!(text(proj.join("notes")), "as it was and more", "{command}");
        assert_eq!(mode(&proj.join("notes")), 0o600, "{command}");
        assert_eq!(text(proj.join("other/inner")), "inner and more");
        assert_eq!(mode(&proj.join("other")), 0o700, "{command}");
        // A name alone makes nothing else private.
        let steps = ["rename", "/w/notes", "/w/text", "write", "/w/new", "new"];
        mc_in(dir.path(), arguments(command, &["proj::/w"], &node, &steps)).expect_code(0);
        assert_eq!(mode(&proj.join("text")), 0o600, "{command}");
        let (new, usual) = (mode(&proj.join("new")), mode(&proj.join("old")));
        assert_eq!(new, usual, "{command}");
    }
}

#[test]
fn what_is_the_same_as_something_private_is_private_after_a_job() {
    let node = NodeOptions::new().start();
    let (dir, proj) = new_project("proj");
    set_mode(&proj.join("sub/inner"), 0o600);
    fs::write(proj.join("empty"), "").unwrap();
    set_mode(&proj.join("empty"), 0o600);
    let steps = [
        "mkdir",
        "/w/made",
        "write",
        "/w/made/twin",
        "inner",
        "write",
        "/w/new",
        "new",
        "write",
        "/w/none",
        "",
    ];
    // What comes back does not tell a second name of a file from a file with the same in it.
    mc_in(
        dir.path(),
        arguments("submit", &["proj::/w"], &node, &steps),
    )
    .expect_code(0);
    assert_eq!(mode(&proj.join("made/twin")), 0o600);
    assert_eq!(mode(&proj.join("sub/inner")), 0o600);
    assert_eq!(mode(&proj.join("none")), mode(&proj.join("new")));
    assert_ne!(mode(&proj.join("new")), 0o600);
}

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
fn a_job_that_nobody_waited_for_changes_the_directories_later() {
    let node = NodeOptions::new().start();
    let (dir, proj) = new_project("my proj");
    let steps = [
        "append",
        "/w/text",
        " and more",
        "write",
        "/w/new",
        "new",
        "remove",
        "/w/script.sh",
        "rename",
        "/w/sub",
        "/w/other",
    ];
    let typed = arguments("submit", &["my proj::/w"], &node, &steps);
    let detached = mc_in(dir.path(), with(typed, &["--detach"])).expect_code(0);
    let id = detached.text().trim().to_owned();
    let later = format!(
        "mc-wasm --node {} result {id} --dir 'my proj::/w'",
        node.api
    );
    assert!(detached.stderr.contains(&later), "{}", detached.stderr);
    let mc = |more: &[&str]| {
        let typed = ["--node", &node.api]
            .into_iter()
            .chain(more.iter().copied());
        mc_in(dir.path(), typed.map(str::to_owned).collect::<Vec<_>>())
    };
    mc(&["wait", &id]).expect_code(0);
    // Edited since: it stays.
    fs::write(proj.join("script.sh"), "edited").unwrap();
    let result = ["result", &id, "--dir", "my proj::/w"];
    let done = mc(&result);
    assert_eq!(done.code, Some(73), "{done:#?}");
    assert_eq!(names(&proj), ["link", "new", "other", "script.sh", "text"]);
    assert_eq!(text(proj.join("text")), "as it was and more");
    assert_eq!(text(proj.join("other/inner")), "inner");
    assert_eq!(text(proj.join("script.sh")), "edited");
    // Who asked for JSON is told of it in JSON.
    let format = ["--format", "json"].into_iter();
    let told = mc(&format.chain(result).collect::<Vec<_>>()).expect_code(73);
    let lines = told.stderr.lines();
    let mut errors = lines.filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok());
    let error = errors.find(|error| error["code"] == "MC0026");
    let error = error.unwrap_or_else(|| panic!("{}", told.stderr));
    assert!(
        error["message"].as_str().unwrap().contains("script.sh"),
        "{error}"
    );
    // Once more, it is as it is to be already.
    fs::remove_file(proj.join("script.sh")).unwrap();
    let before = state(&proj);
    mc(&result).expect_code(0);
    assert_eq!(state(&proj), before);
    let unknown = mc(&["result", &id, "--dir", "my proj::/other"]);
    assert_eq!(unknown.code, Some(2), "{unknown:#?}");
}

#[test]
fn a_copy_of_what_was_changed_meanwhile_is_said_to_be_one() {
    let node = NodeOptions::new().start();
    let dir = tempfile::tempdir().unwrap();
    for name in ["a", "b"] {
        fs::create_dir(dir.path().join(name)).unwrap();
    }
    fs::write(dir.path().join("a/file"), "old bytes").unwrap();
    let steps = [
        "rename", "/a/file", "/b/file", "say", "ready", "spin", "2000",
    ];
    let mut child = spawn_in(
        dir.path(),
        arguments("run", &["a::/a", "b::/b"], &node, &steps),
    );
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    assert_eq!(lines.next().unwrap().unwrap(), "ready");
    fs::write(dir.path().join("a/file"), "new bytes").unwrap();
    let done = Finished::of(child);
    assert_eq!(done.code, Some(73), "{done:#?}");
    assert!(
        done.stderr.contains("b/file: a/file was changed meanwhile"),
        "{}",
        done.stderr
    );
    assert_eq!(text(dir.path().join("a/file")), "new bytes");
}

#[test]
fn what_the_user_does_meanwhile_stays_and_both_versions_are_kept() {
    let node = NodeOptions::new().start();
    for command in COMMANDS {
        let (dir, proj) = new_project("proj");
        let steps = [
            "append",
            "/w/text",
            " and more",
            "write",
            "/w/new",
            "of the task",
            "remove",
            "/w/script.sh",
            "say",
            "ready",
            "spin",
            "2000",
        ];
        let mut child = spawn_in(dir.path(), arguments(command, &["proj::/w"], &node, &steps));
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        assert_eq!(lines.next().unwrap().unwrap(), "ready");
        fs::write(proj.join("text"), "of the user").unwrap();
        fs::write(proj.join("new"), "the user's own").unwrap();
        fs::write(proj.join("script.sh"), "edited").unwrap();
        fs::write(proj.join("sub/inner"), "edited too").unwrap();
        fs::write(proj.join("another"), "made meanwhile").unwrap();
        let done = Finished::of(child);
        assert_eq!(done.code, Some(73), "{command}: {done:#?}");
        for (name, is) in [
            ("text", "of the user"),
            ("new", "the user's own"),
            ("script.sh", "edited"),
            ("sub/inner", "edited too"),
            ("another", "made meanwhile"),
        ] {
            assert_eq!(text(proj.join(name)), is, "{command}: {name}");
        }
        let beside = names(&proj)
            .into_iter()
            .find(|name| name.starts_with("mc-wasm-conflict-"));
        let beside = proj.join(beside.expect("the versions of the task"));
        assert_eq!(text(beside.join("text")), "as it was and more", "{command}");
        assert_eq!(text(beside.join("new")), "of the task", "{command}");
        for name in ["text", "new", "script.sh"] {
            let named = proj
                .canonicalize()
                .unwrap()
                .join(name)
                .display()
                .to_string();
            assert!(
                done.stderr.contains(&named),
                "{command}: {name}: {}",
                done.stderr
            );
        }
    }
}

#[test]
fn a_task_that_traps_has_its_own_exit_code_and_leaves_what_it_wrote() {
    let node = NodeOptions::new().start();
    for command in COMMANDS {
        let dir = tempfile::tempdir().unwrap();
        project(&dir.path().join("proj"));
        let steps = ["write", "/w/before", "the trap", "trap"];
        let done = mc_in(dir.path(), arguments(command, &["proj::/w"], &node, &steps));
        done.expect_code(134);
        assert_eq!(
            text(dir.path().join("proj/before")),
            "the trap",
            "{command}"
        );
        assert_eq!(text(dir.path().join("proj/text")), "as it was", "{command}");
    }
}

#[test]
fn a_directory_is_replaced_by_a_file_and_a_file_by_a_directory() {
    let node = NodeOptions::new().start();
    for command in COMMANDS {
        let (dir, proj) = new_project("proj");
        let steps = [
            "rmtree",
            "/w/sub",
            "write",
            "/w/sub",
            "a file now",
            "remove",
            "/w/text",
            "mkdir",
            "/w/text",
            "write",
            "/w/text/inner",
            "in it",
        ];
        mc_in(dir.path(), arguments(command, &["proj::/w"], &node, &steps)).expect_code(0);
        assert_eq!(text(proj.join("sub")), "a file now", "{command}");
        assert_eq!(text(proj.join("text/inner")), "in it", "{command}");
        assert_eq!(
            names(&proj),
            ["link", "script.sh", "sub", "text"],
            "{command}"
        );
    }
}

#[test]
fn what_is_removed_from_a_directory_that_gets_another_name_is_gone() {
    let node = NodeOptions::new().start();
    let before = ["rmtree", "/w/outer/sub", "rename", "/w/outer", "/w/moved"];
    let after = ["rename", "/w/outer", "/w/moved", "rmtree", "/w/moved/sub"];
    for (command, steps) in COMMANDS.iter().flat_map(|it| [(it, before), (it, after)]) {
        let dir = tempfile::tempdir().unwrap();
        let proj = dir.path().join("proj");
        project(&proj.join("outer"));
        mc_in(dir.path(), arguments(command, &["proj::/w"], &node, &steps)).expect_code(0);
        assert_eq!(names(&proj), ["moved"], "{command} {steps:?}");
        let left = ["link", "script.sh", "text"];
        assert_eq!(names(&proj.join("moved")), left, "{command} {steps:?}");
    }
}

#[test]
fn what_only_has_another_name_keeps_its_mode_and_its_time() {
    let node = NodeOptions::new().start();
    for command in COMMANDS {
        let (dir, proj) = new_project("proj");
        fs::set_permissions(proj.join("sub/inner"), fs::Permissions::from_mode(0o600)).unwrap();
        let before = state(&proj);
        let steps = [
            "rename",
            "/w/script.sh",
            "/w/run.sh",
            "rename",
            "/w/sub",
            "/w/other",
        ];
        mc_in(dir.path(), arguments(command, &["proj::/w"], &node, &steps)).expect_code(0);
        let renamed: Vec<_> = before
            .into_iter()
            .map(|(name, what)| {
                let name = name.replace("script.sh", "run.sh").replace("sub", "other");
                (name, what)
            })
            .collect();
        let mut renamed = renamed;
        renamed.sort();
        let mut after = state(&proj);
        after.sort();
        assert_eq!(after, renamed, "{command}");
    }
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

#[test]
fn directories_that_cannot_be_told_apart_are_refused_before_anything_runs() {
    let node = NodeOptions::new().start();
    let dir = tempfile::tempdir().unwrap();
    project(&dir.path().join("proj"));
    let twice: &[&str] = &["proj::/a", "./proj::/b"];
    let inside: &[&str] = &["proj::/a", "proj/sub::/b"];
    let guests: &[&str] = &["proj::/a", "proj/sub::/a/b"];
    for dirs in [
        twice,
        inside,
        guests,
        &["proj::"],
        &["proj::w"],
        &["proj::/in"],
        &["proj::/w/../x"],
    ] {
        for command in COMMANDS {
            let done = mc_in(
                dir.path(),
                arguments(command, dirs, &node, &["say", "hello"]),
            );
            assert_eq!(done.code, Some(2), "{command} {dirs:?}: {done:#?}");
            assert_eq!(done.text(), "", "{command} {dirs:?}");
        }
    }
}

#[test]
fn a_directory_can_be_the_root_beneath_what_the_task_has_of_its_own() {
    let node = NodeOptions::new().start();
    for command in COMMANDS {
        let (dir, proj) = new_project("proj");
        fs::create_dir(proj.join("out")).unwrap();
        fs::write(proj.join("out/mine"), "mine").unwrap();
        let before = state(&proj.join("out"));
        let steps = [
            "append",
            "text",
            " and more",
            "write",
            "/new",
            "new",
            "rename",
            "/sub/inner",
            "/sub/outer",
            "remove",
            "/script.sh",
            "write",
            "/out/result",
            "for --out",
            "write",
            "/tmp/scratch",
            "for nobody",
        ];
        let typed = arguments(command, &["proj::/"], &node, &steps);
        let done = mc_in(dir.path(), with(typed, &["--out", "left"])).expect_code(0);
        assert!(done.stderr.contains("in proj: out"), "{}", done.stderr);
        assert_eq!(
            names(&proj),
            ["link", "new", "out", "sub", "text"],
            "{command}"
        );
        assert_eq!(text(proj.join("text")), "as it was and more", "{command}");
        assert_eq!(names(&proj.join("sub")), ["outer"], "{command}");
        assert_eq!(state(&proj.join("out")), before, "{command}");
        assert_eq!(
            text(dir.path().join("left/result")),
            "for --out",
            "{command}"
        );
    }
}

/// What the user had before is not lost because it leads out: within a directory, and from one to another.
#[test]
fn a_link_of_the_users_that_leads_out_goes_where_the_task_moved_it() {
    let node = NodeOptions::new().start();
    for command in COMMANDS {
        let dir = tempfile::tempdir().unwrap();
        for name in ["a", "b"] {
            project(&dir.path().join(name));
        }
        for (target, name) in [("../elsewhere", "one"), ("../../other", "two")] {
            std::os::unix::fs::symlink(target, dir.path().join("a").join(name)).unwrap();
        }
        let steps = [
            "rename",
            "/a/one",
            "/a/first",
            "rename",
            "/a/two",
            "/b/second",
        ];
        let typed = arguments(command, &["a::/a", "b::/b"], &node, &steps);
        let done = mc_in(dir.path(), typed).expect_code(0);
        assert!(!done.stderr.contains("left out"), "{}", done.stderr);
        for (place, target) in [("a/first", "../elsewhere"), ("b/second", "../../other")] {
            let is = fs::read_link(dir.path().join(place)).unwrap();
            assert_eq!(is, Path::new(target), "{command}: {place}");
        }
        for gone in ["a/one", "a/two"] {
            assert!(!dir.path().join(gone).is_symlink(), "{command}: {gone}");
        }
    }
}

/// It was said to be a failure of the machine, after which scripts try again.
#[test]
fn what_the_user_removed_before_the_task_read_it_is_named_as_a_file_that_cannot_be_read() {
    let (node, (dir, proj)) = (NodeOptions::new().start(), new_project("proj"));
    let steps = [
        "write",
        "/w/sub/new",
        "new",
        "say",
        "ready",
        "spin",
        "2000",
        "rmtree",
        "/w/sub",
    ];
    let mut child = spawn_in(dir.path(), arguments("run", &["proj::/w"], &node, &steps));
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    assert_eq!(lines.next().unwrap().unwrap(), "ready");
    fs::remove_dir_all(proj.join("sub")).unwrap();
    let done = Finished::of(child);
    assert_eq!(done.code, Some(66), "{done:#?}");
    assert!(done.stderr.contains("cannot read proj/sub"), "{done:#?}");
}

/// A link that the task only followed is the user's to change.
#[test]
fn a_link_that_the_task_did_not_change_may_be_changed_meanwhile() {
    let (node, (dir, proj)) = (NodeOptions::new().start(), new_project("proj"));
    std::os::unix::fs::symlink("text", proj.join("other")).unwrap();
    let steps = [
        "append",
        "/w/link",
        " and more",
        "append",
        "/w/other",
        " and more",
        "say",
        "ready",
        "spin",
        "2000",
    ];
    let mut child = spawn_in(dir.path(), arguments("run", &["proj::/w"], &node, &steps));
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    assert_eq!(lines.next().unwrap().unwrap(), "ready");
    fs::remove_file(proj.join("link")).unwrap();
    fs::remove_file(proj.join("other")).unwrap();
    std::os::unix::fs::symlink("sub/inner", proj.join("other")).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(0));
    assert_eq!(names(&proj), ["other", "script.sh", "sub", "text"]);
    assert_eq!(
        fs::read_link(proj.join("other")).unwrap(),
        Path::new("sub/inner")
    );
    assert_eq!(text(proj.join("text")), "as it was and more and more");
}

/// The second of the links leads out through the first; by their texts, both stay inside.
#[test]
fn links_that_lead_out_are_left_out_and_named_and_all_else_is_there() {
    let node = NodeOptions::new().start();
    let dir = tempfile::tempdir().unwrap();
    for command in COMMANDS {
        let (project, out) = (format!("{command}-project"), format!("{command}-out"));
        fs::create_dir(dir.path().join(&project)).unwrap();
        let typed = arguments(
            command,
            &[&format!("{project}::/work")],
            &node,
            &[
                ["mkdir", "/work/deep"].as_slice(),
                &["link", "..", "/work/deep/top"],
                &["link", "deep/top/../../etc/hostname", "/work/a"],
                &["link", "../etc/hostname", "/out/b"],
                &["write", "/out/c", "text"],
            ]
            .concat(),
        );
        let done = mc_in(dir.path(), with(typed, &["--out", &out])).expect_code(0);
        for left_out in [format!("{project}/a"), format!("{out}/b")] {
            assert!(
                done.stderr.contains(&left_out),
                "{left_out}: {}",
                done.stderr
            );
        }
        assert_eq!(names(&dir.path().join(&project)), ["deep"]);
        assert!(dir.path().join(&project).join("deep/top").is_symlink());
        assert_eq!(names(&dir.path().join(&out)), ["c"]);
    }
}
