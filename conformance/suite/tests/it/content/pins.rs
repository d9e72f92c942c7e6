//! Pins keep content, and what nobody pins goes.

use super::added;
use mc_artifacts::guest;
use mc_conformance::{NodeOptions, mc};
use mc_types::cid;

#[test]
fn collection_spares_what_is_pinned() {
    let node = NodeOptions::new().start();
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("file");
    std::fs::write(&file, b"pinned content").unwrap();
    let cid = added(&node, &file);
    node.mc(["pin", "add", &cid, "--name", "keep"])
        .expect_code(0);
    assert!(
        node.mc(["pin", "ls"])
            .expect_code(0)
            .text()
            .contains("keep")
    );
    node.mc(["gc"]).expect_code(0);
    assert_eq!(
        node.mc(["cat", &cid]).expect_code(0).stdout,
        b"pinned content"
    );
    node.mc(["pin", "rm", "keep"]).expect_code(0);
    assert!(
        !node
            .mc(["pin", "ls"])
            .expect_code(0)
            .text()
            .contains("keep")
    );
}

#[test]
fn what_the_grace_period_keeps_is_told_and_can_go_at_once() {
    let node = NodeOptions::new().start();
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("file");
    std::fs::write(&file, vec![5; 3 << 20]).unwrap();
    let cid = added(&node, &file);
    let good = node.mc(["fsck"]).expect_code(0).text();
    assert!(
        good.starts_with("all ") && good.contains(" blocks are good"),
        "{good}"
    );
    let unpinned = node.mc(["pin", "rm", &cid]).expect_code(0);
    assert!(unpinned.stderr.contains("mc-wasm gc"), "{unpinned:#?}");
    let kept = node.mc(["gc"]).expect_code(0).text();
    assert!(
        kept.contains("removed 0 blocks") && kept.contains("gc --now"),
        "{kept}"
    );
    let gone = node
        .mc(["--format", "json", "gc", "--now"])
        .expect_code(0)
        .json();
    assert!(gone["removed_bytes"].as_u64().unwrap() >= 1 << 20, "{gone}");
    assert_eq!(gone["recent_blocks"], 0, "{gone}");
    assert_ne!(node.mc(["block", "stat", &cid]).code, Some(0));
    // The same in one command.
    let cid = added(&node, &file);
    node.mc(["pin", "rm", "--now", &cid]).expect_code(0);
    assert_ne!(node.mc(["block", "stat", &cid]).code, Some(0));
}

#[test]
fn pins_of_the_node_cannot_be_set_or_removed_by_name() {
    let node = NodeOptions::new().start();
    let id = node.submit([&*guest("exit_zero").display().to_string()]);
    node.mc(["wait", &id]).expect_code(0);
    let name = format!("job/{id}");
    assert!(node.mc(["pin", "ls"]).text().contains(&name));
    let empty = "bafkreihdwdcefgh4dqkjv67uzcmw7ojee6xedzdetojuzjevtenxquvyku";
    for args in [
        &["pin", "rm", &name][..],
        &["pin", "add", empty, "--name", &name],
        &["pin", "add", empty, "--name", "checkpoint/x"],
    ] {
        let refused = node.mc(args.iter().copied()).expect_code(2);
        assert!(refused.stderr.contains("MC0001"), "{refused:#?}");
    }
    assert!(node.mc(["pin", "ls"]).text().contains(&name));
}

/// Once, all of it was sent before the name was looked at.
#[test]
fn names_that_a_pin_cannot_have_are_refused_before_anything_is_read_or_sent() {
    let cid = cid::of(cid::RAW, b"anything").to_string();
    let long = "n".repeat(100_000);
    for name in ["job/x", "layer/x", "", &long] {
        for command in [&["add", "/nonexistent"][..], &["pin", "add", &cid]] {
            let nobody = ["--node", "http://127.0.0.1:1"];
            let typed = [&nobody[..], command, &["--name", name]].concat();
            let refused = mc(typed);
            assert_eq!(refused.code, Some(2), "{command:?} {name:.9}: {refused:#?}");
        }
    }
}

#[test]
fn a_pin_that_cannot_be_moved_stays_where_it_was() {
    let node = NodeOptions::new().start();
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("file");
    std::fs::write(&file, "kept").unwrap();
    let cid = added(&node, &file);
    node.mc(["pin", "add", &cid, "--name", "mine"])
        .expect_code(0);
    let nowhere = "bafkreibm6jg3ux5qumhcn2b3flc3tyu6dmlb4xa7u5bf44yegnrjhc4yeq";
    // Who gives up sooner, or is interrupted, tells nobody to undo anything.
    let hasty = ["pin", "add", nowhere, "--name", "mine", "--timeout", "1s"];
    node.mc(hasty).expect_code(66);
    let pins = node.mc(["pin", "ls"]).expect_code(0).text();
    assert!(pins.contains(&format!("{cid} mine")), "{pins}");
    let moved = node.mc(["pin", "add", nowhere, "--name", "mine"]);
    assert_ne!(moved.code, Some(0), "{moved:#?}");
    let pins = node.mc(["pin", "ls"]).expect_code(0).text();
    assert!(pins.contains(&format!("{cid} mine")), "{pins}");
}
