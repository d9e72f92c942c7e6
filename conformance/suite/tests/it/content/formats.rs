//! Content as other software writes it.

use super::added;
use mc_artifacts::guest;
use mc_conformance::{Node, NodeOptions, put};
use mc_types::{Cid, cid};
use std::time::{Duration, Instant};

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
