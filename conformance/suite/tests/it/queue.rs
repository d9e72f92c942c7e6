//! Who is served first, how long is waited, and how soon a job is called off.

use mc_artifacts::guest;
use mc_conformance::{Node, NodeOptions, eventually};
use std::time::{Duration, Instant};

/// A node with one slot, and a job that takes it for a while.
fn busy_node() -> (Node, String) {
    let node = NodeOptions::new().flags(["--slots", "1"]).start();
    let ticks = guest("ticks").display().to_string();
    let first = node.submit([&ticks, "--", "10", "100"]);
    assert_eq!(node.running(&first), node.id);
    (node, ticks)
}

/// The jobs in the order in which they began.
fn order(node: &Node, jobs: &[(String, &'static str)]) -> Vec<&'static str> {
    let mut begun: Vec<_> = jobs
        .iter()
        .map(|(id, name)| (node.succeeded(id)["started_ms"].as_u64().unwrap(), *name))
        .collect();
    begun.sort_unstable();
    begun.into_iter().map(|(_, name)| name).collect()
}

#[test]
fn a_job_of_higher_priority_goes_first() {
    let (node, ticks) = busy_node();
    let submit = |priority| node.submit(["--priority", priority, &ticks, "--", "1", "20"]);
    let jobs = [("1", "low"), ("5", "usual"), ("9", "high")];
    let jobs = jobs.map(|(priority, name)| (submit(priority), name));
    assert_eq!(order(&node, &jobs), ["high", "usual", "low"]);
}

#[test]
fn submitters_take_turns_whoever_came_first() {
    let (node, ticks) = busy_node();
    let submit = |name| node.submit(["--submitter", name, &ticks, "--", "1", "20"]);
    let names = ["lab", "lab", "lab", "lab", "school", "school"];
    let jobs = names.map(|name| (submit(name), name));
    let order = order(&node, &jobs);
    let last_school = order.iter().rposition(|name| *name == "school").unwrap();
    assert!(last_school <= 3, "{order:?}");
}

#[test]
fn a_job_that_waited_for_too_long_ends_with_the_reason() {
    let node = NodeOptions::new().flags(["--no-execute"]).start();
    let component = guest("exit_zero").display().to_string();
    let begun = Instant::now();
    let args = [
        "submit",
        "--queue-timeout",
        "1s",
        "--format",
        "json",
        &component,
    ];
    let done = node.mc(args).expect_code(124).json();
    assert_eq!(done["state"], "failed");
    assert_eq!(done["failure"], "queue_timeout", "{done}");
    assert!(begun.elapsed() >= Duration::from_secs(1));
    let id = done["id"].as_str().unwrap();
    let view = node.mc(["status", id]).expect_code(0).text();
    assert!(view.contains("queue_timeout"), "{view}");
}

/// How long it takes until the only slot is free again for another job.
fn called_off(gateway: &Node, worker: &Node) -> Duration {
    let id = gateway.submit([guest("cpu_forever").to_str().unwrap()]);
    assert_eq!(gateway.running(&id), worker.id);
    gateway.mc(["cancel", &id]).expect_code(0);
    let cancelled = Instant::now();
    // The only slot is free again when another job can run.
    let next = gateway.submit([guest("ticks").to_str().unwrap(), "--", "1", "1"]);
    eventually("the next job runs", Duration::from_secs(30), || {
        (gateway.status(&next)["state"] != "queued").then_some(())
    });
    let took = cancelled.elapsed();
    gateway.mc(["wait", &next]).expect_code(0);
    took
}

#[test]
fn a_job_that_is_called_off_leaves_its_node_within_a_second() {
    let gateway = NodeOptions::new().flags(["--no-execute"]).start();
    let worker = NodeOptions::new()
        .bootstrap(&gateway)
        .flags(["--slots", "1"])
        .start();
    // Guests come last: beside other tests, one may not be run for seconds, and so not notice.
    let quickest = (0..5)
        .map(|_| called_off(&gateway, &worker))
        .find(|took| *took < Duration::from_secs(1));
    assert!(quickest.is_some());
}
