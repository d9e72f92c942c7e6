//! On one local network no bootstrap is needed. The network is one that the test makes itself.

use mc_artifacts::guest;
use mc_conformance::{Namespace, binary, eventually, privileged};
use serde_json::Value;
use std::{
    process::{Child, Stdio},
    time::Duration,
};

struct Process(Child);

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn nodes_on_one_local_network_find_each_other() {
    privileged(|| {
        let lan = [Namespace::new(), Namespace::new()];
        lan[0].connect(("lan0", "10.77.0.1/24"), &lan[1], ("lan0", "10.77.0.2/24"));
        let command = |end: usize| lan[end].command(binary().to_str().unwrap());
        let dirs = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
        let start = |end: usize, flags: &[&str]| {
            let mut command = command(end);
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
            let mut command = command(0);
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
    });
}
