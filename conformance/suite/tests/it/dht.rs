//! What the DHT knows: which nodes are idle, and what jobs came to whose gateway is away.

use mc_artifacts::guest;
use mc_conformance::{Node, NodeOptions, eventually};
use std::time::{Duration, Instant};

/// A node says what it is some seconds after its start.
const PATIENCE: Duration = Duration::from_secs(40);

/// The ids of the nodes that `node` finds.
fn found(node: &Node, filter: &[&str]) -> Vec<String> {
    let args = ["nodes", "--format", "json"].into_iter();
    let nodes = node
        .mc(args.chain(filter.iter().copied()))
        .expect_code(0)
        .json();
    let id = |node: &serde_json::Value| node["id"].as_str().unwrap().to_owned();
    nodes["nodes"].as_array().unwrap().iter().map(id).collect()
}

#[test]
fn idle_nodes_are_found_by_what_they_are() {
    let hub = NodeOptions::new().flags(["--no-execute"]).start();
    let big = NodeOptions::new()
        .bootstrap(&hub)
        .flags(["--slots", "1", "--label", "room=cellar"])
        .start();
    let other = NodeOptions::new()
        .bootstrap(&hub)
        .flags(["--slots", "1"])
        .start();
    let seeker = NodeOptions::new()
        .bootstrap(&hub)
        .flags(["--no-execute"])
        .start();
    eventually("both are found", PATIENCE, || {
        let all = found(&seeker, &["--idle"]);
        (all.contains(&big.id) && all.contains(&other.id)).then_some(())
    });
    assert_eq!(
        found(&seeker, &["--idle", "--label", "room=cellar"]),
        [big.id.as_str()]
    );
    assert_eq!(found(&seeker, &["--memory", "100TiB"]), [""; 0]);
    assert_eq!(found(&seeker, &["--gpu"]), [""; 0]);
    // One that is busy says so when it is asked, whatever the DHT has.
    let label = format!("target_node={}", big.id);
    let component = guest("cpu_forever").display().to_string();
    let busy = hub.submit(["--label", &label, &component]);
    assert_eq!(hub.running(&busy), big.id);
    assert!(!found(&seeker, &["--idle"]).contains(&big.id));
    assert!(found(&seeker, &["--find"]).contains(&big.id));
    hub.mc(["cancel", &busy]).expect_code(0);
}

#[test]
fn the_result_of_a_job_can_be_had_by_its_id_while_its_gateway_is_away() {
    let hub = NodeOptions::new().flags(["--no-execute"]).start();
    let gateway = NodeOptions::new()
        .bootstrap(&hub)
        .flags(["--no-execute", "--lease-ttl", "3s"])
        .start();
    let worker = NodeOptions::new()
        .bootstrap(&hub)
        .bootstrap(&gateway)
        .flags(["--slots", "1"])
        .start();
    let anybody = NodeOptions::new()
        .bootstrap(&hub)
        .flags(["--no-execute"])
        .start();
    let id = gateway.submit([guest("ticks").to_str().unwrap(), "--", "20", "100"]);
    assert_eq!(gateway.running(&id), worker.id);
    anybody.mc(["status", &id]).expect_code(66);
    let gateway_id = gateway.id.clone();
    gateway.kill();
    let status = eventually("the worker has said so", PATIENCE, || {
        let status = anybody.mc(["status", "--format", "json", &id]);
        (status.code == Some(0)).then(|| status.json())
    });
    assert_eq!(status["state"], "succeeded");
    assert_eq!(status["node"], worker.id.as_str());
    assert!(
        status["message"].as_str().unwrap().contains(&gateway_id),
        "{status}"
    );
    for command in ["why", "cancel"] {
        // What only its coordinator can tell or do.
        let refused = anybody.mc([command, &id]).expect_code(66);
        let said = refused.stderr.contains("is succeeded") && refused.stderr.contains(&gateway_id);
        assert!(said, "{}", refused.stderr);
    }
    let expected: String = (0..20).map(|n| format!("tick {n}\n")).collect();
    assert_eq!(anybody.mc(["logs", &id]).expect_code(0).text(), expected);
    let dir = tempfile::tempdir().unwrap();
    let out = dir.path().join("out");
    anybody
        .mc(["result", &id, "--out", out.to_str().unwrap()])
        .expect_code(0);
    assert!(out.is_dir());
}

