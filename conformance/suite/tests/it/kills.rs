//! kill -9 of either node, at any moment.

use mc_artifacts::guest;
use mc_conformance::{NodeOptions, eventually, free_port, within};
use std::time::{Duration, Instant};

#[test]
fn a_job_whose_node_is_killed_runs_again_elsewhere_within_a_term_and_two_seconds() {
    let ttl = Duration::from_secs(3);
    let a = NodeOptions::new()
        .flags(["--no-execute", "--lease-ttl", "3s"])
        .start();
    let nodes = [
        NodeOptions::new().bootstrap(&a).start(),
        NodeOptions::new().bootstrap(&a).start(),
    ];
    let component = guest("ticks").display().to_string();
    let id = a.submit([&component, "--", "100", "100"]);
    let holder = a.running(&id);
    let [first, second] = nodes;
    let (victim, heir) = if first.id == holder {
        (first, second)
    } else {
        (second, first)
    };
    victim.kill();
    let killed = Instant::now();
    eventually("running elsewhere", ttl + Duration::from_secs(2), || {
        let view = a.status(&id);
        (view["state"] == "running" && view["node"] == heir.id.as_str()).then_some(())
    });
    println!(
        "running again after {:?} with a term of {ttl:?}",
        killed.elapsed()
    );
    let done = a.succeeded(&id);
    assert_eq!(done["attempts"], 2);
    let expected: String = (0..100).map(|n| format!("tick {n}\n")).collect();
    assert_eq!(a.mc(["logs", &id]).expect_code(0).text(), expected);
}

#[test]
fn a_killed_coordinator_remembers_every_job_and_takes_the_result_of_a_running_one() {
    let dir = tempfile::tempdir().unwrap();
    let port = free_port();
    let flags = ["--no-execute", "--lease-ttl", "20s"];
    let a = NodeOptions::new()
        .data_dir(dir.path())
        .port(port)
        .flags(flags)
        .start();
    let b = NodeOptions::new()
        .bootstrap(&a)
        .flags(["--slots", "1"])
        .start();
    let component = guest("ticks").display().to_string();
    let running = a.submit([&component, "--", "40", "100"]);
    eventually("running", Duration::from_secs(30), || {
        (a.status(&running)["state"] == "running").then_some(())
    });
    let queued = a.submit([&component, "--", "3", "1"]);
    a.kill();
    let a = NodeOptions::new()
        .data_dir(dir.path())
        .port(port)
        .flags(flags)
        .start();
    for id in [&running, &queued] {
        let done = a.succeeded(id);
        assert_eq!(done["node"], b.id.as_str());
        assert_eq!(
            done["attempts"], 1,
            "nothing was lost, so nothing runs twice: {done}"
        );
    }
}

/// Kills a node that executes its own jobs again and again while jobs are being submitted. Every
/// submission that was acknowledged must be found after each restart, and must end.
#[test]
fn acknowledged_jobs_survive_kills_at_any_moment() {
    let dir = tempfile::tempdir().unwrap();
    let component = guest("echo_world").display().to_string();
    let mut acknowledged: Vec<String> = Vec::new();
    for round in 0..8u64 {
        let node = NodeOptions::new()
            .data_dir(dir.path())
            .flags(["--lease-ttl", "1s"])
            .start();
        // The moments differ from round to round, from amid the first upload to amid execution.
        let until = Instant::now() + Duration::from_millis(40 + 173 * round);
        let api = node.api.clone();
        let component = component.clone();
        let submitter = std::thread::spawn(move || {
            let mut ids = Vec::new();
            loop {
                let round = format!("round {round}");
                let args = [
                    "submit", "--detach", "--format", "json", &component, "--", &round,
                ];
                let node = ["--node", &api];
                let done = mc_conformance::mc(node.iter().copied().chain(args));
                if done.code != Some(0) {
                    return ids;
                }
                ids.push(done.json()["id"].as_str().unwrap().to_owned());
            }
        });
        within::<()>(until.saturating_duration_since(Instant::now()), || None);
        node.kill();
        acknowledged.extend(submitter.join().unwrap());
    }
    println!("{} jobs were acknowledged", acknowledged.len());
    assert!(!acknowledged.is_empty());
    let node = NodeOptions::new().data_dir(dir.path()).start();
    for id in &acknowledged {
        node.mc(["wait", id]).expect_code(0);
    }
}
