//! kill -9 of either node, at any moment.

use mc_artifacts::guest;
use mc_conformance::{Node, NodeOptions, eventually, free_port, within};
use rustix::process::{Pid, Signal, kill_process};
use std::{
    path::Path,
    time::{Duration, Instant},
};

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
    let (victim, heir) = parted(nodes, &holder);
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

/// The one of two nodes that has this id, and the other one.
fn parted([first, second]: [Node; 2], id: &str) -> (Node, Node) {
    if first.id == id {
        (first, second)
    } else {
        (second, first)
    }
}

/// The priority that the kernel gives a thread, of those of a process that are called `name`.
fn niceness(pid: u32, name: &str) -> Option<i32> {
    let threads = std::fs::read_dir(format!("/proc/{pid}/task")).unwrap();
    threads.flatten().find_map(|thread| {
        let stat = std::fs::read_to_string(thread.path().join("stat")).ok()?;
        let (before, after) = stat.rsplit_once(')')?;
        let nice = after.split_whitespace().nth(16)?;
        let nice = nice.parse().ok()?;
        before.ends_with(&format!("({name}")).then_some(nice)
    })
}

#[test]
fn guests_give_way_to_what_keeps_their_leases() {
    let node = NodeOptions::new().flags(["--slots", "1"]).start();
    let id = node.submit([guest("cpu_forever").to_str().unwrap()]);
    assert_eq!(node.running(&id), node.id);
    eventually("it gives way", Duration::from_secs(10), || {
        (niceness(node.pid(), "guest")? == 19).then_some(())
    });
    // What stops a guest must not be as late as the guest.
    for thread in ["mc-wasm", "ticker"] {
        let others = niceness(node.pid(), thread);
        assert!(others.is_some_and(|nice| nice < 19), "{thread}: {others:?}");
    }
}

#[test]
fn no_lease_is_lost_while_a_checkpoint_is_written() {
    let a = NodeOptions::new()
        .flags(["--no-execute", "--lease-ttl", "2s"])
        .start();
    let b = NodeOptions::new().bootstrap(&a).start();
    let component = guest("working_set").display().to_string();
    // All of it is in the first checkpoint, which takes several terms to write.
    let limits = ["--memory", "200MiB", "--checkpoint-every", "1s"];
    let task = [component.as_str(), "--", "96", "80000"];
    let id = a.submit(limits.into_iter().chain(task));
    let done = a.succeeded(&id);
    assert_eq!(done["node"], b.id.as_str());
    assert_eq!(done["attempts"], 1, "{done}");
}

