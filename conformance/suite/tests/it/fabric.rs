//! Several nodes: one grants, another runs, a third fetches.

use mc_artifacts::guest;
use mc_conformance::{Node, NodeOptions, eventually, mc};
use std::time::Duration;

/// Waits until `a` counts `n` nodes with slots besides itself.
fn lenders(a: &Node, n: usize) {
    eventually(
        "the other nodes lend their slots",
        Duration::from_secs(30),
        || {
            let nodes = a.mc(["nodes", "--format", "json"]).expect_code(0).json();
            let lends = |node: &&serde_json::Value| {
                node["this_node"] == false && node["slots_total"].as_u64().unwrap_or(0) > 0
            };
            (nodes["nodes"]
                .as_array()
                .unwrap()
                .iter()
                .filter(lends)
                .count()
                >= n)
                .then_some(())
        },
    );
}

#[test]
fn a_job_of_one_node_is_executed_by_another_and_fetched_by_a_third() {
    let a = NodeOptions::new().flags(["--no-execute"]).start();
    let b = NodeOptions::new().bootstrap(&a).start();
    let c = NodeOptions::new()
        .bootstrap(&a)
        .flags(["--no-execute"])
        .start();
    lenders(&a, 1);
    let dir = tempfile::tempdir().unwrap();
    let input = dir.path().join("input");
    std::fs::create_dir_all(input.join("deep/er")).unwrap();
    // Larger than a block, so that files of several blocks cross the network too.
    let large: Vec<u8> = (0..3_000_000u32).flat_map(|n| n.to_le_bytes()).collect();
    std::fs::write(input.join("large"), &large).unwrap();
    std::fs::write(input.join("deep/er/small"), b"small").unwrap();
    std::fs::write(input.join("deep/empty"), b"").unwrap();
    let tree = format!("tree={}", input.display());
    let component = guest("copy_tree").display().to_string();
    let done = a
        .mc(["submit", "--format", "json", "--input", &tree, &component])
        .expect_code(0)
        .json();
    assert_eq!(
        done["node"],
        b.id.as_str(),
        "executed by the node that has slots"
    );
    let outputs = done["outputs_cid"].as_str().unwrap();
    let fetched = dir.path().join("fetched");
    c.mc(["get", outputs, "-o", fetched.to_str().unwrap()])
        .expect_code(0);
    assert_eq!(std::fs::read(fetched.join("tree/large")).unwrap(), large);
    assert_eq!(
        std::fs::read(fetched.join("tree/deep/er/small")).unwrap(),
        b"small"
    );
    assert_eq!(std::fs::read(fetched.join("tree/deep/empty")).unwrap(), b"");
    let stdout = done["stdout_cid"].as_str().unwrap();
    let from_c = c.mc(["cat", stdout]).expect_code(0).stdout;
    assert_eq!(
        from_c,
        a.mc(["logs", done["id"].as_str().unwrap()])
            .expect_code(0)
            .stdout
    );
}

#[test]
fn results_survive_the_node_that_made_them() {
    let a = NodeOptions::new().flags(["--no-execute"]).start();
    let b = NodeOptions::new().bootstrap(&a).start();
    lenders(&a, 1);
    let component = guest("echo_world").display().to_string();
    let done = a
        .mc(["submit", "--format", "json", &component, "--", "kept"])
        .expect_code(0)
        .json();
    b.kill();
    let id = done["id"].as_str().unwrap();
    assert!(a.mc(["logs", id]).expect_code(0).text().contains("kept"));
}

#[test]
fn a_label_names_the_node_that_must_run_the_job() {
    let a = NodeOptions::new().start();
    let b = NodeOptions::new().bootstrap(&a).start();
    let c = NodeOptions::new().bootstrap(&a).start();
    lenders(&a, 2);
    let component = guest("exit_zero").display().to_string();
    for node in [&b, &c, &a] {
        let label = format!("target_node={}", node.id);
        let done = a
            .mc(["submit", "--format", "json", "--label", &label, &component])
            .expect_code(0)
            .json();
        assert_eq!(done["node"], node.id.as_str());
    }
}

#[test]
fn nodes_of_different_networks_do_not_meet() {
    let a = NodeOptions::new().flags(["--network", "red"]).start();
    let b = NodeOptions::new()
        .bootstrap(&a)
        .flags(["--network", "blue"])
        .start();
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("secret");
    std::fs::write(&file, b"of the red network").unwrap();
    let added = a.mc(["add", file.to_str().unwrap()]).expect_code(0).text();
    let cid = added.split_whitespace().next().unwrap();
    let out = dir.path().join("out");
    let got = b.mc(["get", cid, "-o", out.to_str().unwrap(), "--timeout", "3s"]);
    assert_ne!(got.code, Some(0), "{got:#?}");
    assert!(!out.exists());
}

