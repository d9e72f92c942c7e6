//! `run`: here and now, without a node.

use mc_artifacts::guest;
use mc_conformance::{NodeOptions, mc};

fn wasm(name: &str) -> String {
    guest(name).display().to_string()
}

#[test]
fn run_passes_output_and_exit_code_through() {
    let done = mc(["run", &wasm("echo_world"), "--", "an", "argument"]).expect_code(0);
    assert!(done.text().contains("argument"));
    mc(["run", &wasm("exit_failure")]).expect_code(1);
    mc(["run", &wasm("trap_unreachable")]).expect_code(134);
    mc(["run", "--fuel", "1000000", &wasm("cpu_forever")]).expect_code(152);
    mc(["run", "--timeout", "200ms", &wasm("cpu_forever")]).expect_code(124);
    mc(["run", "--memory", "16MiB", &wasm("memory_hog")]).expect_code(137);
}

#[test]
fn run_reads_inputs_and_leaves_outputs() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::create_dir(dir.path().join("tree")).unwrap();
    std::fs::write(dir.path().join("tree/file"), b"in a directory").unwrap();
    std::fs::write(dir.path().join("single"), b"alone").unwrap();
    let out = dir.path().join("out");
    mc([
        "run",
        "--input",
        &format!("tree={}", dir.path().join("tree").display()),
        "--input",
        &format!("single={}", dir.path().join("single").display()),
        "--out",
        out.to_str().unwrap(),
        &wasm("copy_tree"),
    ])
    .expect_code(0);
    assert_eq!(
        std::fs::read(out.join("tree/file")).unwrap(),
        b"in a directory"
    );
    assert_eq!(std::fs::read(out.join("single")).unwrap(), b"alone");
}

/// The same task has the same CIDs, whoever runs it.
#[test]
fn run_and_submit_name_task_and_outputs_alike() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("file"), vec![1; 1_500_000]).unwrap();
    let input = format!("data={}", dir.path().join("file").display());
    let component = wasm("copy_tree");
    let args = [
        "--format",
        "json",
        "--fuel",
        "1000000000",
        "--input",
        &input,
        &component,
    ];
    let here = mc(["run"].into_iter().chain(args)).expect_code(0).json();
    let node = NodeOptions::new().start();
    let there = node
        .mc(["submit"].into_iter().chain(args))
        .expect_code(0)
        .json();
    for field in [
        "task_cid",
        "stdout_cid",
        "stderr_cid",
        "outputs_cid",
        "exit_code",
        "state",
    ] {
        assert_eq!(here[field], there[field], "{field}");
    }
}