#[test]
fn a_job_whose_process_is_killed_runs_elsewhere_long_before_its_term_ends() {
    let a = NodeOptions::new()
        .flags(["--no-execute", "--lease-ttl", "60s"])
        .start();
    let nodes = [1, 2].map(|_| NodeOptions::new().bootstrap(&a).start());
    let ticks = guest("ticks").display().to_string();
    let id = a.submit([&ticks, "--", "100", "100"]);
    let holder = a.running(&id);
    let (victim, heir) = parted(nodes, &holder);
    let killed = Instant::now();
    victim.kill();
    let granted = eventually("granted again", Duration::from_secs(10), || {
        let view = a.status(&id);
        (view["node"] == heir.id.as_str()).then(|| killed.elapsed())
    });
    println!("granted again {granted:?} after the kill, with a term of 60 s");
    assert!(granted < Duration::from_secs(2), "{granted:?}");
    assert_eq!(a.succeeded(&id)["attempts"], 2);
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

#[test]
fn a_gateway_that_stood_still_holds_it_against_nobody() {
    let a = NodeOptions::new()
        .flags(["--no-execute", "--lease-ttl", "1s"])
        .start();
    let b = NodeOptions::new().bootstrap(&a).start();
    let ticks = guest("ticks").display().to_string();
    let id = a.submit([&ticks, "--", "120", "100"]);
    assert_eq!(a.running(&id), b.id);
    let gateway = i32::try_from(a.pid()).ok().and_then(Pid::from_raw).unwrap();
    kill_process(gateway, Signal::STOP).unwrap();
    within::<()>(Duration::from_secs(4), || None);
    kill_process(gateway, Signal::CONT).unwrap();
    let done = a.succeeded(&id);
    assert_eq!(
        done["attempts"], 1,
        "its heartbeats came, and were waiting: {done}"
    );
}

#[test]
fn an_attempt_whose_gateway_is_gone_frees_its_slot_and_goes_on_from_its_checkpoint() {
    let dir = tempfile::tempdir().unwrap();
    let (port, jobs) = (free_port(), dir.path().join("gateway"));
    let gateway = || {
        NodeOptions::new()
            .data_dir(&jobs)
            .port(port)
            .flags(["--no-execute", "--lease-ttl", "1s"])
            .start()
    };
    let config = dir.path().join("worker.toml");
    std::fs::write(&config, "[worker]\nsilent_terms = 3\n").unwrap();
    let a = gateway();
    let b = NodeOptions::new()
        .bootstrap(&a)
        .flags(["--slots", "1", "--config", config.to_str().unwrap()])
        .start();
    let ticks = guest("ticks").display().to_string();
    let id = a.submit([&ticks, "--", "300", "100"]);
    assert_eq!(a.running(&id), b.id);
    let patience = Duration::from_secs(30);
    eventually("it has got somewhere", patience, || {
        let log = a.mc(["logs", &id]).expect_code(0).text();
        log.contains("tick 20\n").then_some(())
    });
    a.kill();
    let killed = Instant::now();
    eventually("the slot is free", Duration::from_secs(8), || {
        let nodes = b.mc(["nodes", "--format", "json"]).expect_code(0).json();
        (nodes["nodes"][0]["slots_free"] == 1).then_some(())
    });
    println!("the slot was free {:?} after the kill", killed.elapsed());
    let a = gateway();
    eventually("it goes on", patience, || {
        let view = a.status(&id);
        (view["state"] == "running" && view["attempts"] == 2).then_some(())
    });
    let log = a.mc(["logs", &id]).expect_code(0).text();
    assert!(log.contains("tick 20\n"), "it began anew: {log}");
    let done = a.succeeded(&id);
    assert_eq!(done["node"], b.id.as_str());
    let expected: String = (0..300).map(|n| format!("tick {n}\n")).collect();
    assert_eq!(a.mc(["logs", &id]).expect_code(0).text(), expected);
}

/// A worker on `dir` that has got somewhere with the job of a gateway which has been killed since, and that job.
fn left_alone(dir: &Path, flags: &[&str]) -> (Node, String) {
    let a = NodeOptions::new()
        .flags(["--no-execute", "--lease-ttl", "1s"])
        .start();
    let b = NodeOptions::new().bootstrap(&a).data_dir(dir);
    let b = b.flags(flags.iter().copied()).start();
    let ticks = guest("ticks").display().to_string();
    let id = a.submit([&*ticks, "--", "600", "100"]);
    assert_eq!(a.running(&id), b.id);
    eventually("it has got somewhere", Duration::from_secs(30), || {
        let log = a.mc(["logs", &id]).expect_code(0).text();
        log.contains("tick 10\n").then_some(())
    });
    a.kill();
    (b, id)
}

/// Waits until a worker says of an attempt whose gateway is away that it ended here, and why; and has what it wrote.
fn tells(worker: &Node, id: &str, why: &str) {
    eventually("the worker tells of it", Duration::from_secs(30), || {
        let status = worker.mc(["status", "--format", "json", id]);
        let status = (status.code == Some(0)).then(|| status.json())?;
        let message = status["message"].as_str()?;
        let is_told = message.contains(why) && message.contains("does not know yet");
        (is_told && status["state"] == "running").then_some(())
    });
    let logs = worker.mc(["logs", id]).expect_code(0).text();
    assert!(logs.contains("tick 10\n"), "{logs}");
}

#[test]
fn a_worker_tells_of_an_attempt_that_ended_without_its_gateway_also_after_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    let (config, data) = (dir.path().join("worker.toml"), dir.path().join("data"));
    std::fs::write(&config, "[worker]\nsilent_terms = 3\n").unwrap();
    let (worker, id) = left_alone(&data, &["--config", config.to_str().unwrap()]);
    tells(&worker, &id, "silent for too long");
    eventually("it is on disk", Duration::from_secs(30), || {
        let outbox = std::fs::read_dir(data.join("owed")).ok()?;
        (outbox.count() > 0).then_some(())
    });
    worker.kill();
    let worker = NodeOptions::new().data_dir(&data).start();
    tells(&worker, &id, "silent for too long");
}

#[test]
fn a_worker_tells_of_an_attempt_that_it_was_killed_with_while_its_gateway_is_away() {
    let dir = tempfile::tempdir().unwrap();
    let (worker, id) = left_alone(dir.path(), &[]);
    worker.kill();
    let worker = NodeOptions::new().data_dir(dir.path()).start();
    tells(&worker, &id, "its process was killed");
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
