//! `/ipfs` as the specification of trustless gateways has it, and nodes as gateways of each other.

use mc_conformance::{Answer, Node, NodeOptions, ask};
use std::{fs, path::Path};

const CAR: &str = "application/vnd.ipld.car";
const RAW: &str = "application/vnd.ipld.raw";

/// A node with a directory, and the CID of that: a file of three blocks, a small one, and a sharded
/// directory.
fn served(dir: &Path) -> (Node, String, Vec<u8>) {
    let tree = dir.join("tree");
    fs::create_dir_all(tree.join("many")).unwrap();
    let large: Vec<u8> = (0..2_500_000_u32).map(|i| (i % 251) as u8).collect();
    fs::write(tree.join("large"), &large).unwrap();
    fs::write(tree.join("small file"), "small").unwrap();
    for number in 0..6_000 {
        fs::write(
            tree.join(format!("many/{number}-with-a-name")),
            number.to_string(),
        )
        .unwrap();
    }
    let node = NodeOptions::new().start();
    let added = node.mc(["add", tree.to_str().unwrap()]).expect_code(0);
    let cid = added.text().split_whitespace().next().unwrap().to_owned();
    (node, cid, large)
}

fn get(node: &Node, path: &str, headers: &[(&str, &str)]) -> Answer {
    ask(&node.api, "GET", path, headers)
}

/// How many blocks a CAR has, and the CIDs of the raw ones that begin with these bytes.
fn blocks(car: &[u8]) -> usize {
    let mut rest = car;
    let mut frames = 0;
    while !rest.is_empty() {
        let (length, after) = unsigned_varint(rest);
        rest = &after[length..];
        frames += 1;
    }
    // The first is the header.
    frames - 1
}

fn unsigned_varint(bytes: &[u8]) -> (usize, &[u8]) {
    let mut value = 0;
    for (place, byte) in bytes.iter().enumerate() {
        value |= usize::from(byte & 0x7f) << (7 * place);
        if byte & 0x80 == 0 {
            return (value, &bytes[place + 1..]);
        }
    }
    (0, &[])
}

#[test]
fn blocks_cars_and_files_are_what_the_specification_says() {
    let dir = tempfile::tempdir().unwrap();
    let (node, cid, large) = served(dir.path());

    let raw = get(&node, &format!("/ipfs/{cid}?format=raw"), &[]);
    assert_eq!(
        (raw.status, raw.headers["content-type"].as_str()),
        (200, RAW)
    );
    assert_eq!(raw.headers["etag"], format!("\"{cid}.raw\""));
    assert!(raw.headers["cache-control"].contains("immutable"));
    assert_eq!(raw.headers["x-content-type-options"], "nosniff");
    assert_eq!(raw.headers["x-ipfs-roots"], cid);
    assert_eq!(
        get(&node, &format!("/ipfs/{cid}"), &[("accept", RAW)]).body,
        raw.body
    );
    let tag = raw.headers["etag"].clone();
    let same = get(
        &node,
        &format!("/ipfs/{cid}?format=raw"),
        &[("if-none-match", &tag)],
    );
    assert_eq!((same.status, same.body.len()), (304, 0));
    let part = get(
        &node,
        &format!("/ipfs/{cid}?format=raw"),
        &[("range", "bytes=1-3")],
    );
    assert_eq!((part.status, &part.body[..]), (206, &raw.body[1..4]));
    let head = ask(&node.api, "HEAD", &format!("/ipfs/{cid}?format=raw"), &[]);
    assert_eq!(head.headers["content-length"], raw.body.len().to_string());

    let file = get(&node, &format!("/ipfs/{cid}/large"), &[]);
    assert_eq!(file.status, 200);
    assert!(file.is_complete && file.body == large);
    assert!(file.headers["content-security-policy"].contains("sandbox"));
    let part = get(
        &node,
        &format!("/ipfs/{cid}/large"),
        &[("range", "bytes=1048570-1048580")],
    );
    assert_eq!(
        (part.status, &part.body[..]),
        (206, &large[1_048_570..=1_048_580])
    );
    assert_eq!(
        part.headers["content-range"],
        "bytes 1048570-1048580/2500000"
    );
    let tail = get(
        &node,
        &format!("/ipfs/{cid}/large"),
        &[("range", "bytes=-7")],
    );
    assert_eq!(&tail.body[..], &large[large.len() - 7..]);
    let beyond = get(
        &node,
        &format!("/ipfs/{cid}/large"),
        &[("range", "bytes=2500000-")],
    );
    assert_eq!(beyond.status, 416);
    assert_eq!(
        get(&node, &format!("/ipfs/{cid}/small%20file"), &[]).body,
        b"small"
    );

    let car = |path: &str| {
        let answer = get(&node, &format!("/ipfs/{cid}{path}"), &[]);
        assert_eq!(answer.status, 200, "{path}");
        assert!(answer.is_complete);
        assert!(answer.headers["content-type"].starts_with(CAR), "{path}");
        blocks(&answer.body)
    };
    // The root, the file, and its three leaves.
    assert_eq!(car("/large?format=car"), 5);
    assert_eq!(car("/large?format=car&dag-scope=block"), 2);
    assert_eq!(car("/large?format=car&dag-scope=entity"), 5);
    assert_eq!(
        car("/large?format=car&dag-scope=entity&entity-bytes=0:9"),
        3
    );
    assert_eq!(car("/large?format=car&entity-bytes=-1:*"), 3);
    assert_eq!(car("?format=car&dag-scope=entity"), 1);
    assert_eq!(car("?format=car&dag-scope=block"), 1);
    let shards = car("/many?format=car&dag-scope=entity");
    assert!((200..1_000).contains(&shards), "{shards} shards");
    assert_eq!(car("/many?format=car"), shards + 6_000);
    // The way to one entry, and that.
    let one = car("/many/77-with-a-name?format=car");
    assert!((3..=5).contains(&one), "{one}");
    let accepted = format!("{CAR}; version=1; order=dfs; dups=y");
    let twice = get(&node, &format!("/ipfs/{cid}"), &[("accept", &accepted)]);
    assert!(twice.headers["content-type"].contains("dups=y"));
}

