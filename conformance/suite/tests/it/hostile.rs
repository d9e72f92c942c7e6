//! Tasks that mean no good, and a node that goes on.

use mc_artifacts::guest;
use mc_conformance::{Node, NodeOptions, eventually, mc};
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

/// A module that takes many seconds to compile.
fn slow_to_compile() -> Vec<u8> {
    let step = "(local.set 0 (i32.xor (i32.add (local.get 0) (i32.const 77)) (local.get 1)))
        (if (local.get 0) (then (local.set 1 (i32.mul (local.get 0) (local.get 1)))))";
    let steps = step.repeat(1000);
    let function = format!("(func (param i32 i32) {steps})");
    let functions = function.repeat(150);
    let text =
        format!(r#"(module (memory (export "memory") 1) (func (export "_start")) {functions})"#);
    wat::parse_str(text).unwrap()
}

/// The processes that a node has started.
fn children(node: &Node) -> usize {
    let tasks = std::fs::read_dir(format!("/proc/{}/task", node.pid())).unwrap();
    let of = |task: std::fs::DirEntry| std::fs::read_to_string(task.path().join("children"));
    let children = tasks.flatten().filter_map(|task| of(task).ok());
    children.map(|list| list.split_whitespace().count()).sum()
}

/// Otherwise its compiler would take processors and memory for minutes, and the place of a guest.
#[test]
fn the_compiler_of_a_job_that_is_called_off_ends() {
    let node = NodeOptions::new().flags(["--slots", "1"]).start();
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("slow.wasm");
    std::fs::write(&path, slow_to_compile()).unwrap();
    let id = node.submit([path.to_str().unwrap()]);
    eventually("it is compiled", Duration::from_secs(30), || {
        (children(&node) > 0).then_some(())
    });
    node.mc(["cancel", &id]).expect_code(0);
    eventually("no compiler is left", Duration::from_secs(3), || {
        (children(&node) == 0).then_some(())
    });
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
