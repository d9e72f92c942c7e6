//! Adding, fetching, pinning and collecting content.

use mc_artifacts::guest;
use mc_conformance::{Node, NodeOptions, eventually};
use std::{ffi::OsStr, os::unix::ffi::OsStrExt, path::Path, time::Duration};

fn added(node: &Node, path: &Path) -> String {
    let text = node
        .mc(["add", path.to_str().unwrap()])
        .expect_code(0)
        .text();
    text.split_whitespace().next().unwrap().to_owned()
}

#[test]
fn well_known_content_has_its_well_known_cid() {
    let node = NodeOptions::new().start();
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("empty");
    std::fs::write(&file, b"").unwrap();
    assert_eq!(
        added(&node, &file),
        "bafkreihdwdcefgh4dqkjv67uzcmw7ojee6xedzdetojuzjevtenxquvyku"
    );
    let empty = dir.path().join("dir");
    std::fs::create_dir(&empty).unwrap();
    assert_eq!(
        added(&node, &empty),
        "bafybeiczsscdsbs7ffqz55asqdf3smv6klcw3gofszvwlyarci47bgf354"
    );
}

#[test]
fn directories_come_back_as_they_were() {
    let node = NodeOptions::new().start();
    let dir = tempfile::tempdir().unwrap();
    let tree = dir.path().join("tree");
    std::fs::create_dir_all(tree.join("a/b")).unwrap();
    std::fs::write(tree.join("a/b/c"), vec![7; 2_500_000]).unwrap();
    std::fs::write(tree.join("ünïcode name"), b"x").unwrap();
    let cid = added(&node, &tree);
    let out = dir.path().join("out");
    node.mc(["get", &cid, "-o", out.to_str().unwrap()])
        .expect_code(0);
    assert_eq!(
        std::fs::read(out.join("a/b/c")).unwrap(),
        vec![7; 2_500_000]
    );
    assert_eq!(std::fs::read(out.join("ünïcode name")).unwrap(), b"x");
}

#[test]
fn content_is_found_on_another_node_by_its_cid_alone() {
    let a = NodeOptions::new().start();
    let b = NodeOptions::new().bootstrap(&a).start();
    let c = NodeOptions::new().bootstrap(&b).start();
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("file");
    std::fs::write(&file, vec![42; 5_000_000]).unwrap();
    let cid = added(&a, &file);
    assert_eq!(
        c.mc(["cat", &cid]).expect_code(0).stdout,
        vec![42; 5_000_000]
    );
}

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
fn cids_are_all_that_add_prints_to_programs() {
    let node = NodeOptions::new().start();
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("empty");
    std::fs::write(&file, b"").unwrap();
    let empty = "bafkreihdwdcefgh4dqkjv67uzcmw7ojee6xedzdetojuzjevtenxquvyku\n";
    let path = file.to_str().unwrap();
    // On a pipe, as here, and with -q.
    for args in [&["add", path][..], &["add", "-q", path], &["add", "-"]] {
        let added = node.mc(args.iter().copied()).expect_code(0);
        assert_eq!(added.text(), empty, "{args:?}");
    }
    let hashed = node.mc(["add", "--only-hash", path]).expect_code(0);
    assert_eq!(hashed.text(), empty);
}

#[test]
fn what_cannot_be_read_is_named_and_left_out_if_that_is_wanted() {
    let node = NodeOptions::new().start();
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("good"), "x").unwrap();
    let alone = added(&node, dir.path());
    let odd = OsStr::from_bytes(b"caf\xe9");
    std::fs::write(dir.path().join(odd), "x").unwrap();
    std::os::unix::net::UnixListener::bind(dir.path().join("socket")).unwrap();
    let path = dir.path().to_str().unwrap();
    let refused = node.mc(["add", path]).expect_code(66);
    assert!(refused.stderr.contains("--skip-unreadable"), "{refused:#?}");
    assert!(refused.stderr.contains("caf\\xE9") || refused.stderr.contains("socket"));
    let skipped = node.mc(["add", "--skip-unreadable", path]).expect_code(0);
    assert_eq!(skipped.text().trim(), alone, "all else is there");
    for named in ["caf\\xE9", "socket"] {
        assert!(skipped.stderr.contains(named), "{named}: {skipped:#?}");
    }
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
    let moved = node.mc(["pin", "add", nowhere, "--name", "mine"]);
    assert_ne!(moved.code, Some(0), "{moved:#?}");
    let pins = node.mc(["pin", "ls"]).expect_code(0).text();
    assert!(pins.contains(&format!("{cid} mine")), "{pins}");
}

