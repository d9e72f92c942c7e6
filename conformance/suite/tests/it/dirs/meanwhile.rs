//! What the user changes while the task runs is kept.

use super::{COMMANDS, arguments, names, new_project, state, text, with};
use mc_conformance::{Finished, NodeOptions, mc_in, spawn_in};
use std::{
    fs,
    io::{BufRead, BufReader},
    path::Path,
};

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