#[test]
fn nodes_learn_of_each_other_through_a_common_bootstrap_peer() {
    let hub = NodeOptions::new().flags(["--no-execute"]).start();
    let a = NodeOptions::new()
        .bootstrap(&hub)
        .flags(["--no-execute"])
        .start();
    let b = NodeOptions::new().bootstrap(&hub).start();
    lenders(&a, 1);
    let component = guest("exit_zero").display().to_string();
    let done = a
        .mc(["submit", "--format", "json", &component])
        .expect_code(0)
        .json();
    assert_eq!(done["node"], b.id.as_str());
}

#[test]
fn a_stopping_node_hands_its_jobs_back_at_once() {
    let a = NodeOptions::new()
        .flags(["--no-execute", "--lease-ttl", "1h"])
        .start();
    let b = NodeOptions::new().bootstrap(&a).start();
    lenders(&a, 1);
    let component = guest("ticks").display().to_string();
    let id = &a.submit([&component, "--", "100", "50"]);
    assert_eq!(a.running(id), b.id);
    assert_eq!(b.stop(), Some(0));
    // With an hour's lease, only a release can bring it here.
    let c = NodeOptions::new().bootstrap(&a).start();
    let done = a.succeeded(id);
    assert_eq!(done["node"], c.id.as_str());
    assert_eq!(done["attempts"], 2);
}

#[test]
fn a_node_says_why_it_cannot_use_a_peer_and_doctor_tests_each() {
    let [gone, other] = [NodeOptions::new().start(), NodeOptions::new().start()];
    let (nowhere, other_id) = (gone.addresses[0].clone(), other.id.clone());
    gone.kill();
    other.kill();
    let good = NodeOptions::new().start();
    let red = NodeOptions::new().flags(["--network", "red"]).start();
    let (place, _) = good.addresses[0].rsplit_once("/p2p/").unwrap();
    let misnamed = format!("{place}/p2p/{other_id}");
    // What is in the way of each.
    let troubles = [
        (nowhere, "refused".to_owned()),
        (red.addresses[0].clone(), "\"red\"".to_owned()),
        (misnamed, good.id.clone()),
    ];
    let mut options = NodeOptions::new();
    options
        .bootstrap
        .extend(troubles.iter().map(|(address, _)| address.clone()));
    let node = options.bootstrap(&good).start();
    for (address, reason) in &troubles {
        eventually("the node says so", Duration::from_secs(30), || {
            let said = node.said();
            let mut lines = said.lines();
            let told = |line: &str| line.contains(address) && line.contains(reason);
            lines.any(told).then_some(())
        });
    }
    lenders(&node, 1);
    assert!(!node.said().contains(&good.addresses[0]), "{}", node.said());

    // With the node, which knows whom it was told of; and without one, of whoever is configured.
    let running = node.data_dir().display().to_string();
    let empty = tempfile::tempdir().unwrap();
    let empty = empty.path().display().to_string();
    let all = troubles.iter().map(|(address, _)| address);
    let all = all.chain([&good.addresses[0]]);
    let named: Vec<&str> = all.flat_map(|address| ["--bootstrap", address]).collect();
    for (dir, flags) in [(running, &[][..]), (empty, &named[..])] {
        // A node of another network may hang up before it has said which that is: then doctor cannot tell.
        let checked = eventually("doctor says so", Duration::from_secs(60), || {
            let args = ["doctor", "--data-dir", &dir].into_iter();
            let done = mc(args.chain(flags.iter().copied())).expect_code(1);
            let checked = done.text();
            checked.contains("\"red\"").then_some(checked)
        });
        let line = |address: &str| {
            let mut lines = checked.lines();
            let line = lines.find(|line| line.contains("peer") && line.contains(address));
            line.unwrap_or_else(|| panic!("{address} in {checked}"))
        };
        for (address, reason) in &troubles {
            let line = line(address);
            assert!(
                line.starts_with("FAIL") && line.contains(reason),
                "{checked}"
            );
        }
        assert!(line(&good.addresses[0]).starts_with("ok"), "{checked}");
        assert!(checked.contains("--network"), "{checked}");
        // A bootstrap address need not say who is there.
        let whoever = mc(["doctor", "--data-dir", &dir, "--bootstrap", place]);
        let found = format!("{place} is there");
        assert!(whoever.text().contains(&found), "{whoever:#?}");
    }
}