#[test]
fn blocks_can_be_put_looked_at_and_removed() {
    let node = NodeOptions::new().start();
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("file");
    std::fs::write(&file, b"a block").unwrap();
    let put = node
        .mc(["block", "put", file.to_str().unwrap()])
        .expect_code(0)
        .text();
    let cid = put.trim();
    assert_eq!(
        node.mc(["block", "get", cid]).expect_code(0).stdout,
        b"a block"
    );
    assert!(
        node.mc(["block", "stat", cid])
            .expect_code(0)
            .text()
            .contains('7')
    );
    node.mc(["block", "rm", cid]).expect_code(0);
    assert_ne!(node.mc(["block", "stat", cid]).code, Some(0));
}

#[test]
fn providers_are_found_in_the_dht() {
    let a = NodeOptions::new().start();
    let b = NodeOptions::new().bootstrap(&a).start();
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("file");
    std::fs::write(&file, b"provided content").unwrap();
    let cid = added(&a, &file);
    mc_conformance::eventually("a provides it", std::time::Duration::from_secs(20), || {
        let found = b.mc(["dht", "providers", "--format", "json", &cid]);
        (found.code == Some(0) && found.text().contains(&a.id)).then_some(())
    });
    assert!(b.mc(["dht", "peers"]).expect_code(0).text().contains(&a.id));
}

#[test]
fn more_than_a_store_may_hold_can_be_read_and_jobs_keep_what_they_need() {
    let dir = tempfile::tempdir().unwrap();
    let (input, other) = (dir.path().join("input"), dir.path().join("other"));
    let bytes: Vec<u8> = (0..2_500_000_u32).flat_map(u32::to_le_bytes).collect();
    std::fs::write(&input, &bytes).unwrap();
    let noise: Vec<u8> = (0..25_000_000_u32)
        .flat_map(|n| n.wrapping_mul(0x9e37_79b9).to_le_bytes())
        .collect();
    std::fs::write(&other, noise).unwrap();
    let config = dir.path().join("config.toml");
    std::fs::write(&config, "content.max = \"64MiB\"\n").unwrap();
    let flags = ["--no-execute", "--lease-ttl", "2s", "--config"];
    let a = NodeOptions::new()
        .flags(flags.into_iter().chain([config.to_str().unwrap()]))
        .start();
    let c = NodeOptions::new()
        .bootstrap(&a)
        .flags(["--no-execute"])
        .start();
    let large = added(&c, &other);

    // One that waits, and one that runs and has left checkpoints.
    let copy = guest("copy_tree").display().to_string();
    let named = format!("data={}", input.display());
    let require = ["--require", "late=yes", "--input", &named, &copy];
    let waiting = a.submit(require);
    let first = NodeOptions::new().bootstrap(&a).start();
    let ticks = guest("ticks").display().to_string();
    let every = ["--checkpoint-every", "500ms", &ticks, "--", "60", "100"];
    let running = a.submit(every);
    let taken = |node: &Node| {
        let list = node.mc(["--format", "json", "checkpoints", &running]);
        let list = list.expect_code(0).json();
        list["checkpoints"].as_array().unwrap().len()
    };
    eventually("checkpoints", Duration::from_secs(30), || {
        (taken(&a) > 1).then_some(())
    });
    // Far more than there is room for passes through the node.
    let read = a.mc(["cat", &large]).expect_code(0).stdout;
    assert_eq!(read.len(), 100_000_000);
    c.kill();
    first.kill();
    let gone = a.mc(["cat", &large, "--timeout", "2s"]);
    assert_ne!(gone.code, Some(0), "there is no room for all of it");

    let second = NodeOptions::new()
        .bootstrap(&a)
        .flags(["--label", "late=yes"])
        .start();
    let done = a.succeeded(&running);
    assert_eq!(done["attempts"], 2);
    let out = dir.path().join("out");
    let _ = a.succeeded(&waiting);
    a.mc(["result", &waiting, "--out", out.to_str().unwrap()])
        .expect_code(0);
    assert!(std::fs::read(out.join("data")).unwrap() == bytes);
    drop(second);
}
