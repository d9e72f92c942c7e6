//! A directory is afterwards as the task left it.

use super::{COMMANDS, arguments, mode, names, new_project, project, set_mode, state, text, with};
use mc_conformance::{NodeOptions, mc_in};
use std::{
    ffi::OsStr,
    fs,
    os::unix::{ffi::OsStrExt, fs::MetadataExt},
};

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
