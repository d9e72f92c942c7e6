//! Modes and times of files come along, and nothing that was private becomes public.

use super::{COMMANDS, arguments, mode, names, new_project, project, set_mode, state, text};
use mc_conformance::{NodeOptions, mc_in};
use std::{fs, os::unix::fs::PermissionsExt};

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
