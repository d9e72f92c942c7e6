//! `/ipfs` as the specification of trustless gateways has it, and nodes as gateways of each other.

use mc_conformance::{Answer, Node, NodeOptions, ask, put};
use mc_types::{Cid, cid};
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

/// Stores a block under a codec; gives its CID.
fn store(node: &Node, codec: u64, bytes: &[u8]) -> Cid {
    let cid = cid::of(codec, bytes);
    let stored = put(&node.api, &format!("/api/v1/blocks/{cid}"), bytes);
    assert_eq!(stored.status, 201);
    cid
}

/// `{name: [link]}` in dag-cbor.
fn document(name: &str, link: &Cid) -> Vec<u8> {
    let mut bytes = vec![0xa1, 0x60 + u8::try_from(name.len()).unwrap()];
    bytes.extend(name.as_bytes());
    let link = link.to_bytes();
    let length = u8::try_from(link.len() + 1).unwrap();
    bytes.extend([0x81, 0xd8, 0x2a]);
    // The shortest form of a length is the only one that is canonical.
    match length {
        0..24 => bytes.push(0x40 + length),
        _ => bytes.extend([0x58, length]),
    }
    bytes.push(0);
    bytes.extend(link);
    bytes
}

/// How many blocks a CAR has, which has come as a whole.
fn car_of(node: &Node, path: &str) -> usize {
    let answer = get(node, path, &[]);
    assert_eq!(answer.status, 200, "{path}");
    assert!(answer.is_complete, "{path}");
    blocks(&answer.body)
}

