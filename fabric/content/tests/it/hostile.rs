//! DAGs that nobody means well with.

use mc_content::{
    AddOptions, Block, BlockSink, BlockSource, Error, MemoryBlocks,
    unixfs::{self, ExportOptions, Outside},
};
use mc_types::{Cid, cid};
use std::os::unix::fs::PermissionsExt;

/// A directory node, written byte by byte so that it may say anything.
async fn directory(blocks: &MemoryBlocks, entries: &[(&str, Cid)]) -> Cid {
    let mut node = Vec::new();
    for (name, cid) in entries {
        let hash = cid.to_bytes();
        let mut link = vec![0x0a, u8::try_from(hash.len()).unwrap()];
        link.extend(&hash);
        link.extend([0x12, u8::try_from(name.len()).unwrap()]);
        link.extend(name.as_bytes());
        node.extend([0x12, u8::try_from(link.len()).unwrap()]);
        node.extend(link);
    }
    node.extend([0x0a, 0x02, 0x08, 0x01]);
    let block = Block::encode(cid::DAG_PB, node).unwrap();
    let cid = *block.cid();
    blocks.put_many(vec![block]).await.unwrap();
    cid
}

async fn symlink(blocks: &MemoryBlocks, target: &str) -> Cid {
    let length = u8::try_from(target.len()).unwrap();
    let mut node = vec![0x0a, length + 4, 0x08, 0x04, 0x12, length];
    node.extend(target.as_bytes());
    let block = Block::encode(cid::DAG_PB, node).unwrap();
    let cid = *block.cid();
    blocks.put_many(vec![block]).await.unwrap();
    cid
}

async fn export(blocks: &MemoryBlocks, root: Cid) -> Result<u64, Error> {
    let dir = tempfile::tempdir().unwrap();
    let target = dir.path().join("target");
    let result = unixfs::export(blocks, root, &target, 1 << 20).await;
    assert_eq!(
        result.is_ok(),
        target.exists(),
        "a failed export leaves nothing"
    );
    result
}

#[tokio::test]
async fn names_that_leave_the_directory_or_clash_are_refused() {
    let blocks = MemoryBlocks::default();
    let file = unixfs::add_bytes(b"file", &blocks).await.unwrap().cid;
    for names in [
        &["../up"][..],
        &[".."],
        &["."],
        &[""],
        &["a/b"],
        &["/etc"],
        &["a", "a"],
        &["n\0l"],
    ] {
        let entries: Vec<_> = names.iter().map(|name| (*name, file)).collect();
        let root = directory(&blocks, &entries).await;
        let error = export(&blocks, root).await.unwrap_err();
        assert!(
            matches!(error, Error::Malformed { .. }),
            "{names:?}: {error}"
        );
    }
}

#[tokio::test]
async fn symbolic_links_that_leave_the_directory_are_refused() {
    let blocks = MemoryBlocks::default();
    for (target, good) in [
        ("sibling", true),
        ("./x/../y", true),
        ("/etc/passwd", false),
        ("../x", false),
        ("a/../../x", false),
    ] {
        let link = symlink(&blocks, target).await;
        let root = directory(&blocks, &[("link", link)]).await;
        assert_eq!(export(&blocks, root).await.is_ok(), good, "{target}");
    }
}

/// A tree whose `a` leads out of it through `deep/down/top`, which is the tree itself.
async fn chain_of_links(blocks: &MemoryBlocks) -> Cid {
    let top = symlink(blocks, "../..").await;
    let down = directory(blocks, &[("top", top)]).await;
    let deep = directory(blocks, &[("down", down)]).await;
    let through = symlink(blocks, "deep/down/top/../../etc/hostname").await;
    let file = unixfs::add_bytes(b"file", blocks).await.unwrap().cid;
    directory(blocks, &[("a", through), ("b", file), ("deep", deep)]).await
}

