//! Jobs on one node: submit, look, wait, fetch, cancel.

use crate::wasm;
use mc_conformance::{Finished, NodeOptions, eventually, mc};
use serde_json::Value;
use std::{path::Path, time::Duration};

/// A command in a data directory on which no node runs.
fn alone(dir: &Path, args: &[&str]) -> Finished {
    let dir = dir.display().to_string();
    let global = ["--data-dir", &*dir, "--no-mdns"];
    mc(global.into_iter().chain(args.iter().copied()))
}

/// An embedded node on a directory of its own, without ports that others could want.
fn submit(dir: &Path, args: &[&str]) -> Finished {
    alone(dir, &[&["submit"][..], args].concat())
}

#[test]
fn submit_without_a_node_starts_one_and_prints_the_result() {
    let dir = tempfile::tempdir().unwrap();
    let text = dir.path().join("poem.txt");
    std::fs::write(&text, "one two\nthree two\n").unwrap();
    let example = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples/word-count");
    let out = dir.path().join("results");
    let done = submit(
        &dir.path().join("data"),
        &[
            example.to_str().unwrap(),
            "--input",
            &format!("text={}", text.display()),
            "--out",
            out.to_str().unwrap(),
        ],
    )
    .expect_code(0);
    assert!(done.text().contains("two"), "{done:#?}");
    let counts = std::fs::read(out.join("counts.json")).unwrap();
    let counts: Value = serde_json::from_slice(&counts).unwrap();
    assert_eq!(counts["words"], 4, "{counts}");
}

#[test]
fn exit_codes_and_failures_pass_through() {
    let node = NodeOptions::new().start();
    for (guest, args, code, failure) in [
        ("exit_zero", &[][..], 0, Value::Null),
        ("exit_failure", &[], 1, "exit".into()),
        ("trap_unreachable", &[], 134, "trap".into()),
        (
            "cpu_forever",
            &["--fuel", "10000000"],
            152,
            "out_of_fuel".into(),
        ),
        (
            "cpu_forever",
            &["--timeout", "300ms"],
            124,
            "timeout".into(),
        ),
        (
            "memory_hog",
            &["--memory", "16MiB"],
            137,
            "memory_limit".into(),
        ),
    ] {
        let component = wasm(guest);
        let command = ["submit", "--format", "json"];
        let args = command
            .iter()
            .chain(args)
            .copied()
            .chain([component.as_str()]);
        let done = node.mc(args).expect_code(code);
        assert_eq!(done.json()["failure"], failure, "{guest}: {done:#?}");
    }
}

#[test]
fn json_of_a_job_has_every_promised_field() {
    let node = NodeOptions::new().start();
    let done = node
        .mc(["submit", "--format", "json", &wasm("exit_zero")])
        .expect_code(0)
        .json();
    let id = done["id"].as_str().unwrap().to_owned();
    for view in [&done, &node.status(&id)] {
        for field in [
            "id",
            "task_cid",
            "state",
            "exit_code",
            "stdout_cid",
            "stderr_cid",
            "outputs_cid",
            "outcome_cid",
            "fuel",
            "memory_peak_bytes",
            "wall_ms",
            "node",
            "attempts",
        ] {
            assert!(!view[field].is_null(), "{field} in {view}");
        }
        assert_eq!(view["state"], "succeeded");
        assert_eq!(view["exit_code"], 0);
        assert_eq!(view["attempts"], 1);
        assert_eq!(view["node"], node.id.as_str());
        assert!(view.as_object().unwrap().contains_key("trap"));
    }
}

#[test]
fn detached_job_is_listed_waited_for_and_fetched() {
    let node = NodeOptions::new().start();
    let input = tempfile::tempdir().unwrap();
    std::fs::create_dir(input.path().join("sub")).unwrap();
    std::fs::write(input.path().join("sub/file"), b"content").unwrap();
    let tree = format!("tree={}", input.path().display());
    let id = node.submit(["--label", "team=x", "--input", &tree, &wasm("copy_tree")]);
    let listed = node.mc(["ps", "--format", "json"]).expect_code(0).text();
    assert!(listed.contains(&id), "{listed}");
    let waited = node.succeeded(&id);
    assert_eq!(waited["labels"]["team"], "x");
    let out = input.path().join("out");
    node.mc(["result", &id, "--out", out.to_str().unwrap()])
        .expect_code(0);
    assert_eq!(
        std::fs::read(out.join("tree/sub/file")).unwrap(),
        b"content"
    );
}

