//! What a node lends, and that no task takes more of it, whoever says so.

use crate::wasm;
use mc_conformance::{Node, NodeOptions, eventually};
use std::time::Duration;

const PATIENCE: Duration = Duration::from_secs(30);
const MEBIBYTE: u64 = 1 << 20;

fn node(flags: &[&str]) -> Node {
    NodeOptions::new().flags(flags.iter().copied()).start()
}

/// When a job began and ended, in milliseconds.
fn ran(node: &Node, id: &str) -> (u64, u64) {
    let view = node.succeeded(id);
    let time = |name: &str| view[name].as_u64().unwrap();
    (time("started_ms"), time("finished_ms"))
}

#[test]
fn two_jobs_of_more_than_half_of_the_memory_run_one_after_the_other() {
    let node = node(&["--slots", "4", "--memory", "1000MiB"]);
    let ticks = wasm("ticks");
    let submit = |memory| node.submit(["--memory", memory, &ticks, "--", "10", "100"]);
    let first = submit("600MiB");
    let _ = node.running(&first);
    let second = submit("600MiB");
    let small = submit("100MiB");
    let line = "1 node can run it: 1 lacks 600 MiB of free memory";
    eventually("what it waits for is said", PATIENCE, || {
        let why = node.mc(["why", &second]).expect_code(0).text();
        why.contains(line).then_some(())
    });
    let why = node.mc(["--format", "json", "why", &second]).expect_code(0);
    let lack = &why.json()["lacks"][0]["clause"]["free_memory"]["bytes"];
    assert_eq!(*lack, 600 * MEBIBYTE);
    let [first, second, small] = [first, second, small].map(|id| ran(&node, &id));
    assert!(second.0 >= first.1, "{first:?} and {second:?}");
    assert!(
        small.0 < second.0,
        "{small:?} has room beside {first:?}, before {second:?}"
    );
}

/// Two gateways know nothing of each other's jobs: the worker does.
#[test]
fn jobs_of_several_gateways_share_the_memory_of_a_worker() {
    let gateways = [(); 2].map(|()| node(&["--no-execute"]));
    let worker = NodeOptions::new()
        .bootstrap(&gateways[0])
        .bootstrap(&gateways[1])
        .flags(["--slots", "4", "--memory", "1000MiB"])
        .start();
    let ticks = wasm("ticks");
    let submit =
        |gateway: &Node| gateway.submit(["--memory", "600MiB", ticks.as_str(), "--", "30", "100"]);
    let ids = [0, 1].map(|n: usize| submit(&gateways[n]));
    let [one, other] = [0, 1].map(|n: usize| ran(&gateways[n], &ids[n]));
    // They take three seconds, and a gateway hears of the end a little later than the worker has room again.
    let apart = one.0 + 1500 >= other.1 || other.0 + 1500 >= one.1;
    assert!(apart, "{one:?} and {other:?}");
    drop(worker);
}

#[test]
fn a_job_beyond_what_a_node_lends_is_told_so_when_it_is_submitted() {
    let flags = [
        "--slots",
        "2",
        "--memory",
        "1GiB",
        "--disk",
        "20GiB",
        "--scratch",
        "10GiB",
        "--output",
        "2GiB",
        "--attempt-time",
        "1h",
    ];
    let node = node(&flags);
    let component = wasm("exit_zero");
    // Its own worker is known to it then.
    node.mc(["submit", &component]).expect_code(0);
    let target = format!("target_node={}", node.id);
    for (limit, lacks, nearest) in [
        (["--memory", "2GiB"], "2 GiB of memory", "memory ≤ 1 GiB"),
        (
            ["--scratch", "100GiB"],
            "100 GiB of scratch",
            "scratch ≤ 10 GiB",
        ),
        (["--output", "3GiB"], "3 GiB of output", "output ≤ 2 GiB"),
        (["--timeout", "2h"], "2 h for an attempt", "timeout ≤ 1 h"),
    ] {
        let submit = ["submit", "--detach"].into_iter().chain(limit);
        let waits = node.mc(submit.chain([component.as_str()])).expect_code(0);
        let line = format!("1 lacks {lacks}; 1 node could with {nearest}");
        assert!(waits.stderr.contains(&line), "{limit:?}: {}", waits.stderr);
        let submit = ["submit", "--detach", "--label", &target].into_iter();
        let submit = submit.chain(limit).chain([component.as_str()]);
        let refused = node.mc(submit).expect_code(65);
        assert!(refused.stderr.contains(lacks), "{}", refused.stderr);
    }
    node.mc(["submit", "--timeout", "1h", &component])
        .expect_code(0);
}

