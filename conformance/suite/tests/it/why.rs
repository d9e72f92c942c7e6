//! Why a job waits, and which jobs are refused since they would wait for ever.

use crate::wasm;
use mc_conformance::{NOBODY, Node, NodeOptions, eventually};
use std::time::Duration;

const PATIENCE: Duration = Duration::from_secs(30);

/// A gateway that runs nothing, and two workers in the attic that it knows.
fn attic() -> (Node, [Node; 2]) {
    let gateway = NodeOptions::new().flags(["--no-execute"]).start();
    let workers = [1, 2].map(|_| {
        let flags = ["--label", "room=attic", "--slots", "1"];
        NodeOptions::new().bootstrap(&gateway).flags(flags).start()
    });
    eventually("the gateway knows both", PATIENCE, || {
        let nodes = gateway.mc(["nodes", "--format", "json"]).expect_code(0);
        let nodes = nodes.json();
        let lending = nodes["nodes"].as_array()?.iter();
        (lending.filter(|node| node["slots_total"] == 1).count() == 2).then_some(())
    });
    (gateway, workers)
}

#[test]
fn a_job_that_no_node_can_run_says_so_wherever_it_is_looked_at() {
    let (gateway, _workers) = attic();
    let component = wasm("exit_zero");
    let args = ["submit", "--detach", "--require", "room=cellar", &component];
    let submitted = gateway.mc(args).expect_code(0);
    let id = submitted.text().trim().to_owned();
    let line =
        "3 lack the label room=cellar; 2 nodes could without room=cellar (some have room=attic)";
    assert!(submitted.stderr.contains(line), "{}", submitted.stderr);
    let hint = format!("why {id}");
    assert!(submitted.stderr.contains(&hint), "{}", submitted.stderr);
    for args in [&["status", &id][..], &["ps"], &["why", &id]] {
        let text = gateway.mc(args.iter().copied()).expect_code(0).text();
        assert!(text.contains(line), "{args:?}: {text}");
    }
    assert!(
        gateway.status(&id)["waiting_for"]
            .as_str()
            .unwrap()
            .contains(line)
    );
    let why = gateway.mc(["--format", "json", "why", &id]).expect_code(0);
    let why = why.json();
    assert_eq!((&why["able"], &why["nodes"]), (&0.into(), &3.into()));
    assert_eq!(why["nearest"]["nodes"], 2);
    let lacks = why["lacks"].as_array().unwrap();
    let label = lacks
        .iter()
        .find(|lack| lack["clause"]["label"]["name"] == "room");
    assert_eq!(label.unwrap()["nodes"], 3);

    // Whoever waits for it is told too, and so is who gave up.
    let args = [
        "--require",
        "room=cellar",
        "--queue-timeout",
        "3s",
        &component,
    ];
    let gave_up = gateway
        .mc(["submit"].into_iter().chain(args))
        .expect_code(124);
    let lines = gave_up.stderr.lines().filter(|said| said.contains(line));
    assert_eq!(lines.count(), 2, "{}", gave_up.stderr);
    gateway.mc(["cancel", &id]).expect_code(0);
    let over = gateway.mc(["why", &id]).expect_code(66);
    assert!(over.stderr.contains("cancelled"), "{}", over.stderr);
}

#[test]
fn a_job_that_waits_for_its_turn_says_who_goes_first() {
    let (gateway, _workers) = attic();
    let ticks = wasm("ticks");
    let submit = |priority| gateway.submit(["--priority", priority, &ticks, "--", "100", "100"]);
    let running = [submit("5"), submit("5")];
    for id in &running {
        let _ = gateway.running(id);
    }
    let (first, second) = (submit("9"), submit("5"));
    let text = gateway.mc(["why", &second]).expect_code(0).text();
    assert!(
        text.contains("2 nodes can run it: 2 lack a free slot"),
        "{text}"
    );
    assert!(
        text.contains("1 job goes first: 1 of higher priority"),
        "{text}"
    );
    assert!(text.contains(&format!("{first} is the first")), "{text}");
    let text = gateway.mc(["why", &running[0]]).expect_code(0).text();
    assert!(text.contains("is running on"), "{text}");
}

#[test]
fn a_job_for_a_node_that_cannot_be_or_cannot_run_it_is_refused() {
    let (gateway, workers) = attic();
    let component = wasm("exit_zero");
    let submit = |target: &str, more: &[&str]| {
        let label = format!("target_node={target}");
        let args = ["submit", "--detach", "--label", &label];
        let args = args.into_iter().chain(more.iter().copied());
        gateway.mc(args.chain([component.as_str()]))
    };
    let wrong = submit("a/b", &[]).expect_code(2);
    assert!(wrong.stderr.contains("target_node"), "{}", wrong.stderr);
    let wrong = submit("abc", &[]).expect_code(65);
    assert!(wrong.stderr.contains("MC0015"), "{}", wrong.stderr);
    assert!(
        wrong.stderr.contains("not the id of a node"),
        "{}",
        wrong.stderr
    );
    // The gateway runs nothing, and the workers are in the attic.
    let wrong = submit(&gateway.id, &[]).expect_code(65);
    assert!(wrong.stderr.contains("slots"), "{}", wrong.stderr);
    let wrong = submit(&workers[0].id, &["--require", "room=cellar"]).expect_code(65);
    assert!(wrong.stderr.contains("room=cellar"), "{}", wrong.stderr);
    assert_eq!(gateway.mc(["ps"]).expect_code(0).text().lines().count(), 1);
    // One that is not known may come.
    let waits = submit(NOBODY, &[]).expect_code(0);
    assert!(waits.stderr.contains(NOBODY), "{}", waits.stderr);
}
