use mc_content::{AddOptions, BlockSource, MemoryBlocks, unixfs};
use mc_types::cid;
use rand::{RngExt, SeedableRng, rngs::StdRng};
use std::{collections::BTreeMap, fs, path::Path};

async fn cid_of_bytes(bytes: &[u8]) -> String {
    unixfs::add_bytes(bytes, &MemoryBlocks::default())
        .await
        .unwrap()
        .cid
        .to_string()
}

/// CIDs that `ipfs add --cid-version 1` gives for the same content.
#[tokio::test]
async fn well_known_content_has_its_well_known_cid() {
    let empty = "bafkreihdwdcefgh4dqkjv67uzcmw7ojee6xedzdetojuzjevtenxquvyku";
    assert_eq!(cid_of_bytes(b"").await, empty);
    let hello = "bafkreifjjcie6lypi6ny7amxnfftagclbuxndqonfipmb64f2km2devei4";
    assert_eq!(cid_of_bytes(b"hello world\n").await, hello);
    let dir = tempfile::tempdir().unwrap();
    let (blocks, options) = (MemoryBlocks::default(), AddOptions::default());
    let added = unixfs::add_path(dir.path(), &blocks, &options)
        .await
        .unwrap();
    let empty_dir = "bafybeiczsscdsbs7ffqz55asqdf3smv6klcw3gofszvwlyarci47bgf354";
    assert_eq!(added.cid.to_string(), empty_dir);
}

/// The root of a file of two leaves, put together by hand from the specification of UnixFS.
#[tokio::test]
async fn file_of_several_leaves_has_the_root_that_the_specification_gives() {
    let bytes = vec![5u8; (1 << 20) + 10];
    let leaves = [&bytes[..1 << 20], &bytes[1 << 20..]];
    let mut root = Vec::new();
    for leaf in leaves {
        let hash = cid::of(cid::RAW, leaf).to_bytes();
        let mut link = vec![0x0a, u8::try_from(hash.len()).unwrap()];
        link.extend(&hash);
        link.extend([0x12, 0x00, 0x18]);
        varint(&mut link, leaf.len());
        root.extend([0x12, u8::try_from(link.len()).unwrap()]);
        root.extend(link);
    }
    let mut data = vec![0x08, 0x02, 0x18];
    varint(&mut data, bytes.len());
    for leaf in leaves {
        data.push(0x20);
        varint(&mut data, leaf.len());
    }
    root.extend([0x0a, u8::try_from(data.len()).unwrap()]);
    root.extend(data);
    let blocks = MemoryBlocks::default();
    let added = unixfs::add_bytes(&bytes, &blocks).await.unwrap();
    assert_eq!(blocks.get(&added.cid).await.unwrap(), root);
    assert_eq!(added.cid, cid::of(cid::DAG_PB, &root));
}

fn varint(bytes: &mut Vec<u8>, mut value: usize) {
    while value >= 0x80 {
        bytes.push(u8::try_from(value & 0x7f).unwrap() | 0x80);
        value >>= 7;
    }
    bytes.push(u8::try_from(value).unwrap());
}

/// Everything below a directory: files with their bytes, links with their targets, directories.
fn listing(dir: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut found = BTreeMap::new();
    let mut pending = vec![dir.to_owned()];
    while let Some(path) = pending.pop() {
        for entry in fs::read_dir(&path).unwrap() {
            let path = entry.unwrap().path();
            let name = path.strip_prefix(dir).unwrap().display().to_string();
            let kind = fs::symlink_metadata(&path).unwrap();
            if kind.is_symlink() {
                let target = fs::read_link(&path).unwrap().display().to_string();
                found.insert(name, format!("-> {target}").into_bytes());
            } else if kind.is_dir() {
                found.insert(format!("{name}/"), Vec::new());
                pending.push(path);
            } else {
                found.insert(name, fs::read(&path).unwrap());
            }
        }
    }
    found
}

fn fill(random: &mut StdRng, dir: &Path, depth: u32) {
    for n in 0..random.random_range(0..6) {
        let path = dir.join(format!("entry {n} ü"));
        match random.random_range(0..10) {
            0..3 if depth < 4 => {
                fs::create_dir(&path).unwrap();
                fill(random, &path, depth + 1);
            }
            3 => std::os::unix::fs::symlink(format!("entry {}", n + 1), &path).unwrap(),
            4 => fs::write(&path, vec![0; random.random_range(1_000_000..3_000_000)]).unwrap(),
            _ => {
                let length = random.random_range(0..5_000);
                let bytes: Vec<u8> = (0..length).map(|_| random.random()).collect();
                fs::write(&path, bytes).unwrap();
            }
        }
    }
}

#[tokio::test]
async fn random_trees_come_back_as_they_were() {
    for seed in 0..30 {
        let mut random = StdRng::seed_from_u64(seed);
        let dir = tempfile::tempdir().unwrap();
        let tree = dir.path().join("tree");
        fs::create_dir(&tree).unwrap();
        fill(&mut random, &tree, 0);
        let blocks = MemoryBlocks::default();
        let options = AddOptions {
            chunk_bytes: random.random_range(1_000..1 << 20),
            ..AddOptions::default()
        };
        let added = unixfs::add_path(&tree, &blocks, &options).await.unwrap();
        let copy = dir.path().join("copy");
        unixfs::export(&blocks, added.cid, &copy, u64::MAX)
            .await
            .unwrap();
        assert_eq!(listing(&copy), listing(&tree), "seed {seed}");
        let again = unixfs::add_path(&copy, &MemoryBlocks::default(), &options)
            .await
            .unwrap();
        assert_eq!(again.cid, added.cid, "seed {seed}");
    }
}