#[test]
fn paths_lead_through_other_codecs_and_their_cars_are_whole() {
    let node = NodeOptions::new().start();
    let file = store(&node, cid::RAW, b"a file");
    let inner = store(&node, cid::DAG_CBOR, &document("a", &file));
    let outer = store(&node, cid::DAG_CBOR, &document("doc", &inner));
    let json = format!(r#"{{"doc":{{"/":"{outer}"}}}}"#);
    let json = store(&node, 0x0129, json.as_bytes());
    let path = format!("/ipfs/{json}/doc/doc/0/a/0");
    assert_eq!(get(&node, &path, &[]).body, b"a file");
    assert_eq!(car_of(&node, &format!("{path}?format=car")), 4);
    assert_eq!(car_of(&node, &format!("/ipfs/{json}/?format=car")), 4);
    assert_eq!(
        car_of(&node, &format!("/ipfs/{outer}/doc/0//?format=car")),
        3
    );
    // A value within a block is shown by that block, and is nothing by itself.
    assert_eq!(car_of(&node, &format!("/ipfs/{outer}/doc?format=car")), 3);
    assert_eq!(get(&node, &format!("/ipfs/{outer}/doc"), &[]).status, 400);
    let shown = get(&node, &format!("/ipfs/{outer}"), &[]);
    let said = String::from_utf8_lossy(&shown.body);
    assert_eq!(shown.status, 400, "{said}");
    assert!(
        said.contains("MC0001") && said.contains("is not a file"),
        "{said}"
    );
    for nothing in ["none", "doc/1", "doc/0/a/0/x"] {
        let path = format!("/ipfs/{outer}/{nothing}?format=car");
        assert_eq!(get(&node, &path, &[]).status, 404, "{path}");
    }
    // What is no file is an entity by itself, of which there are no bytes; dag-pb that is not UnixFS, too.
    let mut link = vec![0x12, 38, 0x0a, 36];
    link.extend(file.to_bytes());
    let plain = store(&node, cid::DAG_PB, &link);
    for root in [inner, plain] {
        assert_eq!(car_of(&node, &format!("/ipfs/{root}?format=car")), 2);
        for entity in ["dag-scope=entity", "entity-bytes=0:3", "dag-scope=block"] {
            let path = format!("/ipfs/{root}?format=car&{entity}");
            assert_eq!(car_of(&node, &path), 1, "{path}");
        }
    }
}

#[test]
fn codecs_that_cannot_be_read_are_refused_before_anything_is_sent() {
    let node = NodeOptions::new().start();
    let git = store(&node, 0x78, b"blob 1\0x");
    let junk = store(&node, cid::DAG_CBOR, &[0xff; 8]);
    for root in [git, junk] {
        let refused = get(&node, &format!("/ipfs/{root}?format=car"), &[]);
        assert_eq!(refused.status, 400, "{root}");
        let path = format!("/ipfs/{root}?format=car&dag-scope=block");
        assert_eq!(car_of(&node, &path), 1);
        assert_eq!(
            get(&node, &format!("/ipfs/{root}?format=raw"), &[]).status,
            200
        );
    }
    // Below others it is a block like any, and so is one that does not have the form of its codec: once, the CAR was
    // broken off there, and often before it had begun.
    let outer = store(&node, cid::DAG_CBOR, &document("git", &git));
    assert_eq!(car_of(&node, &format!("/ipfs/{outer}?format=car")), 2);
    for codec in [cid::DAG_PB, cid::DAG_CBOR, 0x0129] {
        let junk = store(&node, codec, &[0xff; 9]);
        let above = store(&node, cid::DAG_CBOR, &document("junk", &junk));
        assert_eq!(car_of(&node, &format!("/ipfs/{above}?format=car")), 2);
    }
    let below = get(&node, &format!("/ipfs/{outer}/git/0/x?format=car"), &[]);
    assert_eq!(below.status, 400);
}

/// A client that asks first how much there is would ask no more.
#[test]
fn the_head_of_a_car_does_not_say_that_it_is_empty() {
    let node = NodeOptions::new().start();
    let root = store(&node, cid::RAW, b"a file");
    let head = |form: &str| ask(&node.api, "HEAD", &format!("/ipfs/{root}{form}"), &[]);
    assert_eq!(head("").headers["content-length"], "6");
    assert_eq!(head("?format=raw").headers["content-length"], "6");
    let car = head("?format=car");
    assert_eq!(car.status, 200);
    assert!(!car.headers.contains_key("content-length"));
}

/// Once, one was answered as if it were empty, and the other was broken off.
#[test]
fn files_that_do_not_tell_where_their_bytes_are_are_refused_before_anything_is_sent() {
    let node = NodeOptions::new().start();
    let leaf = store(&node, cid::RAW, b"ten bytes.").to_bytes();
    // A file with one part; the second one says of itself how long it is, but not of its part.
    for unixfs in [&[8, 2][..], &[8, 2, 0x18, 10]] {
        let length = |bytes: &[u8]| u8::try_from(bytes.len()).unwrap();
        let link = [&[0x0a, length(&leaf)][..], &leaf].concat();
        let mut file = [&[0x12, length(&link)][..], &link].concat();
        file.extend([0x0a, length(unixfs)]);
        file.extend(unixfs);
        let root = store(&node, cid::DAG_PB, &file);
        let path = format!("/ipfs/{root}");
        assert_eq!(get(&node, &path, &[]).status, 400, "{unixfs:?}");
        // As a whole it can be had all the same.
        assert_eq!(car_of(&node, &format!("{path}?format=car")), 2);
        let printed = node.mc(["cat", root.to_string().as_str()]).expect_code(0);
        assert_eq!(printed.text(), "ten bytes.");
    }
}

/// The empty block, by which clients find out whether there is a gateway, is one of them.
#[test]
fn blocks_in_cids_are_served_and_sent_in_no_car() {
    let node = NodeOptions::new().start();
    for (root, body) in [("bafkqaaa", &b""[..]), ("bafkqablimvwgy3y", b"hello")] {
        for path in [format!("/ipfs/{root}"), format!("/ipfs/{root}?format=raw")] {
            let answer = get(&node, &path, &[]);
            assert_eq!((answer.status, &answer.body[..]), (200, body), "{path}");
            assert_eq!(ask(&node.api, "HEAD", &path, &[]).status, 200);
        }
        for scope in ["all", "entity", "block"] {
            let path = format!("/ipfs/{root}?format=car&car-dups=y&dag-scope={scope}");
            assert_eq!(car_of(&node, &path), 0, "{path}");
        }
    }
    let outer: Cid = "bafkqablimvwgy3y".parse().unwrap();
    let outer = store(&node, cid::DAG_CBOR, &document("inline", &outer));
    assert_eq!(
        car_of(&node, &format!("/ipfs/{outer}?format=car&car-dups=y")),
        1
    );
    let inner = format!("/ipfs/{outer}/inline/0?format=car");
    assert_eq!(car_of(&node, &inner), 1);
}

#[test]
fn forms_names_and_ranges_are_asked_for_in_many_ways() {
    let dir = tempfile::tempdir().unwrap();
    let (node, cid, _) = served(dir.path());
    let accept = format!("{RAW};q=0.3, {CAR};dups=y;q=0.5, text/html");
    let answer = get(&node, &format!("/ipfs/{cid}/large"), &[("accept", &accept)]);
    assert!(answer.headers["content-type"].contains("dups=y"));
    assert_eq!(
        answer.headers["content-location"],
        format!("/ipfs/{cid}/large?car-dups=y&format=car")
    );
    assert_eq!(answer.headers["vary"], "accept");
    // Of two ways to have a CAR, the one that there is.
    let accept = format!("{CAR};order=foo, {CAR};order=dfs;dups=y;q=0.5");
    let answer = get(&node, &format!("/ipfs/{cid}/large"), &[("accept", &accept)]);
    assert_eq!(answer.status, 200);
    assert!(answer.headers["content-type"].contains("order=dfs; dups=y"));
    // A part is for who has the rest of the same.
    for (tag, status) in [
        (format!("\"{cid}.raw\""), 206),
        ("\"other\"".to_owned(), 200),
    ] {
        let headers = [("range", "bytes=0-1"), ("if-range", tag.as_str())];
        let part = get(&node, &format!("/ipfs/{cid}?format=raw"), &headers);
        assert_eq!(part.status, status, "{tag}");
    }
    // The query is stronger than the header.
    let both = get(
        &node,
        &format!("/ipfs/{cid}?format=raw"),
        &[("accept", CAR)],
    );
    assert_eq!(both.headers["content-type"], RAW);
    assert!(!both.headers.contains_key("content-location"));
    for (query, name) in [
        (
            "format=raw&filename=a.bin",
            "attachment; filename=\"a.bin\"",
        ),
        (
            "format=car&filename=a.car",
            "attachment; filename=\"a.car\"",
        ),
        ("filename=a.txt", "inline; filename=\"a.txt\""),
        (
            "filename=a.txt&download=true",
            "attachment; filename=\"a.txt\"",
        ),
    ] {
        let answer = get(&node, &format!("/ipfs/{cid}/small%20file?{query}"), &[]);
        assert_eq!(answer.headers["content-disposition"], name, "{query}");
    }
    // The file, and its three leaves.
    for (range, count) in [
        ("0:*", 4),
        ("-9999999:-1", 4),
        ("0:0", 2),
        ("5:4", 1),
        ("-1:-5", 1),
    ] {
        let path = format!("/ipfs/{cid}/large?format=car&entity-bytes={range}");
        // The directory is on the way.
        assert_eq!(car_of(&node, &path), 1 + count, "{range}");
    }
    for outside in ["2500000:*", "-9999999:-2500001", "2500000:9999999"] {
        let path = format!("/ipfs/{cid}/large?format=car&entity-bytes={outside}");
        assert_eq!(get(&node, &path, &[]).status, 400, "{outside}");
    }
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
        (format!("/ipfs/{cid}?format=tar"), 406),
        (format!("/ipfs/{cid}?format=dag-json"), 406),
        (format!("/ipfs/{cid}?format=ipns-record"), 400),
        // No text, and said in JSON like all else.
        (format!("/ipfs/{cid}/%ff"), 400),
        ("/ipfs/%ff".to_owned(), 400),
        ("/api/v1/blocks/%ff".to_owned(), 400),
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
    let tar = [("accept", "application/x-tar")];
    assert_eq!(get(&node, &format!("/ipfs/{cid}"), &tar).status, 406);
    // Pages are not let in, and what they are shown runs nothing.
    for said in [
        ("origin", "http://evil.example"),
        ("service-worker", "script"),
    ] {
        let page = get(&node, &format!("/ipfs/{cid}/large"), &[said]);
        assert_eq!(page.status, 400, "{said:?}");
    }
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
    // As export prints one, import reads one from a pipe.
    let pipe = "cat \"$1\" | \"$0\" --node \"$2\" car import -";
    let binary = mc_conformance::binary();
    let piped = std::process::Command::new("sh")
        .args(["-c", pipe])
        .arg(binary)
        .args([path, &other.api])
        .output()
        .unwrap();
    assert!(piped.status.success(), "{piped:?}");
    assert_eq!(String::from_utf8_lossy(&piped.stdout).trim(), cid);
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