/// By their texts, each of the two links stays inside.
#[tokio::test]
async fn a_chain_of_links_does_not_lead_out_of_the_directory() {
    let blocks = MemoryBlocks::default();
    let root = chain_of_links(&blocks).await;
    let error = export(&blocks, root).await.unwrap_err();
    assert!(matches!(error, Error::Unsupported { .. }), "{error}");
    // What would leave by its text, and does not: `in` is deeper than it looks.
    let file = unixfs::add_bytes(b"file", &blocks).await.unwrap().cid;
    let down = directory(&blocks, &[("c", file)]).await;
    let deep = directory(&blocks, &[("down", down)]).await;
    let inward = symlink(&blocks, "deep/down").await;
    let back = symlink(&blocks, "in/../../b").await;
    let entries = [("a", back), ("b", file), ("deep", deep), ("in", inward)];
    export(&blocks, directory(&blocks, &entries).await)
        .await
        .unwrap();
}

#[tokio::test]
async fn links_that_lead_out_are_left_out_or_kept_when_that_is_wanted() {
    let blocks = MemoryBlocks::default();
    let root = chain_of_links(&blocks).await;
    for (outside, left_out) in [(Outside::LeaveOut, vec!["a"]), (Outside::Keep, vec![])] {
        let dir = tempfile::tempdir().unwrap();
        // Into a directory that is there, too.
        let options = ExportOptions {
            max_bytes: 100,
            outside,
        };
        let exported = unixfs::export_with(&blocks, root, dir.path(), options)
            .await
            .unwrap();
        let expected: Vec<_> = left_out.iter().map(std::path::PathBuf::from).collect();
        assert_eq!(exported.left_out, expected);
        assert_eq!(std::fs::read(dir.path().join("b")).unwrap(), b"file");
        assert!(dir.path().join("deep/down/top").is_symlink());
        assert_eq!(dir.path().join("a").is_symlink(), left_out.is_empty());
        let names = std::fs::read_dir(dir.path()).unwrap().count();
        assert_eq!(names, 3 - left_out.len(), "nothing else is there");
    }
}

#[tokio::test]
async fn links_that_no_disk_takes_keep_nothing_else_from_being_written() {
    let blocks = MemoryBlocks::default();
    let file = unixfs::add_bytes(b"file", &blocks).await.unwrap().cid;
    let empty = symlink(&blocks, "").await;
    let zero = symlink(&blocks, "a\0b").await;
    let inner = directory(&blocks, &[("zero", zero)]).await;
    let entries = [("empty", empty), ("file", file), ("inner", inner)];
    let root = directory(&blocks, &entries).await;
    let error = export(&blocks, root).await.unwrap_err().to_string();
    assert!(error.contains("empty: a symbolic link"), "{error}");
    for outside in [Outside::LeaveOut, Outside::Keep] {
        let dir = tempfile::tempdir().unwrap();
        let options = ExportOptions {
            max_bytes: 100,
            outside,
        };
        let exported = unixfs::export_with(&blocks, root, dir.path(), options)
            .await
            .unwrap();
        let expected = ["empty", "inner/zero"].map(std::path::PathBuf::from);
        assert_eq!(exported.impossible, expected);
        assert_eq!(exported.left_out, Vec::<std::path::PathBuf>::new());
        assert_eq!(std::fs::read(dir.path().join("file")).unwrap(), b"file");
        assert!(dir.path().join("inner").is_dir());
    }
    // Nothing is left of a link alone.
    assert!(export(&blocks, empty).await.is_err());
}

/// A file or directory node of this kind and mode.
async fn with_mode(blocks: &MemoryBlocks, kind: u8, mode: u32, entries: &[(&str, Cid)]) -> Cid {
    let mut data = vec![0x08, kind, 0x38];
    data.extend(unsigned_varint::encode::u32(mode, &mut [0; 5]));
    with_data(blocks, entries, data).await
}

/// A node with these links, whose data are not those of a directory.
async fn with_data(blocks: &MemoryBlocks, links: &[(&str, Cid)], data: Vec<u8>) -> Cid {
    let plain = directory(blocks, links).await;
    let bytes = blocks.get(&plain).await.unwrap();
    let mut node = bytes[..bytes.len() - 4].to_vec();
    node.extend([0x0a, u8::try_from(data.len()).unwrap()]);
    node.extend(data);
    let block = Block::encode(cid::DAG_PB, node).unwrap();
    let cid = *block.cid();
    blocks.put_many(vec![block]).await.unwrap();
    cid
}

