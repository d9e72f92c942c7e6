//! Links that lead out of a directory.

use super::{COMMANDS, arguments, names, project, with};
use mc_conformance::{NodeOptions, mc_in};
use std::{fs, path::Path};

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
