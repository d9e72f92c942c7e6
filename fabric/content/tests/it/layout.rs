//! How content is laid out in blocks, and which of them are read.

use bytes::Bytes;
use mc_content::{
    AddOptions, Added, BlockSource, Error, MemoryBlocks, unixfs,
    unixfs::{Adder, RandomAccess},
};
use mc_types::{Cid, cid};
use std::{
    fs,
    path::Path,
    sync::atomic::{AtomicUsize, Ordering},
};

/// As Helia 7.1 (ipfs-unixfs-importer) adds the same with the same settings.
#[tokio::test]
async fn roots_are_those_of_other_implementations() {
    let data: Vec<u8> = (0..3_000_000_u32)
        .map(|i| u8::try_from((i * 7 + (i >> 8) * 13) & 255).unwrap())
        .collect();
    let v0 = AddOptions {
        cid_version: cid::Version::V0,
        ..AddOptions::default()
    };
    let quarter = |options: AddOptions| AddOptions {
        chunk_bytes: 256 << 10,
        ..options
    };
    for (data, options, root) in [
        (
            &data[..],
            AddOptions::default(),
            "bafybeie2chv4fc4htuafy5nkjb4encf4imztqkmlragpq3c3axc52zfmty",
        ),
        (
            &data,
            quarter(AddOptions::default()),
            "bafybeibzzly5qv2pchg6y6c5tbkbezwkhymszkipguowak6ncpfdavuzoq",
        ),
        (
            &data,
            quarter(v0.clone()),
            "QmSbASDJTXhBZaZRfdTcKsRBiw7oFkfrifSA6rRnNYoHTA",
        ),
        (
            &data[..1000],
            v0,
            "QmZu5AaSnbRxg4Pc5cjbLgETLtbVq6iwd4XPwr25Xsx3m7",
        ),
    ] {
        let blocks = MemoryBlocks::default();
        let added = unixfs::add_reader(data, &blocks, &options).await.unwrap();
        assert_eq!(added.cid.to_string(), root, "{options:?}");
        let read = unixfs::read_to_vec(&blocks, added.cid, u64::MAX).await;
        assert_eq!(read.unwrap(), data);
    }
}

async fn many_files(blocks: &MemoryBlocks, files: usize) -> Added {
    let mut adder = Adder::new(blocks, &AddOptions::default());
    let mut entries = Vec::new();
    for number in 0..files {
        let mut file = adder.file(None);
        let content = format!("content {number}\n");
        adder.extend(&mut file, content.as_bytes()).await.unwrap();
        let added = adder.end_file(file).await.unwrap();
        entries.push((format!("file-{number}"), added));
    }
    entries.sort_by(|(a, _), (b, _)| a.cmp(b));
    let added = adder.directory(entries, None, Path::new("")).await.unwrap();
    adder.flush().await.unwrap();
    added
}

/// The roots are those of Helia 7.1.
#[tokio::test]
async fn large_directories_are_sharded_as_others_do_it() {
    for (files, root) in [
        (
            1_000,
            "bafybeibdi5vptaw7e62y3cst6n4mkzp3aoyt3qf2vtv22xzx36xnw5jb3a",
        ),
        (
            6_000,
            "bafybeif7jyxgxmhee4lxnlid6cq4la2to2phlvhazkbmf6ggjz7qgfjjwy",
        ),
        (
            20_000,
            "bafybeidcm57eml7coavabwk5nit5asotal3zqbjvnv472bahe56y2w5z4q",
        ),
    ] {
        let blocks = MemoryBlocks::default();
        let added = many_files(&blocks, files).await;
        assert_eq!(added.cid.to_string(), root, "{files} files");
        let entries = unixfs::entries(&blocks, added.cid).await.unwrap();
        assert_eq!(entries.len(), files);
        assert!(entries.is_sorted_by_key(|(name, _)| name));
        let path = format!("/file-{}", files / 2);
        let entry = unixfs::resolve(&blocks, added.cid, &path).await.unwrap();
        let read = unixfs::read_to_vec(&blocks, entry, 100).await.unwrap();
        assert_eq!(read, format!("content {}\n", files / 2).as_bytes());
        let nothing = unixfs::resolve(&blocks, added.cid, "nothing").await;
        assert!(matches!(nothing, Err(Error::NoEntry { .. })), "{nothing:?}");
    }
}

