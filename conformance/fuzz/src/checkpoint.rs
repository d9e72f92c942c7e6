//! Checkpoints from anywhere: refused, or such that the guest that goes on keeps its limits.

use arbitrary::{Result, Unstructured};
use mc_checkpoint::{
    Ability, Sites, instrument_module,
    snapshot::{BadCheckpoint, Checkpoint, Memory, PAGE_BYTES},
};
use mc_types::{Cid, canonical, cid};
use mc_wasi::{
    Bounds, FileSystem, Host, InMemory, Mount, OpenFlags, Opening, Preview, Quota, Setup, State,
    Tree,
};
use std::sync::OnceLock;

/// Bytes and files that the guest may write.
const QUOTA: Quota = Quota {
    bytes: 100_000,
    files: 100,
};
/// Pages that are read of one memory.
const MAX_PAGES: usize = 2_000;

/// Three functions, of which one calls the second directly and the third through a table.
const FUNCTIONS: &str = r#"
(module
  (type $t (func (param i32) (result i32)))
  (table 1 funcref)
  (elem (i32.const 0) $third)
  (func $first (param i32) (result i32)
    (i32.add (call $second (local.get 0)) (call_indirect (type $t) (local.get 0) (i32.const 0))))
  (func $second (param i32) (result i32)
    (loop (br_if 0 (local.tee 0 (i32.sub (local.get 0) (i32.const 1)))))
    (local.get 0))
  (func $third (type $t) (local i64 f64)
    (loop (local.set 1 (i64.add (local.get 1) (i64.const 1))) (br_if 0 (i64.eqz (local.get 1))))
    (i32.wrap_i64 (local.get 1))))
"#;

/// A header is what it encodes to, or refused.
pub fn checkpoint_header(bytes: &[u8]) {
    if let Ok(checkpoint) = Checkpoint::read(bytes) {
        let (_, encoded) = checkpoint.to_block().unwrap();
        assert_eq!(encoded, bytes, "one checkpoint, one encoding");
    }
}

/// The pages of a memory lie within it, in order, whatever its blocks are.
pub fn checkpoint_memory(bytes: &[u8]) {
    let size = 1_u64 << (16 + bytes.first().copied().unwrap_or_default() % 14);
    let memory = Memory {
        bytes: size,
        root: Some(cid::of(cid::DAG_CBOR, bytes)),
    };
    // Every link leads to the same node, or to a page.
    let get = |cid: &Cid| {
        Ok::<_, BadCheckpoint>(if cid.codec() == cid::RAW {
            vec![1; PAGE_BYTES]
        } else {
            bytes.to_vec()
        })
    };
    let (mut reader, mut end) = (memory.reader(), 0);
    for _ in 0..MAX_PAGES {
        let Ok(Some((address, page))) = reader.next(get) else {
            return;
        };
        assert!(address >= end, "pages in order");
        end = address + u64::try_from(page.len()).unwrap();
        assert!(end <= size, "a page beyond the end");
    }
}

/// Frames fit the program, or are refused.
pub fn checkpoint_frames(bytes: &[u8]) {
    static SITES: OnceLock<Sites> = OnceLock::new();
    let sites = SITES.get_or_init(|| {
        let module = wat::parse_str(FUNCTIONS).unwrap();
        let program = instrument_module(&module, Ability::Stop).unwrap();
        program.sites.unwrap()
    });
    if sites.check(bytes).is_ok() {
        assert!(!bytes.is_empty());
        let mut longer = bytes.to_vec();
        longer.insert(0, 0);
        assert!(sites.check(&longer).is_err(), "a part of a frame is left");
    }
}

fn host() -> Host {
    let setup = Setup {
        args: vec!["task".to_owned()],
        env: vec![("a".to_owned(), "b".to_owned())],
        mounts: vec![Mount {
            path: "/w".to_owned(),
            given: true,
            writable: true,
        }],
        bounds: Bounds {
            output_bytes: 1_000,
            files: QUOTA,
            handles: 50,
        },
        start_seconds: None,
    };
    let tree = Tree::directory([("d", Tree::directory([("f", Tree::file("hello"))]))]);
    let inputs = InMemory {
        mounts: vec![tree],
        ..InMemory::default()
    };
    Host::new(setup, Preview::One, Box::new(inputs))
}

fn create() -> Opening {
    Opening {
        flags: OpenFlags {
            create: true,
            write: true,
            ..OpenFlags::default()
        },
        read: true,
        ..Opening::default()
    }
}

/// The state of a world in which something was done, changed here and there.
pub fn checkpoint_world(bytes: &[u8]) {
    let mut source = Unstructured::new(bytes);
    let Ok(state) = changed(&mut source) else {
        return;
    };
    let Ok(state) = State::from_bytes(&state) else {
        return;
    };
    let mut host = host();
    if host.restore(state).is_err() {
        return;
    }
    // Whatever it is, the guest can do no more than it could, and harms nobody but itself.
    let preopen = 3;
    for path in ["w/d/f", "w/new", "w/d/../x", "w/y"] {
        if let Ok(handle) = host.open_at(preopen, path, create()) {
            let _ = host.write_at(handle, 70_000, &[7; 40_000]);
            let _ = host.read_at(handle, 0, &mut [0; 100]);
            let _ = host.list(handle);
            let _ = host.close(handle);
        }
    }
    let _ = host.rename((preopen, "w/d"), (preopen, "w/e"));
    let _ = host.remove_file(preopen, "w/x");
    let (files, inputs) = host.files();
    let root = files.stat_at(FileSystem::ROOT, "w", true, inputs);
    drop(root);
}

/// The bytes of a good state, of which some are others.
fn changed(source: &mut Unstructured<'_>) -> Result<Vec<u8>> {
    let mut host = host();
    let preopen = 3;
    for path in ["w/new", "w/d/x"] {
        let handle = host.open_at(preopen, path, create()).unwrap();
        host.write_at(handle, 0, b"some bytes").unwrap();
    }
    let mut bytes = host.state().to_bytes().unwrap();
    for _ in 0..source.int_in_range(0..=4)? {
        let position = source.choose_index(bytes.len())?;
        bytes[position] = source.arbitrary()?;
    }
    if source.ratio(1, 8)? {
        let length = source.choose_index(bytes.len())?;
        bytes.truncate(length);
    }
    Ok(bytes)
}

/// Everything of a checkpoint that comes from elsewhere.
pub fn checkpoint(bytes: &[u8]) {
    checkpoint_header(bytes);
    checkpoint_memory(bytes);
    checkpoint_frames(bytes);
    checkpoint_world(bytes);
    let _ = canonical::decode::<Vec<Option<Cid>>>(bytes);
}
