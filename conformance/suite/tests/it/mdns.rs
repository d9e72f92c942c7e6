//! On one local network no bootstrap is needed. The network is one that the test makes itself.

use mc_artifacts::guest;
use mc_conformance::{binary, eventually};
use serde_json::Value;
use std::{
    process::{Child, Command, Stdio},
    time::Duration,
};

/// Two network namespaces with a virtual cable between them; removed when dropped.
struct Lan {
    names: [String; 2],
}

fn ip(args: &[&str]) {
    let done = Command::new("ip").args(args).status();
    let ok = done.is_ok_and(|status| status.success());
    assert!(
        ok,
        "`ip {}` failed: this test needs root and the package iproute2",
        args.join(" ")
    );
}

impl Lan {
    fn new() -> Self {
        let names = ["a", "b"].map(|end| format!("mcw{}{end}", std::process::id()));
        let [a, b] = &names;
        ip(&["netns", "add", a]);
        ip(&["netns", "add", b]);
        let cable = ["veth", "peer", "name", "lan0", "netns", b];
        ip(&[&["link", "add", "lan0", "netns", a, "type"][..], &cable].concat());
        for (name, address) in [(a, "10.77.0.1/24"), (b, "10.77.0.2/24")] {
            ip(&["-n", name, "addr", "add", address, "dev", "lan0"]);
            ip(&["-n", name, "link", "set", "lan0", "up", "multicast", "on"]);
            ip(&["-n", name, "link", "set", "lo", "up"]);
        }
        Self { names }
    }

    fn mc(&self, end: usize) -> Command {
        let mut command = Command::new("ip");
        command
            .args(["netns", "exec", &self.names[end]])
            .arg(binary());
        command.stdin(Stdio::null());
        command
    }
}

impl Drop for Lan {
    fn drop(&mut self) {
        for name in &self.names {
            let _ = Command::new("ip").args(["netns", "del", name]).status();
        }
    }
}

struct Process(Child);

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn nodes_on_one_local_network_find_each_other() {
    let lan = Lan::new();
    let dirs = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
    let start = |end: usize, flags: &[&str]| {
        let mut command = lan.mc(end);
        command
            .arg("node")
            .arg("--data-dir")
            .arg(dirs[end].path())
            .args(flags);
        command.stdout(Stdio::null()).stderr(Stdio::null());
        Process(command.spawn().unwrap())
    };
    let _a = start(0, &["--no-execute"]);
    let _b = start(1, &[]);
    let mc = |args: &[&str]| {
        let mut command = lan.mc(0);
        command.arg("--data-dir").arg(dirs[0].path()).args(args);
        command.output().unwrap()
    };
    eventually("b lends its slots to a", Duration::from_secs(40), || {
        if !dirs[0].path().join("node.json").exists() {
            return None;
        }
        let nodes = mc(&["nodes", "--format", "json"]);
        let nodes: Value = serde_json::from_slice(&nodes.stdout).ok()?;
        let lends = |node: &Value| {
            node["this_node"] == false && node["slots_total"].as_u64().unwrap_or(0) > 0
        };
        nodes["nodes"].as_array()?.iter().any(lends).then_some(())
    });
    let done = mc(&["submit", guest("exit_zero").to_str().unwrap()]);
    assert!(
        done.status.success(),
        "{}",
        String::from_utf8_lossy(&done.stderr)
    );
}
