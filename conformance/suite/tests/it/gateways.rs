//! Several coordinators on one PostgreSQL database, and what happens when one of them, or the database, is gone.

use mc_artifacts::guest;
use mc_conformance::{Finished, Node, NodeOptions, eventually, mc, spawn_in};
use mc_postgres::Server;
use rustix::process::{Pid, Signal, kill_process};
use std::{
    net::TcpListener,
    time::{Duration, Instant},
};

const PATIENCE: Duration = Duration::from_secs(30);

/// A coordinator on the database `url` that runs nothing.
fn gateway(url: &str) -> NodeOptions {
    gateway_with("3s", url)
}

fn gateway_with(term: &str, url: &str) -> NodeOptions {
    NodeOptions::new().flags(["--no-execute", "--lease-ttl", term, "--ledger", url])
}

/// Two coordinators that know of each other, and a worker for both.
fn two_gateways(url: &str) -> (Node, Node, Node) {
    let a = gateway(url).start();
    let b = gateway(url).bootstrap(&a).start();
    let worker = NodeOptions::new()
        .bootstrap(&a)
        .bootstrap(&b)
        .flags(["--slots", "2"])
        .start();
    for gateway in [&a, &b] {
        // Both give work to the worker; it runs elsewhere than where it was handed in.
        let done = gateway.submit([guest("exit_zero").to_str().unwrap(), "--", &gateway.id]);
        assert_eq!(gateway.succeeded(&done)["node"], worker.id.as_str());
    }
    (a, b, worker)
}

#[test]
fn a_gateway_goes_on_with_the_jobs_of_one_that_was_killed_and_nothing_runs_twice() {
    let url = mc_postgres::shared().unwrap().database().unwrap();
    let (a, b, worker) = two_gateways(&url);
    let component = guest("ticks").display().to_string();
    let running = a.submit([&component, "--", "80", "100"]);
    assert_eq!(a.running(&running), worker.id);
    let second = a.submit([&component, "--", "81", "50"]);
    assert_eq!(a.running(&second), worker.id);
    // Both slots are taken, so that this one waits in the queue.
    let queued = a.submit([&component, "--", "3", "1"]);
    // Somebody waits at the one that dies, and knows of the other.
    let both = format!("{},{}", a.api, b.api);
    let waiting = {
        let id = running.clone();
        std::thread::spawn(move || mc_conformance::mc(["--node", &both, "wait", &id]))
    };
    a.kill();
    let killed = Instant::now();
    for (id, ticks) in [(&running, 80), (&second, 81), (&queued, 3)] {
        let done = b.succeeded(id);
        assert_eq!(done["attempts"], 1, "{done}");
        let expected: String = (0..ticks).map(|n| format!("tick {n}\n")).collect();
        assert_eq!(b.mc(["logs", id]).expect_code(0).text(), expected);
    }
    waiting.join().unwrap().expect_code(0);
    println!("all three had ended {:?} after the kill", killed.elapsed());
}

#[test]
fn commands_as_people_type_them_go_on_when_their_gateway_is_killed() {
    let url = mc_postgres::shared().unwrap().database().unwrap();
    let (a, b, _worker) = two_gateways(&url);
    let both = format!("{},{}", a.api, b.api);
    let component = guest("ticks").display().to_string();
    let here = std::path::Path::new(".");
    let submit = ["--node", &both, "submit", &component, "--", "60", "100"];
    let submitting = spawn_in(here, submit);
    let id = eventually("it runs", PATIENCE, || {
        let running = ["ps", "--state", "running", "--format", "json"];
        let jobs = b.mc(running).expect_code(0).json();
        Some(jobs["jobs"].get(0)?["id"].as_str()?.to_owned())
    });
    let following = spawn_in(here, ["--node", &both, "logs", "-f", &id]);
    let waiting = spawn_in(here, ["--node", &both, "wait", &id]);
    eventually("it prints", PATIENCE, || {
        let printed = b.mc(["logs", &id]).expect_code(0).text();
        printed.lines().nth(10).map(drop)
    });
    a.kill();
    let expected: String = (0..60).map(|n| format!("tick {n}\n")).collect();
    let submitted = Finished::of(submitting).expect_code(0);
    assert_eq!(submitted.text(), expected, "{}", submitted.stderr);
    assert!(submitted.stderr.starts_with(&format!("job {id}\n")));
    let followed = Finished::of(following).expect_code(0);
    assert_eq!(followed.text(), expected, "{}", followed.stderr);
    Finished::of(waiting).expect_code(0);
    // One that is gone already is no hindrance to the next command.
    let echo = guest("echo_world").display().to_string();
    let done = mc(["--node", &both, "submit", &echo, "--", "next"]);
    assert!(done.expect_code(0).text().contains("next"));
}