#[test]
fn what_is_not_there_or_makes_no_sense_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let (node, cid, _) = served(dir.path());
    for (path, status) in [
        (format!("/ipfs/{cid}/nothing"), 404),
        (format!("/ipfs/{cid}/large/below"), 404),
        (format!("/ipfs/{cid}/many/nothing"), 404),
        (format!("/ipfs/{cid}/../large"), 404),
        ("/ipfs/nonsense".to_owned(), 400),
        (format!("/ipfs/{cid}?format=tar"), 400),
        (format!("/ipfs/{cid}?format=car&dag-scope=some"), 400),
        (format!("/ipfs/{cid}?format=car&car-version=2"), 400),
        (format!("/ipfs/{cid}/many"), 400),
    ] {
        let answer = get(&node, &path, &[]);
        assert_eq!(answer.status, status, "{path}");
        let body: serde_json::Value = serde_json::from_slice(&answer.body).unwrap();
        assert!(body["code"].as_str().unwrap().starts_with("MC"), "{path}");
    }
    // Nobody has it, and nobody is to be asked.
    let nowhere = "bafkreigh2akiscaildcqabsyg3dfr6chu3fgpregiymsck7e7aqa4s52zy";
    let only = [("cache-control", "only-if-cached")];
    let answer = get(&node, &format!("/ipfs/{nowhere}?format=raw"), &only);
    assert_eq!(answer.status, 412);
    let answer = get(
        &node,
        &format!("/ipfs/{nowhere}?format=raw&timeout_ms=200"),
        &[],
    );
    assert_eq!(answer.status, 404);
    // Pages are not let in, and what they are shown runs nothing.
    let page = get(
        &node,
        &format!("/ipfs/{cid}/large"),
        &[("origin", "http://evil.example")],
    );
    assert_eq!(page.status, 400);
}

#[test]
fn a_node_fetches_from_a_gateway_what_no_peer_has() {
    let dir = tempfile::tempdir().unwrap();
    let (gateway, cid, large) = served(dir.path());
    // It is no peer: another network, and nobody told of it.
    let config = dir.path().join("config.toml");
    let api = &gateway.api;
    // The first of them does not exist.
    let text = format!(
        "network = \"another\"\n[content]\ngateways = [\"http://127.0.0.1:1\", \"{api}\"]\n"
    );
    fs::write(&config, text).unwrap();
    let node = NodeOptions::new()
        .flags(["--config", config.to_str().unwrap()])
        .start();
    let out = dir.path().join("out");
    node.mc(["get", &cid, "-o", out.to_str().unwrap()])
        .expect_code(0);
    assert!(fs::read(out.join("large")).unwrap() == large);
    assert_eq!(fs::read_dir(out.join("many")).unwrap().count(), 6_000);
    let nowhere = "bafkreigh2akiscaildcqabsyg3dfr6chu3fgpregiymsck7e7aqa4s52zy";
    let missing = node.mc(["cat", nowhere, "--timeout", "2s"]);
    assert!(missing.stderr.contains("MC0011"), "{}", missing.stderr);
}