#[test]
fn cancelled_job_stops_and_stays_cancelled() {
    let node = NodeOptions::new().start();
    let id = &node.submit([wasm("cpu_forever").as_str()]);
    let state = || node.status(id)["state"].clone();
    eventually("running", Duration::from_secs(20), || {
        (state() == "running").then_some(())
    });
    node.mc(["cancel", id]).expect_code(0);
    node.mc(["wait", id]).expect_code(130);
    assert_eq!(state(), "cancelled");
    // The slot is free again: with every slot taken by a runaway, this would never end.
    for _ in 0..4 {
        node.mc(["submit", &wasm("exit_zero")]).expect_code(0);
    }
}

#[test]
fn logs_of_a_running_job_can_be_followed() {
    let node = NodeOptions::new().start();
    let id = &node.submit([&wasm("ticks"), "--", "30", "50"]);
    let followed = node.mc(["logs", "-f", id]).expect_code(0).text();
    let expected: String = (0..30).map(|n| format!("tick {n}\n")).collect();
    assert_eq!(followed, expected, "each line once, in order");
    assert_eq!(node.mc(["logs", id]).expect_code(0).text(), expected);
}

#[test]
fn a_job_queued_before_a_restart_is_run_after_it() {
    let dir = tempfile::tempdir().unwrap();
    let node = NodeOptions::new()
        .data_dir(dir.path())
        .flags(["--no-execute"])
        .start();
    let id = &node.submit([wasm("exit_zero").as_str()]);
    assert_eq!(node.stop(), Some(0));
    let node = NodeOptions::new().data_dir(dir.path()).start();
    node.mc(["wait", id]).expect_code(0);
}

#[test]
fn arguments_environment_and_input_reach_the_guest() {
    let node = NodeOptions::new().start();
    let dir = tempfile::tempdir().unwrap();
    let stdin = dir.path().join("stdin");
    std::fs::write(&stdin, "typed\n").unwrap();
    let done = node
        .mc([
            "submit",
            "--env",
            "COLOUR=blue",
            "--stdin",
            stdin.to_str().unwrap(),
            &wasm("echo_world"),
            "--",
            "--flag",
            "wörd",
        ])
        .expect_code(0)
        .text();
    for expected in ["--flag", "wörd", "COLOUR=blue", "typed"] {
        assert!(done.contains(expected), "{expected} in {done}");
    }
    assert!(
        !done.contains("PATH="),
        "the host's environment leaked: {done}"
    );
}

#[test]
fn commands_that_only_look_run_nothing_and_take_no_lease() {
    let dir = tempfile::tempdir().unwrap();
    let alone = |args: &[&str]| alone(dir.path(), args);
    // Whoever hands a job in and does not wait takes no lease either.
    let submitted = alone(&["submit", "--detach", &wasm("exit_zero")]).expect_code(0);
    let id = submitted.text().trim().to_owned();
    let untouched = || {
        let job = alone(&["status", "--format", "json", &id]);
        let job = job.expect_code(0).json();
        assert_eq!(job["state"], "queued", "{job}");
        assert_eq!(job["attempts"], 0, "{job}");
    };
    untouched();
    for args in [
        &["ps"][..],
        &["nodes"],
        &["logs", &id],
        &["checkpoints", &id],
        &["pin", "ls"],
    ] {
        alone(args).expect_code(0);
    }
    untouched();
    // One that stays for longer than a worker needs to take a job.
    let nowhere = "bafkreihdwdcefgh4dqkjv67uzcmw7ojee6xedzdetojuzjevtenxquvyka";
    let begun = std::time::Instant::now();
    alone(&["cat", "--timeout", "3s", nowhere]).expect_code(66);
    assert!(begun.elapsed() >= Duration::from_secs(3), "it gave up");
    untouched();
    let node = NodeOptions::new().data_dir(dir.path()).start();
    assert_eq!(node.succeeded(&id)["attempts"], 1);
}

#[test]
fn nobody_waits_for_a_job_that_only_a_node_in_the_place_of_the_command_could_run() {
    let dir = tempfile::tempdir().unwrap();
    let alone = |args: &[&str]| alone(dir.path(), args);
    let submitted = alone(&["submit", "--detach", &wasm("exit_zero")]).expect_code(0);
    let id = submitted.text().trim().to_owned();
    for args in [
        &["wait", &id][..],
        &["logs", "-f", &id],
        &["logs", "-f", "--tail", "1", &id],
    ] {
        let done = alone(args).expect_code(75);
        assert!(done.stderr.contains("mc-wasm node"), "{done:#?}");
    }
    let node = NodeOptions::new().data_dir(dir.path()).start();
    assert_eq!(node.succeeded(&id)["exit_code"], 0);
    node.mc(["wait", &id]).expect_code(0);
    drop(node);
    alone(&["wait", &id]).expect_code(0);
}
