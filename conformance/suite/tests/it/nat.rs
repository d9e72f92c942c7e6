//! Nodes behind routers that let nobody in. The networks are ones that the test makes itself.

use mc_artifacts::guest;
use mc_conformance::{Namespace, Node, NodeOptions, eventually, privileged};
use serde_json::Value;
use std::time::Duration;

/// Within this all nodes know how they can be reached.
const TO_FIND_OUT: Duration = Duration::from_secs(40);

/// A machine at an address of its own, and two behind one router each. Between them is only the first.
struct Internet {
    public: Namespace,
    hosts: [Namespace; 2],
    _routers: [Namespace; 2],
}

const PUBLIC: &str = "203.0.113.1";

impl Internet {
    fn new() -> Self {
        let public = Namespace::new();
        let [first, second] = [
            (PUBLIC, "203.0.113.2", "10.0.1"),
            ("198.51.100.1", "198.51.100.2", "10.0.2"),
        ]
        .map(|(at_public, outside, inside)| {
            let (router, host) = (Namespace::new(), Namespace::new());
            let port = if at_public == PUBLIC { "left" } else { "right" };
            public.connect(
                (port, &format!("{at_public}/24")),
                &router,
                ("wan", &format!("{outside}/24")),
            );
            router.connect(
                ("lan", &format!("{inside}.1/24")),
                &host,
                ("lan", &format!("{inside}.2/24")),
            );
            router.default_route(at_public);
            router.masquerade("wan");
            host.default_route(&format!("{inside}.1"));
            (router, host)
        });
        public.forward();
        Self {
            public,
            hosts: [first.1, second.1],
            _routers: [first.0, second.0],
        }
    }
}

fn start(namespace: &Namespace, ip: &str, bootstrap: Option<&Node>, flags: &[&str]) -> Node {
    let quic = format!("/ip4/{ip}/udp/7781/quic-v1");
    let options = NodeOptions {
        namespace: Some(namespace.name().to_owned()),
        ip: Some(ip.to_owned()),
        ..NodeOptions::new()
            .port(7781)
            .flags(["--listen", &quic])
            .flags(flags.iter().copied())
    };
    match bootstrap {
        Some(node) => options.bootstrap(node).start(),
        None => options.start(),
    }
}

/// What `doctor` says of how others can connect to a node, in which namespace that is.
fn reachability(node: &Node) -> Option<Value> {
    let directory = node.data_dir().to_str()?;
    let checks = node.mc(["doctor", "--data-dir", directory, "--format", "json"]);
    let checks = checks.json();
    let mut checks = checks.as_array()?.iter();
    checks
        .find(|check| check["what"] == "reachability")
        .cloned()
}

fn eventually_found(node: &Node, verdict: &str, text: &str) {
    eventually(text, TO_FIND_OUT, || {
        let check = reachability(node)?;
        let found = check["found"].as_str()?;
        (check["verdict"] == verdict && found.contains(text)).then_some(())
    });
}

#[test]
fn nodes_behind_routers_are_found_and_meet_and_work_for_each_other() {
    privileged(|| {
        let internet = Internet::new();
        let [left, right] = &internet.hosts;
        let public = start(&internet.public, PUBLIC, None, &["--no-execute"]);
        let worker = start(right, "10.0.2.2", Some(&public), &[]);
        let gateway = start(left, "10.0.1.2", Some(&public), &["--no-execute"]);
        for node in [&worker, &gateway] {
            eventually_found(node, "warn", &format!("by way of {}", public.id));
        }
        let job = guest("exit_zero").display().to_string();
        let done = gateway.mc(["submit", "--format", "json", &job]);
        let done = done.expect_code(0).json();
        assert_eq!(done["node"].as_str(), Some(&*worker.id), "{done:#}");
        // Both dial each other at the same time, so that either router takes it for an answer.
        eventually("a direct connection", Duration::from_secs(20), || {
            let nodes = gateway.mc(["nodes", "--format", "json"]).json();
            let mut nodes = nodes["nodes"].as_array()?.iter();
            let other = nodes.find(|node| node["id"].as_str() == Some(&*worker.id))?;
            (other["relayed"] == false).then_some(())
        });
    });
}

#[test]
fn a_node_that_others_reach_says_where() {
    let public = NodeOptions::new().flags(["--no-execute"]).start();
    let other = NodeOptions::new().bootstrap(&public).start();
    for node in [&other, &public] {
        eventually_found(node, "ok", "others connect to /ip4/127.0.0.1/tcp/");
    }
}
