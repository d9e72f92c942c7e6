//! Adding, fetching, pinning and collecting content.

use mc_artifacts::guest;
use mc_conformance::{Node, NodeOptions, binary, eventually, mc, put};
use mc_types::{Cid, cid};
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

/// Stores a block under a codec; gives its CID.
fn store(node: &Node, codec: u64, bytes: &[u8]) -> Cid {
    let cid = cid::of(codec, bytes);
    let stored = put(&node.api, &format!("/api/v1/blocks/{cid}"), bytes);
    assert_eq!(stored.status, 201);
    cid
}

/// A directory of one entry, whose content stands in its CID: "hello".
fn directory_with_inline_entry(node: &Node) -> Cid {
    let hello: Cid = "bafkqablimvwgy3y".parse().unwrap();
    let hello = hello.to_bytes();
    let mut link = vec![0x0a, u8::try_from(hello.len()).unwrap()];
    link.extend(hello);
    link.extend([0x12, 1, b'a']);
    let mut bytes = vec![0x12, u8::try_from(link.len()).unwrap()];
    bytes.extend(link);
    bytes.extend([0x0a, 2, 8, 1]);
    store(node, cid::DAG_PB, &bytes)
}

/// Nobody has such a block, and it was waited for until patience ended.
#[test]
fn what_stands_in_a_cid_is_read_without_looking_for_it() {
    let node = NodeOptions::new().start();
    let dir = tempfile::tempdir().unwrap();
    let hello = "bafkqablimvwgy3y";
    let begun = Instant::now();
    assert_eq!(node.mc(["cat", hello]).expect_code(0).text(), "hello");
    assert_eq!(
        node.mc(["block", "get", hello]).expect_code(0).text(),
        "hello"
    );
    node.mc(["pin", "add", hello]).expect_code(0);
    let tree = directory_with_inline_entry(&node).to_string();
    assert!(
        node.mc(["ls", &tree])
            .expect_code(0)
            .text()
            .contains("5  a")
    );
    let path = format!("{tree}/a");
    assert_eq!(node.mc(["cat", &path]).expect_code(0).text(), "hello");
    let out = dir.path().join("out");
    node.mc(["get", &tree, "-o", out.to_str().unwrap()])
        .expect_code(0);
    assert_eq!(std::fs::read(out.join("a")).unwrap(), b"hello");
    // In CARs it need not be, and may be.
    let car = dir.path().join("tree.car");
    let exported = ["car", "export", &tree, "-o", car.to_str().unwrap()];
    node.mc(exported).expect_code(0);
    let mut bytes = std::fs::read(&car).unwrap();
    let inline: Cid = hello.parse().unwrap();
    let mut section = inline.to_bytes();
    section.extend(b"hello");
    bytes.push(u8::try_from(section.len()).unwrap());
    bytes.extend(section);
    std::fs::write(&car, bytes).unwrap();
    let other = NodeOptions::new().start();
    other
        .mc(["car", "import", car.to_str().unwrap()])
        .expect_code(0);
    other.mc(["gc"]).expect_code(0);
    assert_eq!(other.mc(["cat", &path]).expect_code(0).text(), "hello");
    // As inputs, here and on a node.
    let copy = guest("copy_tree").display().to_string();
    for command in ["run", "submit"] {
        let out = dir.path().join(command);
        let (file, all) = (format!("file={hello}"), format!("all={tree}"));
        let inputs = ["--input", &file, "--input", &all];
        let args = [command, "--out", out.to_str().unwrap()];
        node.mc(args.into_iter().chain(inputs).chain([copy.as_str()]))
            .expect_code(0);
        assert_eq!(std::fs::read(out.join("file")).unwrap(), b"hello");
        assert_eq!(std::fs::read(out.join("all/a")).unwrap(), b"hello");
    }
    assert!(
        begun.elapsed() < Duration::from_secs(25),
        "it was looked for"
    );
}

/// A CAR of version 2 around one of version 1, with an index of which nobody here knows anything.
fn version_2(car: &[u8]) -> Vec<u8> {
    let mut around = b"\x0a\xa1\x67version\x02".to_vec();
    around.extend([0; 16]);
    let (begins, bytes) = (60, u64::try_from(car.len()).unwrap());
    for place in [begins, bytes, begins + bytes] {
        around.extend(place.to_le_bytes());
    }
    around.resize(60, 0);
    around.extend(car);
    around.extend([0xff; 1000]);
    around
}

#[test]
fn car_files_are_imported_as_other_software_writes_them() {
    let node = NodeOptions::new().start();
    let dir = tempfile::tempdir().unwrap();
    let given = dir.path().join("given");
    std::fs::write(&given, vec![7; 3 << 20]).unwrap();
    let cid = added(&node, &given);
    let car = dir.path().join("a.car");
    let car_path = car.to_str().unwrap();
    node.mc(["car", "export", &cid, "-o", car_path])
        .expect_code(0);
    let one = std::fs::read(&car).unwrap();
    std::fs::write(&car, version_2(&one)).unwrap();
    let other = NodeOptions::new().start();
    let imported = other.mc(["car", "import", car_path]).expect_code(0);
    assert_eq!(imported.text().trim_end(), cid);
    other.mc(["gc", "--now"]).expect_code(0);
    let copy = dir.path().join("copy");
    other
        .mc(["get", &cid, "-o", copy.to_str().unwrap()])
        .expect_code(0);
    assert_eq!(std::fs::read(copy).unwrap(), vec![7; 3 << 20]);
    // One that names no roots: nothing on standard output, not even an empty line.
    std::fs::write(&car, b"\x11\xa2eroots\x80gversion\x01").unwrap();
    let imported = other.mc(["car", "import", car_path]).expect_code(0);
    assert_eq!(imported.stdout, b"");
    assert!(imported.stderr.contains("names no roots"), "{imported:?}");
    let empty = dir.path().join("empty");
    std::fs::create_dir(&empty).unwrap();
    let cid = added(&node, &empty);
    assert_eq!(node.mc(["ls", &cid]).expect_code(0).stdout, b"");
}

#[test]
fn other_hash_functions_are_verified_or_refused_at_once() {
    let node = NodeOptions::new().start();
    // "hello" by blake3 and by sha1.
    let blake3 = "bafkr4ihkr4ld3m4gqkjf4reryxsy2s5tkbxprqkow6fin2iiyvreuzzab4";
    let path = format!("/api/v1/blocks/{blake3}");
    assert_eq!(put(&node.api, &path, b"hallo").status, 400);
    assert_eq!(put(&node.api, &path, b"hello").status, 201);
    let other = NodeOptions::new().bootstrap(&node).start();
    assert_eq!(other.mc(["cat", blake3]).expect_code(0).text(), "hello");
    let begun = Instant::now();
    let sha1 = "bafkrcffk6tdb3xgf5crnvpw6b45uqlgzv2uugti";
    let dir = tempfile::tempdir().unwrap();
    let out = dir.path().join("out");
    for command in [
        &["cat"][..],
        &["ls"],
        &["stat"],
        &["get", "-o", out.to_str().unwrap()],
    ] {
        let refused = other.mc(command.iter().copied().chain([sha1]));
        let said = &refused.stderr;
        assert!(said.contains("hash function 0x11"), "{command:?}: {said}");
        assert!(!said.contains("encrypted"), "{command:?}: {said}");
        assert_eq!(refused.code, Some(65), "{command:?}: {said}");
    }
    assert!(
        begun.elapsed() < Duration::from_secs(10),
        "it was looked for"
    );
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
