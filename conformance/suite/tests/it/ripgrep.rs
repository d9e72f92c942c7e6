//! A program that nobody here wrote: ripgrep from crates.io, searching a directory on another node.

use mc_conformance::{NodeOptions, eventually};
use std::{
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

const VERSION: &str = "15.2.0";

/// Builds ripgrep as a component, once per target directory.
fn ripgrep() -> PathBuf {
    let root = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("ripgrep-{VERSION}"));
    let component = root.join("bin/rg.wasm");
    if !component.exists() {
        let mut cargo = mc_artifacts::cargo();
        cargo.args([
            "install",
            "--quiet",
            "--locked",
            "--target",
            "wasm32-wasip2",
            "ripgrep",
        ]);
        cargo.args(["--version", VERSION, "--root"]).arg(&root);
        cargo.env("CARGO_TARGET_DIR", root.join("target"));
        // Tests beside this one have guests, which come last.
        let built = std::thread::scope(|scope| {
            let building = scope.spawn(|| {
                rustix::process::nice(19).expect("a priority can be lowered");
                cargo.status().expect("cargo can be started")
            });
            building.join().unwrap()
        });
        assert!(
            built.success(),
            "ripgrep could not be built for wasm32-wasip2"
        );
    }
    component
}

const PATTERN: &str = "warrant(y|ies)";

#[test]
fn ripgrep_on_another_node_finds_what_grep_finds() {
    let dir = tempfile::tempdir().unwrap();
    let texts = dir.path().join("texts");
    std::fs::create_dir(&texts).unwrap();
    for n in 0..7 {
        let line = |m: u32| match (m * 7 + n) % 11 {
            0 => format!("{m}: there is NO WARRANTY for file {n}\n"),
            5 => format!("{m}: Warranties are disclaimed\n"),
            _ => format!("{m}: nothing of interest in line {m} of file {n}\n"),
        };
        let text: String = (0..2_000).map(line).collect();
        std::fs::write(texts.join(format!("text-{n}")), text).unwrap();
    }
    let grep = Command::new("grep")
        .args(["-n", "-i", "-E", "-r", PATTERN, "."])
        .current_dir(&texts)
        .env("LC_ALL", "C")
        .output()
        .unwrap();
    let mut expected: Vec<_> = String::from_utf8(grep.stdout)
        .unwrap()
        .lines()
        .map(|line| line.replacen("./", "/in/texts/", 1))
        .collect();
    // Sorted by path; grep's own order within a file is kept.
    expected.sort_by_key(|line| line.split(':').next().unwrap().to_owned());
    assert!(expected.len() > 1_000);

    let a = NodeOptions::new().flags(["--no-execute"]).start();
    let b = NodeOptions::new().bootstrap(&a).start();
    let c = NodeOptions::new()
        .bootstrap(&a)
        .flags(["--no-execute"])
        .start();
    eventually("b lends its slots", Duration::from_secs(30), || {
        a.mc(["nodes"])
            .expect_code(0)
            .text()
            .contains(&b.id)
            .then_some(())
    });
    let input = format!("texts={}", texts.display());
    let component = ripgrep().display().to_string();
    let arguments = [
        "--",
        "-n",
        "-i",
        "--no-heading",
        "--sort",
        "path",
        PATTERN,
        "/in/texts",
    ];
    let submit = ["submit", "--input", &input, &component];
    let found = a.mc(submit.into_iter().chain(arguments)).expect_code(0);
    assert_eq!(found.text().lines().collect::<Vec<_>>(), expected);

    let submit = ["submit", "--format", "json", "--input", &input, &component];
    let done = a
        .mc(submit.into_iter().chain(arguments))
        .expect_code(0)
        .json();
    assert_eq!(done["node"], b.id.as_str());
    let fetched = c
        .mc(["cat", done["stdout_cid"].as_str().unwrap()])
        .expect_code(0);
    assert_eq!(
        fetched.stdout, found.stdout,
        "fetched by CID on a third node"
    );
}