#[tokio::test]
async fn sharded_directories_come_back_from_few_blocks_of_their_own() {
    let blocks = MemoryBlocks::default();
    let added = many_files(&blocks, 6_000).await;
    let dir = tempfile::tempdir().unwrap();
    let copy = dir.path().join("copy");
    unixfs::export(&blocks, added.cid, &copy, u64::MAX)
        .await
        .unwrap();
    assert_eq!(fs::read_dir(&copy).unwrap().count(), 6_000);
    assert_eq!(fs::read(copy.join("file-77")).unwrap(), b"content 77\n");
    // One name needs the way to it: shards of two or three levels, and the file.
    let counted = Counted::new(&blocks);
    let entry = unixfs::resolve(&counted, added.cid, "file-77")
        .await
        .unwrap();
    unixfs::read_to_vec(&counted, entry, 100).await.unwrap();
    assert!(counted.reads() <= 4, "{} blocks", counted.reads());
}

/// Counts the blocks that are read.
struct Counted<'a> {
    blocks: &'a MemoryBlocks,
    reads: AtomicUsize,
}

impl<'a> Counted<'a> {
    fn new(blocks: &'a MemoryBlocks) -> Self {
        Self {
            blocks,
            reads: AtomicUsize::new(0),
        }
    }

    fn reads(&self) -> usize {
        self.reads.load(Ordering::Relaxed)
    }
}

impl BlockSource for Counted<'_> {
    async fn load(&self, cid: &Cid) -> Result<Bytes, Error> {
        self.reads.fetch_add(1, Ordering::Relaxed);
        self.blocks.load(cid).await
    }
}

#[tokio::test]
async fn ranges_are_read_from_the_blocks_that_have_them() {
    let data: Vec<u8> = (0..700_000_u32).map(|i| (i % 251) as u8).collect();
    let blocks = MemoryBlocks::default();
    let options = AddOptions {
        chunk_bytes: 1_000,
        ..AddOptions::default()
    };
    let added = unixfs::add_reader(&data[..], &blocks, &options)
        .await
        .unwrap();
    for (start, end) in [
        (0, 0),
        (0, 1),
        (0, 700_000),
        (999, 1_001),
        (173_999, 174_001),
        (350_000, 360_000),
        (699_999, 800_000),
        (800_000, 900_000),
        (5, 3),
    ] {
        let counted = Counted::new(&blocks);
        let mut read = Vec::new();
        let range = start as u64..end as u64;
        let written = unixfs::cat_range(&counted, added.cid, range, &mut read)
            .await
            .unwrap();
        let expected = data.get(start..end.min(data.len())).unwrap_or_default();
        assert_eq!(read, expected, "{start}..{end}");
        assert_eq!(written, expected.len() as u64);
        let most = expected.len() / 1_000 + expected.len() / 174_000 + 6;
        assert!(
            counted.reads() <= most,
            "{start}..{end}: {} reads",
            counted.reads()
        );
    }
}

/// A file that is read in sequence is fetched ahead; one that is read here and there is not.
#[tokio::test]
async fn what_is_read_in_sequence_is_fetched_ahead() {
    let data: Vec<u8> = (0..=255).cycle().take(100_000).collect();
    let blocks = MemoryBlocks::default();
    let options = AddOptions {
        chunk_bytes: 1_000,
        ..AddOptions::default()
    };
    // Each chunk is another.
    let data: Vec<u8> = data
        .chunks(1_000)
        .zip(0_u8..)
        .flat_map(|(chunk, n)| chunk.iter().map(move |b| b ^ n))
        .collect();
    let added = unixfs::add_reader(&data[..], &blocks, &options)
        .await
        .unwrap();
    let counted = Counted::new(&blocks);
    let mut reader = RandomAccess::new(&counted);
    let (mut read, mut piece) = (Vec::new(), vec![0; 700]);
    let mut reads_at_once = 0;
    while read.len() < data.len() {
        let before = counted.reads();
        let got = reader
            .read(added.cid, read.len() as u64, &mut piece)
            .await
            .unwrap();
        assert!(got > 0);
        read.extend_from_slice(&piece[..got]);
        reads_at_once = reads_at_once.max(counted.reads() - before);
    }
    assert!(read == data);
    assert!(reads_at_once > 4, "{reads_at_once} blocks at a time");
    // Of inner nodes, some are looked at again.
    assert!(counted.reads() <= 110, "{} blocks", counted.reads());
    let counted = Counted::new(&blocks);
    let mut reader = RandomAccess::new(&counted);
    for offset in [50_000, 10_000, 90_000, 30_000] {
        reader.read(added.cid, offset, &mut piece).await.unwrap();
    }
    assert_eq!(counted.reads(), 5, "the root, and what was read");
}