#[test]
fn files_that_guests_write_take_disk_and_not_memory() {
    let node = node(&["--slots", "1"]);
    node.mc(["submit", &wasm("exit_zero")]).expect_code(0);
    let before = node.peak_memory_bytes();
    let flood = wasm("file_flood");
    node.mc(["submit", "--scratch", "2GiB", &flood, "--", "600"])
        .expect_code(0);
    let grown = node.peak_memory_bytes().saturating_sub(before);
    assert!(
        grown < 300 * MEBIBYTE,
        "600 MiB of files took {grown} bytes"
    );
    let scratch = node.data_dir().join("scratch");
    assert_eq!(std::fs::read_dir(scratch).unwrap().count(), 0);
}

/// Each checkpoint is made from a copy of the guest's memory.
#[test]
fn checkpoints_take_the_memory_of_a_guest_once_more_and_not_many_times() {
    let node = node(&["--slots", "1"]);
    node.mc(["submit", &wasm("exit_zero")]).expect_code(0);
    let before = node.peak_memory_bytes();
    let guest = wasm("working_set");
    let limits = ["--timeout", "10s", "--checkpoint-every", "100000"];
    let submit = ["submit"].into_iter().chain(limits);
    node.mc(submit.chain([guest.as_str(), "--", "200", "1000000"]))
        .expect_code(124);
    let grown = node.peak_memory_bytes().saturating_sub(before);
    assert!(
        grown < 550 * MEBIBYTE,
        "a guest of 200 MiB took {grown} bytes"
    );
}

#[test]
fn disk_that_is_full_for_a_while_is_no_failure_of_a_task() {
    let flags = ["--slots", "2", "--scratch", "64MiB", "--disk", "1GiB"];
    let node = node(&flags);
    let flood = wasm("file_flood");
    let limits = ["--scratch", "64MiB", "--retries", "0"];
    let submit = |mebibytes| {
        let args = [flood.as_str(), "--", mebibytes];
        node.submit(limits.into_iter().chain(args))
    };
    // Both together have no room; and what one had is free again when it has ended.
    let ids = [submit("60"), submit("60")];
    for id in &ids {
        let view = node.succeeded(id);
        assert_eq!(view["state"], "succeeded", "{view}");
    }
    // By its own limit a task fails, as it would anywhere.
    let beyond = ["submit", "--scratch", "64MiB", &flood, "--", "65"];
    let failed = node.mc(beyond);
    assert!(!matches!(failed.code, Some(0 | 70)), "{failed:?}");
}

#[test]
fn an_attempt_that_takes_longer_than_its_node_lets_it_goes_on_from_a_checkpoint() {
    let node = node(&["--slots", "1", "--attempt-time", "1s"]);
    let ticks = wasm("ticks");
    let id = node.submit([ticks.as_str(), "--", "30", "100"]);
    let view = node.succeeded(&id);
    assert!(view["attempts"].as_u64().unwrap() > 1, "{view}");
    let printed = node.mc(["logs", &id]).expect_code(0).text();
    let ticks: Vec<_> = (0..30).map(|tick| format!("tick {tick}")).collect();
    assert_eq!(printed.lines().collect::<Vec<_>>(), ticks);
}
