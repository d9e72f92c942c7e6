//! Adding, fetching, pinning and collecting content.

mod formats;
mod pins;

use mc_artifacts::guest;
use mc_conformance::{Node, NodeOptions, binary, eventually};
use mc_types::cid;
use std::{
    ffi::OsStr,
    os::unix::{
        ffi::OsStrExt,
        fs::{PermissionsExt, symlink},
    },
    path::Path,
    time::{Duration, Instant},
};

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
fn a_file_that_is_listed_and_a_directory_that_is_printed_are_called_what_they_are() {
    let node = NodeOptions::new().start();
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("file");
    for bytes in [10, 3_000_000] {
        std::fs::write(&file, vec![7; bytes]).unwrap();
        let cid = added(&node, &file);
        let listed = node.mc(["ls", &cid]);
        assert_eq!(listed.code, Some(66), "{listed:#?}");
        assert!(listed.stderr.contains("it is a file"), "{listed:#?}");
        assert!(!listed.stderr.contains("encrypted"), "{listed:#?}");
    }
    let cid = added(&node, dir.path());
    for range in [&["--offset", "0"][..], &["--offset", "1"]] {
        let cat = ["cat", &cid].into_iter().chain(range.iter().copied());
        let printed = node.mc(cat);
        assert_eq!(printed.code, Some(66), "{printed:#?}");
        assert!(printed.stderr.contains("it is a directory"), "{printed:#?}");
    }
    // What prints a file is another command.
    let got = node.mc(["get", &cid, "-o", "-"]);
    assert_eq!(got.code, Some(2), "{got:#?}");
    assert!(got.stderr.contains("mc-wasm cat"), "{got:#?}");
}

#[test]
fn links_that_lead_out_are_refused_with_what_to_do_about_them() {
    let node = NodeOptions::new().start();
    let dir = tempfile::tempdir().unwrap();
    let tree = dir.path().join("tree");
    std::fs::create_dir(&tree).unwrap();
    std::fs::write(tree.join("file"), "text").unwrap();
    symlink("/etc", tree.join("link")).unwrap();
    let cid = added(&node, &tree);
    let out = dir.path().join("out");
    let get = ["get", &cid, "-o", out.to_str().unwrap()];
    let refused = node.mc(get);
    assert_eq!(refused.code, Some(66), "{refused:#?}");
    assert!(refused.stderr.contains("--links skip"), "{refused:#?}");
    assert!(!out.exists());
    node.mc(get.into_iter().chain(["--links", "skip"]))
        .expect_code(0);
    assert!(out.join("file").exists() && !out.join("link").is_symlink());
}

#[test]
fn whoever_waits_for_what_nobody_has_is_told_so_and_may_give_up_sooner() {
    let node = NodeOptions::new().start();
    let nowhere = cid::of(cid::RAW, b"what nobody has").to_string();
    let dir = tempfile::tempdir().unwrap();
    let out = dir.path().join("out");
    let begun = Instant::now();
    for command in [
        &["pin", "add", "--timeout", "4s", &nowhere][..],
        &[
            "get",
            "--timeout",
            "4s",
            &nowhere,
            "-o",
            out.to_str().unwrap(),
        ],
        &["ls", "--timeout", "4s", &nowhere],
        &["cat", "--timeout", "4s", &nowhere],
    ] {
        let done = node.mc(command.iter().copied());
        assert_eq!(done.code, Some(66), "{done:#?}");
        let said = format!("looking for {nowhere}: no other node is connected\n");
        assert!(done.stderr.contains(&said), "{done:#?}");
        assert!(done.stderr.contains("MC0011"), "{done:#?}");
    }
    assert!(begun.elapsed() < Duration::from_secs(60));
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

/// The names in a directory.
fn names(dir: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(dir).unwrap();
    let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let mut names: Vec<_> = names.collect();
    names.sort();
    names
}

#[test]
fn what_strangers_made_stays_in_its_directory() {
    let node = NodeOptions::new().start();
    let dir = tempfile::tempdir().unwrap();
    let tree = dir.path().join("tree");
    std::fs::create_dir_all(tree.join("deep/down")).unwrap();
    std::fs::write(tree.join("file"), "text").unwrap();
    for path in ["file", "deep"] {
        let open = std::fs::Permissions::from_mode(0o777);
        std::fs::set_permissions(tree.join(path), open).unwrap();
    }
    // Neither of them leaves the tree by its text.
    symlink("../..", tree.join("deep/down/top")).unwrap();
    symlink("deep/down/top/../../etc/hostname", tree.join("a")).unwrap();
    let added = node.mc(["add", "--preserve-mode", tree.to_str().unwrap()]);
    let added = added.expect_code(0).text();
    let cid = added.split_whitespace().next().unwrap();
    let gets = tempfile::tempdir().unwrap();
    let get = |name: &str, links: &[&str]| {
        let out = gets.path().join(name);
        let args = ["get", cid, "-o", out.to_str().unwrap()];
        let done = node.mc(args.into_iter().chain(links.iter().copied()));
        (done, out)
    };
    let (refused, _) = get("refused", &[]);
    assert_eq!(refused.code, Some(66), "{}", refused.stderr);
    assert!(names(gets.path()).is_empty());
    let (skipped, out) = get("skipped", &["--links", "skip"]);
    assert!(skipped.stderr.contains("skipped/a"), "{}", skipped.stderr);
    skipped.expect_code(0);
    assert_eq!(names(&out), ["deep", "file"]);
    let mode = |path: &Path| path.metadata().unwrap().permissions().mode() & 0o7777;
    for path in ["file", "deep"] {
        assert_eq!(
            mode(&out.join(path)) & 0o022,
            0,
            "others may write to {path}"
        );
    }
    let (kept, out) = get("kept", &["--links", "keep"]);
    kept.expect_code(0);
    assert_eq!(names(&out), ["a", "deep", "file"]);
    // The mask of the user is stronger than what somebody else wanted.
    let out = gets.path().join("masked");
    let done = std::process::Command::new("sh")
        .args(["-c", "umask 077; exec \"$@\"", "sh"])
        .arg(binary())
        .args(["--node", &node.api, "get", cid, "--links", "skip", "-o"])
        .arg(&out)
        .output()
        .unwrap();
    assert!(done.status.success(), "{done:?}");
    for path in ["file", "deep", "deep/down"] {
        assert_eq!(mode(&out.join(path)) & 0o077, 0, "{path}");
    }
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