#[test]
fn what_a_job_waits_for_is_listed_at_any_gateway() {
    let url = mc_postgres::shared().unwrap().database().unwrap();
    let a = gateway(&url).start();
    let b = gateway(&url).bootstrap(&a).start();
    let id = a.submit([guest("exit_zero").to_str().unwrap()]);
    let line = |node: &Node| {
        eventually("it is said", PATIENCE, || {
            let jobs = node.mc(["ps", "--format", "json"]).expect_code(0).json();
            let job = jobs["jobs"].get(0)?;
            assert_eq!(job["id"], id.as_str());
            Some(job["waiting_for"].as_str()?.to_owned())
        })
    };
    let waits = "no known node lends slots";
    assert_eq!((line(&a), line(&b)), (waits.into(), waits.into()));
}

#[test]
fn a_job_can_be_watched_and_called_off_at_any_gateway() {
    let url = mc_postgres::shared().unwrap().database().unwrap();
    let (a, b, worker) = two_gateways(&url);
    let id = a.submit([guest("cpu_forever").to_str().unwrap()]);
    assert_eq!(b.running(&id), worker.id);
    let begun = Instant::now();
    b.mc(["cancel", &id]).expect_code(0);
    for gateway in [&a, &b] {
        eventually("called off", PATIENCE, || {
            (gateway.status(&id)["state"] == "cancelled").then_some(())
        });
    }
    eventually("the slot is free again", PATIENCE, || {
        let nodes = a.mc(["nodes", "--format", "json"]).expect_code(0).json();
        let free =
            |node: &serde_json::Value| node["id"] == worker.id.as_str() && node["slots_free"] == 2;
        nodes["nodes"].as_array()?.iter().any(free).then_some(())
    });
    println!("called off and free again within {:?}", begun.elapsed());
}

#[test]
fn a_job_can_be_checkpointed_and_moved_at_any_gateway() {
    let url = mc_postgres::shared().unwrap().database().unwrap();
    let (a, b, first) = two_gateways(&url);
    let component = guest("ticks").display().to_string();
    let id = a.submit([&component, "--", "80", "100"]);
    assert_eq!(a.running(&id), first.id);
    let taken = b.mc(["checkpoint", "--format", "json", &id]);
    assert!(taken.expect_code(0).json()["position"].as_u64() > Some(0));
    let second = NodeOptions::new().bootstrap(&a).bootstrap(&b).start();
    b.mc(["migrate", &id, "--to", &second.id]).expect_code(0);
    assert_eq!(b.succeeded(&id)["node"], second.id.as_str());
    let refused = b.mc(["checkpoint", &id]);
    assert!(refused.stderr.contains("MC0024"), "{}", refused.stderr);
}

#[test]
fn a_gateway_that_stops_is_succeeded_at_once() {
    let url = mc_postgres::shared().unwrap().database().unwrap();
    let a = gateway_with("1h", &url).start();
    let b = gateway(&url).bootstrap(&a).start();
    let id = a.submit([guest("exit_zero").to_str().unwrap()]);
    assert_eq!(a.stop(), Some(0));
    let _worker = NodeOptions::new().bootstrap(&b).start();
    assert_eq!(b.succeeded(&id)["attempts"], 1);
}

#[test]
fn a_database_that_goes_away_loses_nothing_and_is_used_again_when_it_is_back() {
    let mut server = Server::start().unwrap();
    let url = server.database().unwrap();
    let a = NodeOptions::new()
        .flags(["--ledger", &url, "--lease-ttl", "3s", "--slots", "1"])
        .start();
    let component = guest("ticks").display().to_string();
    let before = a.submit([&component, "--", "30", "100"]);
    let waiting = a.submit([&component, "--", "2", "1"]);
    assert_eq!(a.running(&before), a.id);
    server.crash().unwrap();
    let refused = a
        .mc(["submit", "--detach", &component, "--", "4", "1"])
        .expect_code(70);
    let stderr = refused.stderr.clone();
    assert!(stderr.contains("MC0017"), "{stderr}");
    server.resume().unwrap();
    for id in [&before, &waiting] {
        assert_eq!(a.succeeded(id)["attempts"], 1);
    }
    let after = a.submit([&component, "--", "5", "1"]);
    assert_eq!(a.succeeded(&after)["state"], "succeeded");
}

