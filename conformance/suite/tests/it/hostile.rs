//! Tasks that mean no good, and a node that goes on.

use mc_artifacts::guest;
use mc_conformance::{NodeOptions, mc};
use std::time::{Duration, Instant};

#[test]
fn a_node_serves_others_while_hostile_tasks_end_as_documented() {
    let node = NodeOptions::new().start();
    let submit = |options: &[&str], name: &str| {
        let component = guest(name).display().to_string();
        node.submit(options.iter().copied().chain([&*component]))
    };
    let hostile = [
        (submit(&["--fuel", "1000000000"], "cpu_forever"), 152),
        (submit(&["--timeout", "1s"], "cpu_forever"), 124),
        (submit(&["--fuel", "300000000"], "sleep_forever"), 152),
        (submit(&["--memory", "64MiB"], "memory_hog"), 137),
        (submit(&["--output", "1MiB"], "output_flood"), 153),
        (submit(&["--files", "2000"], "file_bomb"), 0),
        (submit(&["--handles", "500"], "handle_leak"), 0),
        (submit(&[], "trap_recursion"), 134),
        (submit(&[], "trap_stack"), 134),
    ];
    let begun = Instant::now();
    let good = guest("echo_world").display().to_string();
    let done = node
        .mc(["submit", &good, "--", "still here"])
        .expect_code(0);
    assert!(done.text().contains("still here"));
    let took = begun.elapsed();
    assert!(took < Duration::from_secs(30), "{took:?}");
    for (id, code) in hostile {
        node.mc(["wait", &id]).expect_code(code);
    }
    node.mc(["submit", &good]).expect_code(0);
}

#[test]
fn a_component_that_is_too_large_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("giant.wasm");
    std::fs::write(&path, b"\0asm\x0d\0\x01\0").unwrap();
    let file = std::fs::File::options().write(true).open(&path).unwrap();
    file.set_len(129 << 20).unwrap();
    let refused = mc(["run", path.to_str().unwrap()]).expect_code(65);
    assert!(refused.stderr.contains("at most"), "{}", refused.stderr);
}