/// A gateway that answers with whatever it likes is of no use, and does no harm.
#[test]
fn a_gateway_that_lies_is_not_believed() {
    let liar = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = liar.local_addr().unwrap();
    std::thread::spawn(move || {
        for stream in liar.incoming().flatten() {
            let mut stream = stream;
            let mut request = [0; 4096];
            // Whatever it asks.
            let _ = std::io::Read::read(&mut stream, &mut request);
            let lie = b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\nconnection: close\r\n\r\nlies!";
            let _ = std::io::Write::write_all(&mut stream, lie);
        }
    });
    let dir = tempfile::tempdir().unwrap();
    let config = dir.path().join("config.toml");
    fs::write(
        &config,
        format!("[content]\ngateways = [\"http://{address}\"]\n"),
    )
    .unwrap();
    let node = NodeOptions::new()
        .flags(["--config", config.to_str().unwrap()])
        .start();
    let nowhere = "bafkreigh2akiscaildcqabsyg3dfr6chu3fgpregiymsck7e7aqa4s52zy";
    let refused = node.mc(["cat", nowhere, "--timeout", "2s"]);
    assert!(refused.stderr.contains("MC0011"), "{}", refused.stderr);
}

#[test]
fn content_travels_as_car_files() {
    let dir = tempfile::tempdir().unwrap();
    let (node, cid, large) = served(dir.path());
    let file = dir.path().join("content.car");
    let path = file.to_str().unwrap();
    node.mc(["car", "export", &cid, "-o", path]).expect_code(0);
    let other = NodeOptions::new().start();
    let imported = other.mc(["car", "import", path]).expect_code(0);
    assert_eq!(imported.text().trim(), cid);
    let read = other.mc(["cat", &format!("{cid}/large")]).expect_code(0);
    assert!(read.stdout == large);
    let pins = other.mc(["pin", "ls"]).expect_code(0).text();
    assert!(pins.contains(&cid), "{pins}");
    // A file that breaks off is refused, and one that lacks blocks is not kept.
    let bytes = fs::read(&file).unwrap();
    let broken = dir.path().join("broken.car");
    fs::write(&broken, &bytes[..bytes.len() - 10]).unwrap();
    let third = NodeOptions::new().start();
    let refused = third.mc(["car", "import", broken.to_str().unwrap()]);
    assert!(refused.stderr.contains("MC0012"), "{}", refused.stderr);
    let (length, rest) = unsigned_varint(&bytes);
    let header = bytes.len() - rest.len() + length;
    let (length, rest) = unsigned_varint(&bytes[header..]);
    let one = bytes.len() - rest.len() + length;
    fs::write(&broken, &bytes[..one]).unwrap();
    let refused = third.mc(["car", "import", broken.to_str().unwrap()]);
    assert!(refused.stderr.contains("MC0011"), "{}", refused.stderr);
    third
        .mc(["car", "import", "--no-pin", broken.to_str().unwrap()])
        .expect_code(0);
}

#[test]
fn directories_are_listed_and_files_are_read_in_part() {
    let dir = tempfile::tempdir().unwrap();
    let (node, cid, large) = served(dir.path());
    let list = node.mc(["ls", &cid]).expect_code(0).text();
    assert!(
        list.contains("many/") && list.contains("2500000  large"),
        "{list}"
    );
    let many = node.mc(["ls", &format!("{cid}/many"), "--format", "json"]);
    assert_eq!(many.expect_code(0).json().as_array().unwrap().len(), 6_000);
    let part = node.mc([
        "cat",
        &format!("{cid}/large"),
        "--offset",
        "1048570",
        "--length",
        "20",
    ]);
    assert_eq!(
        &part.expect_code(0).stdout[..],
        &large[1_048_570..1_048_590]
    );
    let stat = node.mc(["stat", &format!("/ipfs/{cid}/large"), "--format", "json"]);
    let stat = stat.expect_code(0).json();
    assert_eq!(
        (stat["kind"].as_str(), stat["size"].as_u64()),
        (Some("file"), Some(2_500_000))
    );
    let missing = node.mc(["stat", &format!("{cid}/nothing")]);
    assert!(missing.stderr.contains("no entry"), "{}", missing.stderr);
}
