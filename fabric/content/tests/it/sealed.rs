//! Encrypted files and directories: what readers with the key see, and what others do.

use mc_content::{
    AddOptions, BlockSource, Error, Key, MemoryBlocks,
    seal::{CHUNK_BYTES, OVERHEAD_BYTES, SEALED_CHUNK_BYTES, SealContext},
    unixfs::{self, Entity, EntryKind, Found, RandomAccess},
};
use mc_types::Cid;
use std::{fs, path::Path};

const SECRET: &[u8] = b"nobody else may read this";

fn encrypted(key: &Key) -> AddOptions {
    AddOptions {
        key: Some(key.clone()),
        modes: true,
        ..AddOptions::default()
    }
}

fn bytes(length: usize) -> Vec<u8> {
    let numbers = (0_u64..).flat_map(|n| n.wrapping_mul(0x9E37_79B9_7F4A_7C15).to_le_bytes());
    numbers.take(length).collect()
}

/// A tree with files of awkward lengths, a link, and a directory that has to be sharded.
fn tree(dir: &Path) {
    for length in [
        0,
        1,
        CHUNK_BYTES - 1,
        CHUNK_BYTES,
        CHUNK_BYTES + 1,
        3 * CHUNK_BYTES + 5,
    ] {
        fs::write(dir.join(format!("confidential-{length}")), bytes(length)).unwrap();
    }
    fs::create_dir_all(dir.join("inner/many")).unwrap();
    fs::write(dir.join("inner/plans"), SECRET).unwrap();
    std::os::unix::fs::symlink("inner/plans", dir.join("shortcut")).unwrap();
    for number in 0..1500 {
        fs::write(dir.join(format!("inner/many/patient-{number}")), SECRET).unwrap();
    }
}

fn same(one: &Path, other: &Path) {
    let status = std::process::Command::new("diff")
        .args(["-r", "--no-dereference"])
        .args([one, other])
        .status();
    assert!(status.unwrap().success());
}

fn contains(haystack: &[u8], needle: &[u8]) -> bool {
    haystack.windows(needle.len()).any(|part| part == needle)
}

#[tokio::test]
async fn a_tree_comes_back_with_its_key_and_says_nothing_without() {
    let dir = tempfile::tempdir().unwrap();
    tree(dir.path());
    let (key, blocks) = (Key::generate(), MemoryBlocks::default());
    let options = encrypted(&key);
    let added = unixfs::add_path(dir.path(), &blocks, &options).await;
    let added = added.unwrap();
    let root = Entity::from((added.cid, Some(key.clone())));

    let out = tempfile::tempdir().unwrap();
    let copy = out.path().join("copy");
    unixfs::export(&blocks, root.clone(), &copy, u64::MAX)
        .await
        .unwrap();
    same(dir.path(), &copy);

    let entry = unixfs::resolve(&blocks, root.clone(), "inner/many/patient-77");
    let read = unixfs::read_to_vec(&blocks, entry.await.unwrap(), 100).await;
    assert_eq!(read.unwrap(), SECRET);
    let link = unixfs::resolve(&blocks, root.clone(), "shortcut").await;
    let stat = unixfs::stat(&blocks, link.unwrap()).await.unwrap();
    assert_eq!(stat.kind, EntryKind::Symlink);
    let entries = unixfs::entries(&blocks, root.clone()).await.unwrap();
    assert_eq!(entries.len(), 8);
    let nothing = unixfs::resolve(&blocks, root, "inner/nothing").await;
    assert!(matches!(nothing, Err(Error::NoEntry { .. })));

    // Another key opens nothing, whatever it is used for.
    let other = Entity::from((added.cid, Some(Key::generate())));
    let listed = unixfs::entries(&blocks, other.clone()).await;
    assert!(matches!(listed, Err(Error::Sealed { .. })), "{listed:?}");
    let target = out.path().join("other");
    let exported = unixfs::export(&blocks, other, &target, u64::MAX).await;
    assert!(matches!(exported, Err(Error::Sealed { .. })));

    for block in blocks.into_blocks() {
        let names = ["confidential", "patient", "plans", "inner"].map(str::as_bytes);
        for secret in names.into_iter().chain([SECRET]) {
            assert!(!contains(block.bytes(), secret));
        }
        assert!(!contains(block.bytes(), &bytes(64)));
        assert!(!contains(block.bytes(), key.as_bytes()));
    }
}

#[tokio::test]
async fn equal_files_differ_by_name_and_by_key_but_not_from_time_to_time() {
    let dir = tempfile::tempdir().unwrap();
    for name in ["a", "b"] {
        fs::write(dir.path().join(name), SECRET).unwrap();
    }
    let (key, blocks) = (Key::generate(), MemoryBlocks::default());
    let add = async |key: &Key| {
        let added = unixfs::add_path(dir.path(), &blocks, &encrypted(key)).await;
        added.unwrap().cid
    };
    let cid = add(&key).await;
    assert_eq!(add(&key).await, cid);
    assert_ne!(add(&Key::generate()).await, cid);
    let entries = unixfs::entries(&blocks, (cid, Some(key))).await.unwrap();
    assert_ne!(entries[0].1.cid, entries[1].1.cid);
}

