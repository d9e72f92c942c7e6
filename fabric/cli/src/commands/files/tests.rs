use super::*;
use crate::typed;
use mc_content::MemoryBlocks;
use mc_options::Command;

fn add(words: &[&str]) -> Add {
    match typed::cli(&[&["add"][..], words].concat()).command {
        Command::Add(add) => add,
        other => panic!("{other:?}"),
    }
}

#[test]
fn files_become_blocks_as_was_typed() {
    let usual = add_options(&add(&["x"]), None);
    assert_eq!(
        (usual.chunk_bytes, usual.cid_version),
        (1 << 20, cid::Version::V1)
    );
    assert!(usual.skipped.is_none() && !usual.modes);
    let words = [
        "--chunk-size=4KiB",
        "--cid-version=0",
        "--raw-leaves=true",
        "--preserve-mode",
        "--skip-unreadable",
        "--symlinks=follow",
        "x",
    ];
    let typed = add_options(&add(&words), None);
    assert_eq!(
        (typed.chunk_bytes, typed.cid_version),
        (4096, cid::Version::V0)
    );
    assert_eq!(
        (typed.raw_leaves, typed.symlinks),
        (Some(true), Symlinks::Follow)
    );
    assert!(typed.skipped.is_some() && typed.modes);
}

#[test]
fn who_may_leave_something_out_is_told_so_once_something_cannot_be_read() {
    let missing = || Failure::new(ErrorCode::Path, "x: no such file");
    let hinted = unreadable(missing(), &add_options(&add(&["x"]), None));
    assert!(
        hinted
            .hint()
            .is_some_and(|hint| hint.contains("--skip-unreadable"))
    );
    let skipping = add_options(&add(&["--skip-unreadable", "x"]), None);
    assert_eq!(unreadable(missing(), &skipping).hint(), None);
}

#[test]
fn the_digest_of_a_layer_is_the_sha256_of_its_bytes() {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), "abc").unwrap();
    let abc = "sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
    let abc: Digest = abc.parse().unwrap();
    assert_eq!(digest_of(file.path()).unwrap(), abc);
    assert_eq!(bytes_in(file.path()), Some(3));
    assert_eq!(
        bytes_in(Path::new("/")),
        None,
        "what a directory holds is not counted"
    );
}

#[tokio::test]
async fn what_is_of_another_kind_is_called_by_it() {
    let blocks = MemoryBlocks::default();
    let file = unixfs::add_bytes(b"file", &blocks).await.unwrap().cid;
    let failure = || Failure::new(ErrorCode::CorruptContent, "it is malformed");
    let told = another_kind(&blocks, file.into(), EntryKind::Directory, failure()).await;
    assert_eq!(
        told.message(),
        format!("{file} is no directory: it is a file")
    );
    assert!(told.hint().is_some_and(|hint| hint.contains("mc-wasm cat")));
    let same = another_kind(&blocks, file.into(), EntryKind::File, failure()).await;
    assert_eq!(same.message(), "it is malformed");
    let entry = look(&blocks, "name".to_owned(), file.into()).await.unwrap();
    assert_eq!((entry.kind, entry.size, entry.mode), ("file", 4, None));
}