#[test]
fn a_node_finds_back_into_the_network_without_its_bootstrap_peer() {
    let dir = tempfile::tempdir().unwrap();
    let hub = NodeOptions::new().flags(["--no-execute"]).start();
    let friend = NodeOptions::new()
        .bootstrap(&hub)
        .flags(["--no-execute"])
        .start();
    let connected = |node: &Node, other: &Node| {
        eventually("connected", PATIENCE, || {
            let nodes = node.mc(["nodes", "--format", "json"]).expect_code(0).json();
            let nodes = nodes["nodes"].as_array()?.clone();
            nodes
                .iter()
                .any(|node| node["id"] == other.id.as_str())
                .then_some(())
        });
    };
    let node = NodeOptions::new()
        .data_dir(dir.path())
        .bootstrap(&hub)
        .start();
    connected(&node, &friend);
    assert_eq!(node.stop(), Some(0));
    hub.kill();
    let node = NodeOptions::new().data_dir(dir.path()).start();
    connected(&node, &friend);
}

#[test]
fn the_state_of_a_job_can_be_asked_for_at_any_node() {
    let gateway = NodeOptions::new().start();
    let other = NodeOptions::new()
        .bootstrap(&gateway)
        .flags(["--no-execute"])
        .start();
    let component = guest("ticks").display().to_string();
    let id = gateway.submit([&*component, "--", "1", "16000"]);
    eventually("it is known to run", Duration::from_secs(40), || {
        let view = other.mc(["status", "--format", "json", &id]);
        (view.code == Some(0) && view.json()["state"] == "running").then_some(())
    });
    // Whoever waits elsewhere sees it end, and has its result.
    let ended = other.succeeded(&id);
    let result = gateway.succeeded(&id);
    assert_eq!(ended["outcome_cid"], result["outcome_cid"]);
    let logs = |node: &mc_conformance::Node| node.mc(["logs", &id]).expect_code(0).stdout;
    assert_eq!(logs(&other), logs(&gateway));
}

#[test]
fn the_node_that_ran_a_job_tells_of_it_at_once_while_its_gateway_is_away() {
    // Nobody else is there whom it could ask.
    let gateway = NodeOptions::new()
        .flags(["--no-execute", "--lease-ttl", "3s"])
        .start();
    let worker = NodeOptions::new()
        .bootstrap(&gateway)
        .flags(["--slots", "2"])
        .start();
    let ticks = |count: usize| -> String { (0..count).map(|n| format!("tick {n}\n")).collect() };
    let component = guest("ticks").display().to_string();
    let over = gateway.submit([&*component, "--", "3", "10"]);
    assert_eq!(gateway.succeeded(&over)["node"], worker.id.as_str());
    let runs = gateway.submit([&*component, "--", "60", "100"]);
    assert_eq!(gateway.running(&runs), worker.id);
    gateway.kill();

    let begun = Instant::now();
    let status = worker.status(&runs);
    assert_eq!(status["state"], "running", "{status}");
    let logs = worker.mc(["logs", &over]).expect_code(0);
    assert_eq!(logs.text(), ticks(3));
    let status = worker.status(&over);
    assert_eq!(status["state"], "succeeded", "{status}");
    let dir = tempfile::tempdir().unwrap();
    let out = dir.path().join("out");
    let result = ["result", &over, "--out", out.to_str().unwrap()];
    worker.mc(result).expect_code(0);
    assert!(out.is_dir());
    let took = begun.elapsed();
    assert!(took < Duration::from_secs(5), "{took:?}");

    // Whoever follows what runs there sees all of it, and whoever waits sees it end.
    let followed = worker.mc(["logs", "-f", &runs]).expect_code(0);
    assert_eq!(followed.text(), ticks(60));
    assert_eq!(worker.succeeded(&runs)["node"], worker.id.as_str());
}
