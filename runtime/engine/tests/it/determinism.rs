//! One task, one outcome: whatever executes it, and whatever else goes on.

use crate::support::{file, mount, with_inputs};
use mc_artifacts::{example, guest};
use mc_engine::{Allocation, Engine, Execution, Invocation, Options, Program, Target};
use mc_types::{Determinism::Deterministic, Limits, Meter, Termination, cid};
use mc_wasi::{InMemory, Tree};
use std::path::{Path, PathBuf};

/// Guests with arguments and with whether they are given files.
const GUESTS: &[(&str, &[&str])] = &[
    ("exit_zero", &[]),
    ("exit_failure", &[]),
    ("trap_unreachable", &[]),
    ("trap_stack", &[]),
    ("trap_recursion", &[]),
    ("cpu_forever", &[]),
    ("sleep_forever", &[]),
    ("memory_hog", &[]),
    ("output_flood", &[]),
    ("file_flood", &["9"]),
    ("echo_world", &["a", "b"]),
    ("copy_tree", &[]),
    ("ticks", &["3", "1"]),
];

/// All that peers must agree on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Agreed {
    end: Termination,
    pub(crate) fuel: u64,
    meter: Meter,
    pub(crate) stdout: Vec<u8>,
    pub(crate) stderr: Vec<u8>,
    files: Vec<Option<Vec<u8>>>,
}

impl From<Execution> for Agreed {
    fn from(mut execution: Execution) -> Self {
        let paths = ["/out/flood", "/out/tree/deep/file", "/out/counts.json"];
        let files = paths.map(|path| file(&mut execution, path)).to_vec();
        Self {
            end: execution.end,
            fuel: execution.usage.fuel,
            meter: execution.meter,
            stdout: execution.stdout,
            stderr: execution.stderr,
            files,
        }
    }
}

pub(crate) fn invocation(args: &[&str]) -> Invocation {
    let tree = Tree::directory([
        ("deep", Tree::directory([("file", Tree::file("bytes"))])),
        ("empty", Tree::file("")),
    ]);
    let inputs = InMemory {
        mounts: vec![tree],
        stdin: b"line\n".to_vec(),
        seed: [7; 32],
    };
    Invocation {
        limits: Limits {
            fuel: Some(30_000_000),
            memory_bytes: 32 << 20,
            output_bytes: 1 << 20,
            scratch_bytes: 4 << 20,
            ..Limits::default()
        },
        ..with_inputs(args, vec![mount("/in/tree", true, false)], inputs)
    }
}

pub(crate) fn programs() -> Vec<(PathBuf, &'static [&'static str])> {
    let guests = GUESTS.iter().map(|(name, args)| (guest(name), *args));
    guests.chain([(example("word-count"), &[][..])]).collect()
}

pub(crate) fn load(engine: &Engine, path: &Path) -> Program {
    let bytes = std::fs::read(path).unwrap();
    let cid = cid::of(cid::RAW, &bytes);
    engine.load(&cid, &bytes, Deterministic).unwrap()
}

#[test]
fn every_guest_has_one_outcome_on_every_engine() {
    let cache = tempfile::tempdir().unwrap();
    let make = |target, allocation, cached: bool| {
        Engine::new(&Options {
            cache_dir: cached.then(|| cache.path().join("cache")),
            target,
            allocation,
            ..Options::default()
        })
        .unwrap()
    };
    let pool = Allocation::Pooling { slots: 4 };
    let engines = [
        (
            "cold cache",
            make(Target::Native, Allocation::OnDemand, true),
        ),
        (
            "warm cache",
            make(Target::Native, Allocation::OnDemand, true),
        ),
        ("pooled", make(Target::Native, pool, false)),
        ("Pulley", make(Target::Pulley, Allocation::OnDemand, true)),
        ("pooled Pulley", make(Target::Pulley, pool, false)),
    ];
    for (path, args) in programs() {
        let mut first: Option<Agreed> = None;
        for (name, engine) in &engines {
            let ended = load(engine, &path).run(invocation(args)).unwrap();
            let agreed = Agreed::from(ended);
            assert_eq!(agreed.meter, Meter::Operators1);
            let first = first.get_or_insert_with(|| agreed.clone());
            assert_eq!(*first, agreed, "{} with {name}", path.display());
        }
    }
}

#[test]
fn guests_side_by_side_do_not_touch_each_other() {
    let engine = Engine::new(&Options {
        allocation: Allocation::Pooling { slots: 16 },
        ..Options::default()
    })
    .unwrap();
    let alone: Vec<_> = programs()
        .into_iter()
        .map(|(path, args)| {
            let program = load(&engine, &path);
            let agreed = Agreed::from(program.run(invocation(args)).unwrap());
            (program, args, agreed)
        })
        .collect();
    std::thread::scope(|scope| {
        for (program, args, agreed) in &alone {
            scope.spawn(move || {
                for _ in 0..2 {
                    let ended = program.run(invocation(args)).unwrap();
                    assert_eq!(Agreed::from(ended), *agreed);
                }
            });
        }
    });
}
