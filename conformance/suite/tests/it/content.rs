//! Adding, fetching, pinning and collecting content.

use mc_conformance::NodeOptions;
use std::path::Path;

fn added(node: &mc_conformance::Node, path: &Path) -> String {
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
