//! Several commands at a time in one data directory in which no node runs.

use crate::wasm;
use mc_conformance::{Finished, eventually, mc, spawn_in};
use serde_json::Value;
use std::{
    path::Path,
    process::Child,
    time::{Duration, Instant},
};

const PATIENCE: Duration = Duration::from_secs(60);
/// Less than the two terms for which a lease lasts that another process had.
const SOON: Duration = Duration::from_secs(20);

/// A command on a directory of its own, without ports that others could want, that is not waited for.
fn begin(dir: &Path, args: &[&str]) -> Child {
    let global = ["--data-dir", "data", "--config", "config.toml", "--no-mdns"];
    spawn_in(dir, global.into_iter().chain(args.iter().copied()))
}

/// A directory for such commands, of whose nodes each runs one job at a time.
fn place() -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("config.toml"), "[worker]\nslots = 1\n").unwrap();
    dir
}

/// The API of the node that a command has started.
fn api(dir: &Path) -> String {
    eventually("a command has started a node", PATIENCE, || {
        let file = std::fs::read(dir.join("data/node.json")).ok()?;
        let file: Value = serde_json::from_slice(&file).ok()?;
        Some(file["api"].as_str()?.to_owned())
    })
}

/// Waits until so many jobs have been handed in, and gives the id of the newest.
fn handed_in(api: &str, count: usize) -> String {
    eventually("the jobs are handed in", PATIENCE, || {
        let listed = mc(["--node", api, "--format", "json", "ps"]);
        let listed = listed.expect_code(0).json();
        let jobs = listed["jobs"].as_array()?;
        (jobs.len() == count).then(|| jobs[0]["id"].as_str().unwrap().to_owned())
    })
}

fn succeeded(child: Child, word: &str) {
    let done = Finished::of(child).expect_code(0);
    assert_eq!(done.text(), format!("argument {word}\n"), "{}", done.stderr);
}

#[test]
fn commands_that_start_at_once_share_a_data_directory() {
    let (dir, echo) = (place(), wasm("echo_world"));
    let words = ["one", "two", "three", "four", "five", "six"];
    // More than once: a lease that is granted while a node stops must not be left to expire.
    for _ in 0..4 {
        let since = Instant::now();
        let begun = words.map(|word| begin(dir.path(), &["submit", &echo, "--", word]));
        for (child, word) in begun.into_iter().zip(words) {
            succeeded(child, word);
        }
        assert!(since.elapsed() < SOON, "{:?}", since.elapsed());
    }
    // Those that do not wait, whose nodes are there for a moment, and those that only look.
    let detached = words.map(|word| begin(dir.path(), &["submit", "--detach", &echo, "--", word]));
    for child in detached {
        Finished::of(child).expect_code(0);
    }
    let looking = words.map(|_| begin(dir.path(), &["--format", "json", "ps"]));
    for child in looking {
        let listed = Finished::of(child).expect_code(0).json();
        assert_eq!(listed["jobs"].as_array().unwrap().len(), 30, "{listed}");
    }
}

#[test]
fn a_job_goes_on_when_the_command_ends_whose_node_it_was_handed_to() {
    let (dir, echo) = (place(), wasm("echo_world"));
    let endless = wasm("cpu_forever");
    // It has the only slot for as long as its command is there.
    let first = begin(dir.path(), &["submit", "--timeout", "20s", &endless]);
    let api = api(dir.path());
    handed_in(&api, 1);
    let begun = ["second", "third"].map(|word| {
        let child = begin(dir.path(), &["submit", &echo, "--", word]);
        (child, word)
    });
    handed_in(&api, 3);
    Finished::of(first).expect_code(124);
    for (child, word) in begun {
        succeeded(child, word);
    }
}

#[test]
fn a_job_goes_on_when_the_command_is_killed_whose_node_it_was_handed_to() {
    let (dir, echo) = (place(), wasm("echo_world"));
    let endless = wasm("cpu_forever");
    let mut first = begin(dir.path(), &["submit", "--timeout", "20s", &endless]);
    let api = api(dir.path());
    handed_in(&api, 1);
    let second = begin(dir.path(), &["submit", &echo, "--", "second"]);
    handed_in(&api, 2);
    first.kill().unwrap();
    first.wait().unwrap();
    succeeded(second, "second");
}

#[test]
fn a_job_that_a_killed_command_was_running_for_another_runs_again_at_once() {
    let (dir, endless) = (place(), wasm("cpu_forever"));
    std::fs::write(dir.path().join("config.toml"), "[worker]\nslots = 2\n").unwrap();
    let mut first = begin(dir.path(), &["submit", &endless]);
    let api = api(dir.path());
    handed_in(&api, 1);
    let second = begin(dir.path(), &["submit", "--timeout", "3s", &endless]);
    let id = handed_in(&api, 2);
    eventually("it runs", PATIENCE, || {
        let job = mc(["--node", &api, "--format", "json", "status", &id]);
        (job.expect_code(0).json()["state"] == "running").then_some(())
    });
    let since = Instant::now();
    first.kill().unwrap();
    first.wait().unwrap();
    Finished::of(second).expect_code(124);
    assert!(since.elapsed() < SOON, "{:?}", since.elapsed());
}

#[test]
fn whoever_waits_for_a_job_that_nobody_runs_any_more_is_told() {
    let (dir, endless) = (place(), wasm("cpu_forever"));
    let mut first = begin(dir.path(), &["submit", &endless]);
    let id = handed_in(&api(dir.path()), 1);
    let waiting = begin(dir.path(), &["wait", &id]);
    first.kill().unwrap();
    first.wait().unwrap();
    let told = Finished::of(waiting).expect_code(75);
    assert!(told.stderr.contains("mc-wasm"), "{}", told.stderr);
}