#[tokio::test]
async fn any_part_of_a_file_can_be_read_alone() {
    let (key, blocks) = (Key::generate(), MemoryBlocks::default());
    let data = bytes(5 * CHUNK_BYTES + 1234);
    let added = unixfs::add_reader(&data[..], &blocks, &encrypted(&key)).await;
    let added = added.unwrap();
    assert_eq!(added.file_bytes, data.len() as u64);
    let file = Entity::from((added.cid, Some(key)));
    assert_eq!(
        unixfs::stat(&blocks, file.clone())
            .await
            .unwrap()
            .file_bytes,
        data.len() as u64
    );
    let mut reader = RandomAccess::new(&blocks);
    let found = reader.find(file.clone()).await.unwrap();
    let file_bytes = data.len() as u64;
    assert_eq!(found, Found::File { file_bytes });
    let edge = CHUNK_BYTES;
    for (from, to) in [
        (0, 10),
        (edge - 1, edge + 1),
        (edge, edge + 5),
        (2 * edge + 7, 4 * edge + 9),
        (5 * edge, data.len()),
        (data.len() - 1, data.len()),
    ] {
        let mut read = Vec::new();
        let range = from as u64..to as u64;
        unixfs::cat_range(&blocks, file.clone(), range, &mut read)
            .await
            .unwrap();
        assert!(read == data[from..to], "{from}..{to}");
        let mut read = vec![0; to - from];
        let mut filled = 0;
        while filled < read.len() {
            let at = (from + filled) as u64;
            let part = reader.read(file.clone(), at, &mut read[filled..]).await;
            filled += part.unwrap();
        }
        assert!(read == data[from..to], "{from}..{to}");
    }
}

/// A file of which somebody made up the sealed form.
async fn forged(key: &Key, sealed: &[u8]) -> Result<Vec<u8>, Error> {
    let blocks = MemoryBlocks::default();
    let added = unixfs::add_reader(sealed, &blocks, &AddOptions::default()).await;
    let file = Entity::from((added.unwrap().cid, Some(key.clone())));
    let whole = unixfs::read_to_vec(&blocks, file.clone(), u64::MAX).await;
    // Whoever reads a byte of each chunk meets what whoever reads all of it does.
    let mut reader = RandomAccess::new(&blocks);
    let mut all_open = Ok(0);
    if let Ok(Found::File { file_bytes }) = reader.find(file.clone()).await {
        for at in (0..file_bytes.max(1)).step_by(CHUNK_BYTES) {
            all_open = all_open.and(reader.read(file.clone(), at, &mut [0]).await);
        }
        assert_eq!(whole.is_ok(), all_open.is_ok());
    }
    whole
}

#[tokio::test]
async fn chunks_that_were_swapped_cut_off_or_put_in_are_noticed() {
    let key = Key::generate();
    let seal = |key: &Key, index, is_last, length| {
        let place = SealContext::Chunk { index, is_last };
        key.cipher().seal(place, &bytes(length))
    };
    let one = seal(&key, 0, false, CHUNK_BYTES);
    let two = seal(&key, 1, false, CHUNK_BYTES);
    let three = seal(&key, 2, true, 100);
    let good = [&one[..], &two, &three].concat();
    let read = forged(&key, &good).await.unwrap();
    assert_eq!(read.len(), 2 * CHUNK_BYTES + 100);

    let of_another_file = seal(&key.below("other"), 1, false, CHUNK_BYTES);
    let bad = [
        [&two[..], &one, &three].concat(),
        [&one[..], &one, &three].concat(),
        [&one[..], &two].concat(),
        [&one[..], &three].concat(),
        [&one[..], &of_another_file, &three].concat(),
        [&one[..], &two, &three[..three.len() - 1]].concat(),
        [&one[..], &two, &three, &three].concat(),
        [&one[..SEALED_CHUNK_BYTES - 7], &two, &three].concat(),
        Vec::new(),
        vec![0; OVERHEAD_BYTES - 1],
        vec![0; 3 * SEALED_CHUNK_BYTES],
    ];
    for (number, bad) in bad.iter().enumerate() {
        let read = forged(&key, bad).await;
        assert!(read.is_err(), "{number}");
    }
}

#[tokio::test]
async fn what_is_not_encrypted_does_not_open() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("file"), SECRET).unwrap();
    let blocks = MemoryBlocks::default();
    let added = unixfs::add_path(dir.path(), &blocks, &AddOptions::default()).await;
    let root: Cid = added.unwrap().cid;
    let sealed = Entity::from((root, Some(Key::generate())));
    assert!(unixfs::entries(&blocks, sealed).await.is_err());
    let file = unixfs::resolve(&blocks, root, "file").await.unwrap();
    assert!(blocks.get(&file.cid).await.is_ok());
    let sealed = Entity::from((file.cid, Some(Key::generate())));
    let read = unixfs::read_to_vec(&blocks, sealed, 100).await;
    assert!(matches!(read, Err(Error::Sealed { .. })));
}