#[test]
fn whoever_waits_while_the_database_is_away_is_told_how_to_go_on() {
    let mut server = Server::start().unwrap();
    let url = server.database().unwrap();
    let a = NodeOptions::new().flags(["--ledger", &url]).start();
    let component = guest("ticks").display().to_string();
    let here = std::path::Path::new(".");
    let submit = ["--node", &a.api, "submit", &component, "--", "900", "50"];
    let submitting = spawn_in(here, submit);
    let id = eventually("it runs", PATIENCE, || {
        let running = ["ps", "--state", "running", "--format", "json"];
        let jobs = a.mc(running).expect_code(0).json();
        Some(jobs["jobs"].get(0)?["id"].as_str()?.to_owned())
    });
    let following = spawn_in(here, ["--node", &a.api, "logs", "-f", &id]);
    eventually("it prints", PATIENCE, || {
        let printed = a.mc(["logs", &id]).expect_code(0).text();
        printed.lines().nth(10).map(drop)
    });
    server.crash().unwrap();
    // The job goes on, so that this is no failure after which it may be handed in again.
    for (child, again) in [(submitting, "wait"), (following, "logs -f")] {
        let done = Finished::of(child).expect_code(75);
        let again = format!("mc-wasm --node {} {again} {id}", a.api);
        assert!(done.stderr.contains(&again), "{again} in {done:#?}");
    }
    server.resume().unwrap();
    a.mc(["cancel", &id]).expect_code(0);
}

#[test]
fn a_node_does_not_wait_for_ever_for_a_database_that_says_nothing_and_can_be_stopped_meanwhile() {
    let dir = tempfile::tempdir().unwrap();
    // It takes the connection, and says nothing.
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("postgres://me@{}/jobs", silent.local_addr().unwrap());
    let typed = ["node", "--ledger", &url, "--data-dir", "."];
    for signal in [Signal::TERM, Signal::INT] {
        let child = spawn_in(dir.path(), typed);
        let _connection = silent.accept().unwrap();
        let pid = i32::try_from(child.id()).ok().and_then(Pid::from_raw);
        kill_process(pid.unwrap(), signal).unwrap();
        Finished::of(child).expect_code(0);
    }
    let refused = Finished::of(spawn_in(dir.path(), typed)).expect_code(70);
    assert!(refused.stderr.contains("MC0017"), "{refused:#?}");
}

#[test]
fn a_ledger_that_cannot_be_reached_is_named_before_the_node_starts() {
    let dir = tempfile::tempdir().unwrap();
    let url = "postgres://me:secret@127.0.0.1:1/jobs";
    let args = [
        "node",
        "--ledger",
        url,
        "--data-dir",
        dir.path().to_str().unwrap(),
    ];
    let refused = mc_conformance::mc(args).expect_code(70);
    let stderr = refused.stderr.clone();
    assert!(stderr.contains("MC0017"), "{stderr}");
    assert!(!stderr.contains("secret"), "{stderr}");
    let doctor = mc_conformance::mc_with(["doctor"], |command| {
        command.env("MC_WASM_LEDGER_URL", url);
        command.env("MC_WASM_DATA_DIR", dir.path());
        command.env("MC_WASM_NODE", "http://127.0.0.1:1,http://127.0.0.1:2");
    });
    let found = doctor.expect_code(1).text();
    assert!(found.contains("FAIL  database"), "{found}");
    assert!(!found.contains("secret"), "{found}");
    // Every node that is named, too.
    assert_eq!(found.matches("FAIL  named node").count(), 2, "{found}");
    // Whoever tries again after 70 would do so for ever.
    for wrong in ["mysql://x", "postgres//x/jobs", "postgres://x:99999/jobs"] {
        let data_dir = dir.path().to_str().unwrap();
        for args in [
            ["node", "--ledger", wrong].as_slice(),
            &["ledger", "migrate", "--to", wrong],
        ] {
            let args = args.iter().copied().chain(["--data-dir", data_dir]);
            let stderr = mc_conformance::mc(args).expect_code(2).stderr;
            let is_named = stderr.contains("MC0001") && stderr.contains("postgres://");
            assert!(is_named, "{wrong}: {stderr}");
        }
    }
    for wrong in ["http://127.0.0.1:99999", "http://a b:1"] {
        let refused = mc_conformance::mc(["--node", wrong, "ps"]).expect_code(2);
        assert!(refused.stderr.contains("MC0001"), "{}", refused.stderr);
    }
}