#[tokio::test]
async fn permissions_of_strangers_let_nobody_else_write() {
    let blocks = MemoryBlocks::default();
    let file = with_mode(&blocks, 2, 0o106_777, &[]).await;
    let shut = with_mode(&blocks, 1, 0o40_000, &[("inner", file)]).await;
    let read = with_mode(&blocks, 1, 0o40_577, &[("inner", shut)]).await;
    let root = with_mode(&blocks, 1, 0o43_577, &[("file", file), ("read", read)]).await;
    let dir = tempfile::tempdir().unwrap();
    let target = dir.path().join("target");
    unixfs::export(&blocks, root, &target, 100).await.unwrap();
    let mode = |path: &str| {
        let metadata = std::fs::metadata(target.join(path)).unwrap();
        metadata.permissions().mode() & 0o7777
    };
    // What the mask of whoever runs the tests takes away may be missing.
    for (path, most) in [
        ("", 0o555),
        ("file", 0o755),
        ("read", 0o555),
        ("read/inner", 0),
    ] {
        assert_eq!(mode(path) & !most, 0, "{path}: {:o}", mode(path));
        assert_eq!(mode(path) & 0o700, most & 0o700, "{path}");
    }
    // Otherwise only root could remove it.
    for path in ["", "read", "read/inner"] {
        let open = std::fs::Permissions::from_mode(0o700);
        std::fs::set_permissions(target.join(path), open).unwrap();
    }
}

#[tokio::test]
async fn what_came_to_the_place_meanwhile_is_not_replaced() {
    let blocks = MemoryBlocks::default();
    let file = unixfs::add_bytes(b"file", &blocks).await.unwrap().cid;
    let root = directory(&blocks, &[("a", file)]).await;
    let dir = tempfile::tempdir().unwrap();
    let target = dir.path().join("target");
    let meddling = Meddling {
        blocks: &blocks,
        target: &target,
    };
    for root in [file, root] {
        let error = unixfs::export(&meddling, root, &target, 100).await;
        assert!(matches!(error, Err(Error::Path { .. })), "{error:?}");
        assert_eq!(std::fs::read(&target).unwrap(), b"the user's");
        let entries = std::fs::read_dir(dir.path()).unwrap().count();
        assert_eq!(entries, 1, "nothing temporary is left");
        std::fs::remove_file(&target).unwrap();
    }
}

/// Makes a file where something is being written to.
struct Meddling<'a> {
    blocks: &'a MemoryBlocks,
    target: &'a std::path::Path,
}

impl BlockSource for Meddling<'_> {
    async fn load(&self, cid: &Cid) -> Result<bytes::Bytes, Error> {
        std::fs::write(self.target, "the user's").unwrap();
        self.blocks.load(cid).await
    }
}

#[tokio::test]
async fn exports_stop_at_their_limit() {
    let blocks = MemoryBlocks::default();
    let large = unixfs::add_bytes(&vec![0; 2 << 20], &blocks)
        .await
        .unwrap()
        .cid;
    assert!(matches!(
        export(&blocks, large).await,
        Err(Error::TooLarge { .. })
    ));
    // The same small file many times over is as large as it is on disk.
    let small = unixfs::add_bytes(&vec![0; 600_000], &blocks)
        .await
        .unwrap()
        .cid;
    let root = directory(&blocks, &[("a", small), ("b", small)]).await;
    assert!(matches!(
        export(&blocks, root).await,
        Err(Error::TooLarge { .. })
    ));
}

#[tokio::test]
async fn missing_and_malformed_parts_are_named() {
    let blocks = MemoryBlocks::default();
    let added = unixfs::add_bytes(&vec![1; 3 << 20], &blocks).await.unwrap();
    let leaf = cid::of(cid::RAW, &vec![1; 1 << 20]);
    blocks.remove(&leaf);
    let error = export(&blocks, added.cid).await.unwrap_err();
    assert!(
        matches!(error, Error::NotFound { cid, .. } if cid == leaf),
        "{error}"
    );
    let junk = Block::encode(cid::DAG_PB, vec![0xff; 40]).unwrap();
    let cid = *junk.cid();
    blocks.put_many(vec![junk]).await.unwrap();
    assert!(matches!(
        export(&blocks, cid).await,
        Err(Error::Malformed { .. })
    ));
}

