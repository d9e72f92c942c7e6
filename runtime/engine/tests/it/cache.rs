//! The cache of compiled code.

use crate::support::invocation;
use mc_artifacts::guest;
use mc_engine::{Allocation, Engine, Options};
use mc_types::{Determinism::Deterministic, Termination, cid};

#[test]
fn compiled_code_outlives_the_engine_and_damage_is_compiled_again() {
    let dir = tempfile::tempdir().unwrap();
    let cache = dir.path().join("cache");
    let options = Options {
        cache_dir: Some(cache.clone()),
        ..Options::default()
    };
    let bytes = std::fs::read(guest("exit_zero")).unwrap();
    let cid = cid::of(cid::RAW, &bytes);
    let engine = Engine::new(&options).unwrap();
    assert!(engine.cached(&cid, Deterministic).is_none());
    engine.load(&cid, &bytes, Deterministic).unwrap();
    let second = Engine::new(&options).unwrap();
    let program = second.cached(&cid, Deterministic).unwrap();
    let ended = program.run(invocation(&[])).unwrap();
    assert_eq!(ended.end, Termination::Exited { code: 0 });
    let entry = std::fs::read_dir(&cache)
        .unwrap()
        .next()
        .unwrap()
        .unwrap()
        .path();
    let mut damaged = std::fs::read(&entry).unwrap();
    let middle = damaged.len() / 2;
    damaged[middle] ^= 1;
    std::fs::write(&entry, damaged).unwrap();
    let third = Engine::new(&options).unwrap();
    assert!(third.cached(&cid, Deterministic).is_none());
    third.load(&cid, &bytes, Deterministic).unwrap();
    let fourth = Engine::new(&options).unwrap();
    assert!(fourth.cached(&cid, Deterministic).is_some());
}

#[test]
fn code_that_one_process_compiled_serves_a_pool_in_another() {
    let dir = tempfile::tempdir().unwrap();
    let options = Options {
        cache_dir: Some(dir.path().join("cache")),
        ..Options::default()
    };
    let bytes = std::fs::read(guest("exit_zero")).unwrap();
    let cid = cid::of(cid::RAW, &bytes);
    let single = Engine::new(&options).unwrap();
    single.load(&cid, &bytes, Deterministic).unwrap();
    let pooled = Engine::new(&Options {
        allocation: Allocation::Pooling { slots: 2 },
        ..options
    })
    .unwrap();
    let program = pooled.cached(&cid, Deterministic).unwrap();
    let ended = program.run(invocation(&[])).unwrap();
    assert_eq!(ended.end, Termination::Exited { code: 0 });
}
