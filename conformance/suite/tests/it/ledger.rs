//! What becomes of a ledger in the long run: retention, export, examination, the way to PostgreSQL.

use mc_artifacts::guest;
use mc_conformance::{NOBODY, NodeOptions, eventually, mc};
use serde_json::Value;
use std::time::Duration;

#[test]
fn jobs_that_ended_long_ago_are_archived_and_forgotten() {
    let dir = tempfile::tempdir().unwrap();
    let archive = dir.path().join("old/jobs.jsonl");
    let flags = ["--keep", "1s", "--archive", archive.to_str().unwrap()];
    let node = NodeOptions::new().flags(flags).start();
    let component = guest("echo_world").display().to_string();
    let id = node.submit([&component, "--", "kept"]);
    assert_eq!(node.succeeded(&id)["state"], "succeeded");
    let pinned = || node.mc(["pin", "ls"]).expect_code(0).text().contains(&id);
    assert!(pinned());
    eventually("it is forgotten", Duration::from_secs(20), || {
        (node.mc(["status", &id]).code == Some(66)).then_some(())
    });
    eventually("it is pinned no more", Duration::from_secs(20), || {
        (!pinned()).then_some(())
    });
    let archived = std::fs::read_to_string(&archive).unwrap();
    let lines: Vec<Value> = archived
        .lines()
        .map(|l| serde_json::from_str(l).unwrap())
        .collect();
    assert_eq!(lines.len(), 1);
    assert_eq!(lines[0]["id"], id.as_str());
    assert_eq!(lines[0]["state"], "succeeded");
}

#[test]
fn jobs_move_to_postgresql_and_go_on_there() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().to_str().unwrap();
    let node = NodeOptions::new().data_dir(dir.path()).start();
    let component = guest("echo_world").display().to_string();
    let done = node.submit([&component, "--", "before"]);
    assert_eq!(node.succeeded(&done)["state"], "succeeded");
    let label = format!("target_node={NOBODY}");
    let waiting = node.submit(["--label", &label, &component, "--", "later"]);
    let busy = mc(["ledger", "export", "--data-dir", data]);
    assert_ne!(busy.code, Some(0), "the node has it");
    assert_eq!(node.stop(), Some(0));

    let exported = mc(["ledger", "export", "--data-dir", data])
        .expect_code(0)
        .text();
    let ids: Vec<String> = exported
        .lines()
        .map(|line| {
            serde_json::from_str::<Value>(line).unwrap()["id"]
                .as_str()
                .unwrap()
                .to_owned()
        })
        .collect();
    assert_eq!(ids, [done.as_str(), waiting.as_str()]);
    let verified = mc(["ledger", "verify", "--data-dir", data, "--format", "json"]);
    assert_eq!(verified.expect_code(0).json()["jobs"], 2);
    let url = mc_postgres::shared().unwrap().database().unwrap();
    let migrate = || mc(["ledger", "migrate", "--to", &url, "--data-dir", data]).expect_code(0);
    migrate();
    migrate();

    let flags = ["--ledger", &url];
    let node = NodeOptions::new().data_dir(dir.path()).flags(flags).start();
    assert!(
        node.mc(["logs", &done])
            .expect_code(0)
            .text()
            .contains("before")
    );
    let here = node.id.clone();
    node.mc(["migrate", &waiting, "--to", &here]).expect_code(0);
    assert_eq!(node.succeeded(&waiting)["state"], "succeeded");
    assert_eq!(node.stop(), Some(0));
    // A row that somebody has changed by hand.
    let server = mc_postgres::shared().unwrap();
    let change = format!(
        "UPDATE jobs SET task_cid = (SELECT task_cid FROM jobs WHERE id = '{waiting}') WHERE id = '{done}'"
    );
    server.sql(&url, &change).unwrap();
    let config = dir.path().join("config.toml");
    std::fs::write(&config, format!("[ledger]\nurl = {url:?}\n")).unwrap();
    let args = [
        "ledger",
        "verify",
        "--data-dir",
        data,
        "--config",
        config.to_str().unwrap(),
    ];
    let damaged = mc(args).expect_code(70);
    assert!(damaged.text().contains(&done), "{damaged:?}");
    assert!(damaged.stderr.contains("MC0017"), "{damaged:?}");
}