#[tokio::test]
async fn what_has_no_content_is_refused_with_its_path() {
    let dir = tempfile::tempdir().unwrap();
    let socket = dir.path().join("socket");
    let _listener = std::os::unix::net::UnixListener::bind(&socket).unwrap();
    let (blocks, options) = (MemoryBlocks::default(), AddOptions::default());
    let error = unixfs::add_path(dir.path(), &blocks, &options)
        .await
        .unwrap_err();
    assert!(
        matches!(&error, Error::Unsupported { path, .. } if *path == socket),
        "{error}"
    );
}

/// A shard that says it has `fanout` links, written byte by byte.
async fn shard(blocks: &MemoryBlocks, fanout: u64, links: &[(&str, Cid)]) -> Cid {
    let mut data = vec![0x08, 0x05, 0x28, 0x22, 0x30];
    data.extend(unsigned_varint::encode::u64(fanout, &mut [0; 10]));
    with_data(blocks, links, data).await
}

#[tokio::test]
async fn shards_that_cannot_be_are_refused() {
    let blocks = MemoryBlocks::default();
    let file = unixfs::add_bytes(b"file", &blocks).await.unwrap().cid;
    let empty = shard(&blocks, 256, &[]).await;
    assert_eq!(unixfs::entries(&blocks, empty).await.unwrap(), []);
    for fanout in [0, 1, 7, 255, 1 << 11, 1 << 63] {
        let root = shard(&blocks, fanout, &[]).await;
        assert!(unixfs::entries(&blocks, root).await.is_err(), "{fanout}");
    }
    for links in [
        &[("", file)][..],
        &[("0", file)],
        &[("ZZname", file)],
        &[("+1name", file)],
        // Not where its hash says, twice the same, a name that leads elsewhere, a file for a shard.
        &[("00name", file)],
        &[("00", empty), ("00", empty)],
        &[("00../x", file)],
        &[("00", file)],
        &[("é", file)],
    ] {
        let root = shard(&blocks, 256, links).await;
        let entries = unixfs::entries(&blocks, root).await;
        assert!(entries.is_err(), "{links:?}");
        assert!(unixfs::resolve(&blocks, root, "name").await.is_err());
        assert!(export(&blocks, root).await.is_err());
    }
    // Deeper than a hash has bits.
    let mut deep = empty;
    for _ in 0..9 {
        deep = shard(&blocks, 256, &[("00", deep)]).await;
    }
    assert!(unixfs::entries(&blocks, deep).await.is_err());
}

/// Each directory and each shard was a call within a call once.
#[tokio::test]
async fn directories_of_shards_in_shards_need_no_stack() {
    let blocks = MemoryBlocks::default();
    let hash = murmur3::murmur3_x64_128(&mut &b"d"[..], 0).unwrap();
    let hash = u64::try_from(hash & u128::from(u64::MAX)).unwrap();
    let [first @ .., last] = hash.to_be_bytes();
    for (levels, is_fine) in [(512, true), (513, false)] {
        let mut root = directory(&blocks, &[]).await;
        for _ in 0..levels {
            root = shard(&blocks, 256, &[(&format!("{last:02X}d"), root)]).await;
            for number in first.iter().rev() {
                root = shard(&blocks, 256, &[(&format!("{number:02X}"), root)]).await;
            }
        }
        assert_eq!(export(&blocks, root).await.is_ok(), is_fine, "{levels}");
    }
    for (levels, is_fine) in [(512, true), (513, false)] {
        let mut root = directory(&blocks, &[]).await;
        for _ in 0..levels {
            root = directory(&blocks, &[("d", root)]).await;
        }
        assert_eq!(export(&blocks, root).await.is_ok(), is_fine, "{levels}");
    }
}

/// Two links to the same block in each of many levels: more of them than could ever be looked at.
#[tokio::test]
async fn paths_and_directories_end_somewhere() {
    let blocks = MemoryBlocks::default();
    let mut root = directory(&blocks, &[]).await;
    for _ in 0..600 {
        root = directory(&blocks, &[("a", root), ("b", root)]).await;
    }
    assert!(export(&blocks, root).await.is_err());
    let path = "a/".repeat(257);
    let error = unixfs::resolve(&blocks, root, &path).await.unwrap_err();
    assert!(matches!(error, Error::TooLarge { .. }), "{error}");
}
