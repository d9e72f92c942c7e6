//! What attempts printed, whatever their end.

use mc_artifacts::guest;
use mc_conformance::{Node, NodeOptions, eventually};
use std::time::Duration;

const PATIENCE: Duration = Duration::from_secs(30);

fn ticks(count: usize) -> String {
    (0..count).map(|n| format!("tick {n}\n")).collect()
}

/// The lines that are kept of what a job printed, which are its first ones.
fn kept(node: &Node, args: &[&str]) -> usize {
    let logs = node.mc(["logs"].into_iter().chain(args.iter().copied()));
    let text = logs.expect_code(0).text();
    let lines = text.lines().count();
    assert_eq!(text, ticks(lines), "{args:?}");
    lines
}

/// Waits until a job has printed some lines.
fn printed(node: &Node, id: &str, lines: usize) {
    eventually("it prints", PATIENCE, || {
        let logs = node.mc(["logs", id]).expect_code(0).text();
        (logs.lines().count() >= lines).then_some(())
    });
}

#[test]
fn what_a_job_printed_is_kept_when_its_time_is_over_and_when_it_is_called_off() {
    let gateway = NodeOptions::new().flags(["--no-execute"]).start();
    let _worker = NodeOptions::new().bootstrap(&gateway).start();
    let component = guest("ticks").display().to_string();
    // Guests come last: beside other tests, few of the lines may be printed in that time.
    let timed = gateway.submit(["--timeout", "4s", &component, "--", "1000", "50"]);
    let called_off = gateway.submit([&*component, "--", "1000", "50"]);
    printed(&gateway, &called_off, 5);
    gateway.mc(["cancel", &called_off]).expect_code(0);
    assert!(kept(&gateway, &[&called_off]) >= 5);
    gateway.mc(["wait", &timed]).expect_code(124);
    assert!(kept(&gateway, &[&timed]) >= 1);
    // As it was typed, with its end.
    let args = ["submit", "--timeout", "4s", &component, "--", "1000", "50"];
    let done = gateway.mc(args).expect_code(124);
    let lines = done.text().lines().count();
    assert!(lines >= 1 && done.text() == ticks(lines), "{done:#?}");
    let id = done.stderr.lines().next().unwrap().replace("job ", "");
    assert_eq!(kept(&gateway, &[&id]), lines);
}

#[test]
fn what_each_attempt_printed_can_be_had_afterwards() {
    let gateway = NodeOptions::new()
        .flags(["--no-execute", "--lease-ttl", "1h"])
        .start();
    let first = NodeOptions::new().bootstrap(&gateway).start();
    let component = guest("ticks").display().to_string();
    let id = gateway.submit([&*component, "--", "60", "50"]);
    assert_eq!(gateway.running(&id), first.id);
    printed(&gateway, &id, 5);
    assert_eq!(first.stop(), Some(0));
    let _second = NodeOptions::new().bootstrap(&gateway).start();
    assert_eq!(gateway.succeeded(&id)["attempts"], 2);
    let before = kept(&gateway, &["--attempt", "1", &id]);
    assert!((5..60).contains(&before), "{before}");
    assert_eq!(kept(&gateway, &["--attempt", "2", &id]), 60);
    assert_eq!(kept(&gateway, &[&id]), 60);
    let none = gateway.mc(["logs", "--attempt", "3", &id]).expect_code(66);
    assert!(none.stderr.contains("attempt 3"), "{}", none.stderr);
}

/// What the only attempt wrote was given for whichever one was asked for.
#[test]
fn a_worker_whose_gateway_is_gone_has_the_log_of_its_own_attempt_only() {
    let gateway = NodeOptions::new().flags(["--no-execute"]).start();
    let worker = NodeOptions::new().bootstrap(&gateway).start();
    let component = guest("ticks").display().to_string();
    let id = gateway.submit([&*component, "--", "1000", "50"]);
    assert_eq!(gateway.running(&id), worker.id);
    gateway.kill();
    printed(&worker, &id, 1);
    assert!(kept(&worker, &["--attempt", "1", &id]) >= 1);
    let another = worker.mc(["logs", "--attempt", "2", &id]).expect_code(66);
    assert!(another.stderr.contains("attempt 2"), "{another:#?}");
}

#[test]
fn what_an_attempt_printed_is_had_again_once_its_killed_process_is_back() {
    let gateway = NodeOptions::new()
        .flags(["--no-execute", "--lease-ttl", "2s"])
        .start();
    let dir = tempfile::tempdir().unwrap();
    let worker = || {
        let node = NodeOptions::new().data_dir(dir.path());
        node.bootstrap(&gateway).start()
    };
    let killed = worker();
    let component = guest("ticks").display().to_string();
    let id = gateway.submit(["--retries", "0", &component, "--", "1000", "50"]);
    assert_eq!(gateway.running(&id), killed.id);
    printed(&gateway, &id, 5);
    killed.kill();
    gateway.mc(["wait", &id]).expect_code(70);
    let _back = worker();
    eventually("its log is there", PATIENCE, || {
        (gateway.mc(["logs", &id]).code == Some(0)).then_some(())
    });
    assert!(kept(&gateway, &[&id]) >= 5);
    assert!(kept(&gateway, &["--attempt", "1", &id]) >= 5);
    eventually("nothing stays", PATIENCE, || {
        let before = std::fs::read_dir(dir.path().join("before")).unwrap();
        (before.count() == 0).then_some(())
    });
}

#[test]
fn that_a_log_was_lost_with_its_node_is_said() {
    let gateway = NodeOptions::new()
        .flags(["--no-execute", "--lease-ttl", "2s"])
        .start();
    let worker = NodeOptions::new().bootstrap(&gateway).start();
    let component = guest("ticks").display().to_string();
    let id = gateway.submit(["--retries", "0", &component, "--", "1000", "50"]);
    assert_eq!(gateway.running(&id), worker.id);
    let node = worker.id.clone();
    worker.kill();
    gateway.mc(["wait", &id]).expect_code(70);
    let logs = gateway.mc(["logs", &id]).expect_code(66);
    assert!(logs.stderr.contains(&node), "{}", logs.stderr);
}
