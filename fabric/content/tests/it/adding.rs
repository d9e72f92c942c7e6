//! What is kept of a tree on disk, and what is refused.

use mc_content::{
    AddOptions, Block, BlockSink, Error, MemoryBlocks, unixfs,
    unixfs::{EntryKind, Symlinks},
};
use std::{
    ffi::OsStr,
    fs,
    io::Write,
    os::unix::{
        ffi::OsStrExt,
        fs::{PermissionsExt, symlink},
        net::UnixListener,
    },
    path::Path,
};

#[tokio::test]
async fn permissions_are_kept_if_wanted_and_strangers_get_none() {
    let dir = tempfile::tempdir().unwrap();
    let tree = dir.path().join("tree");
    fs::create_dir(&tree).unwrap();
    for (name, mode) in [("tool", 0o755), ("text", 0o640), ("odd", 0o4755)] {
        fs::write(tree.join(name), name).unwrap();
        fs::set_permissions(tree.join(name), fs::Permissions::from_mode(mode)).unwrap();
    }
    fs::set_permissions(&tree, fs::Permissions::from_mode(0o750)).unwrap();
    let blocks = MemoryBlocks::default();
    let options = AddOptions {
        modes: true,
        ..AddOptions::default()
    };
    let added = unixfs::add_path(&tree, &blocks, &options).await.unwrap();
    let copy = dir.path().join("copy");
    unixfs::export(&blocks, added.cid, &copy, u64::MAX)
        .await
        .unwrap();
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o7777;
    assert_eq!(mode(&copy), 0o750);
    assert_eq!(mode(&copy.join("tool")), 0o755);
    assert_eq!(mode(&copy.join("text")), 0o640);
    assert_eq!(mode(&copy.join("odd")), 0o755, "no right to be its owner");
    let odd = unixfs::resolve(&blocks, added.cid, "odd").await.unwrap();
    let stat = unixfs::stat(&blocks, odd).await.unwrap();
    assert_eq!((stat.mode, stat.file_bytes), (Some(0o4755), 3));
}

#[tokio::test]
async fn symbolic_links_are_kept_followed_or_refused() {
    let dir = tempfile::tempdir().unwrap();
    let tree = dir.path().join("tree");
    fs::create_dir(&tree).unwrap();
    fs::write(tree.join("file"), "bytes").unwrap();
    symlink("file", tree.join("link")).unwrap();
    let blocks = MemoryBlocks::default();
    let add = async |symlinks| {
        let options = AddOptions {
            symlinks,
            ..AddOptions::default()
        };
        unixfs::add_path(&tree, &blocks, &options).await
    };
    let kept = add(Symlinks::Keep).await.unwrap().cid;
    let link = unixfs::resolve(&blocks, kept, "link").await.unwrap();
    let kind = unixfs::stat(&blocks, link).await.unwrap().kind;
    assert_eq!(kind, EntryKind::Symlink);
    let followed = add(Symlinks::Follow).await.unwrap().cid;
    let link = unixfs::resolve(&blocks, followed, "link").await.unwrap();
    let bytes = unixfs::read_to_vec(&blocks, link, 100).await.unwrap();
    assert_eq!(bytes, b"bytes");
    assert!(add(Symlinks::Refuse).await.is_err());
    symlink(".", tree.join("circle")).unwrap();
    let error = add(Symlinks::Follow).await.unwrap_err().to_string();
    assert!(error.contains("circle"), "{error}");
    add(Symlinks::Keep).await.unwrap();
}

/// A file that grows while it is added is refused, whatever was read of it.
#[tokio::test]
async fn files_that_change_while_they_are_added_are_refused() {
    struct Growing<'a>(&'a Path, MemoryBlocks);

    impl BlockSink for Growing<'_> {
        async fn put_many(&self, blocks: Vec<Block>) -> Result<(), Error> {
            let mut file = fs::OpenOptions::new().append(true).open(self.0).unwrap();
            file.write_all(b"more").unwrap();
            self.1.put_many(blocks).await
        }
    }

    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("log");
    fs::write(&path, vec![7; 20 << 20]).unwrap();
    let sink = Growing(&path, MemoryBlocks::default());
    let error = unixfs::add_path(&path, &sink, &AddOptions::default())
        .await
        .unwrap_err();
    assert!(error.to_string().contains("changed"), "{error}");
}

#[tokio::test]
async fn what_no_guest_sees_is_left_out_for_guests_and_refused_otherwise() {
    let dir = tempfile::tempdir().unwrap();
    let (tree, plain) = (dir.path().join("tree"), dir.path().join("plain"));
    for tree in [&tree, &plain] {
        fs::create_dir_all(tree.join("sub")).unwrap();
        fs::write(tree.join("sub/file"), "text").unwrap();
    }
    let bad = OsStr::from_bytes(b"bad\xff");
    let _socket = UnixListener::bind(tree.join("sub/socket")).unwrap();
    let blocks = MemoryBlocks::default();
    let add = async |path: &Path, for_guests| {
        let options = AddOptions {
            for_guests,
            ..AddOptions::default()
        };
        let added = unixfs::add_path(path, &blocks, &options).await;
        added.map(|added| added.cid)
    };
    let expected = add(&plain, false).await.unwrap();
    add(&tree, false).await.unwrap_err();
    assert_eq!(add(&tree, true).await.unwrap(), expected);
    fs::remove_file(tree.join("sub/socket")).unwrap();
    fs::write(tree.join(bad), "text").unwrap();
    add(&tree, false).await.unwrap_err();
    assert_eq!(add(&tree, true).await.unwrap(), expected);
    fs::remove_file(tree.join(bad)).unwrap();
    symlink(bad, tree.join("link")).unwrap();
    add(&tree, false).await.unwrap_err();
    fs::create_dir(tree.join(".mc-wasm-staging-abc123")).unwrap();
    assert_eq!(add(&tree, true).await.unwrap(), expected);
}
