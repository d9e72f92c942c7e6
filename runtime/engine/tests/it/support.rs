//! Engines, programs and invocations for the tests.

use mc_artifacts::guest;
use mc_engine::{
    CancellationToken, Engine, Execution, Invocation, Options, Output, Program, Target, World,
};
use mc_types::{Determinism, Limits, cid};
use mc_wasi::{InMemory, Mount};
use std::{collections::BTreeMap, path::Path};

pub(crate) fn engine() -> Engine {
    Engine::new(&Options::default()).unwrap()
}

/// The two engines whose outcomes are compared.
pub(crate) fn engines() -> [Engine; 2] {
    [Target::Native, Target::Pulley].map(|target| {
        Engine::new(&Options {
            target,
            ..Options::default()
        })
        .unwrap()
    })
}

pub(crate) fn program(engine: &Engine, path: &Path) -> Program {
    let bytes = std::fs::read(path).unwrap();
    load(engine, &bytes)
}

pub(crate) fn load(engine: &Engine, bytes: &[u8]) -> Program {
    let cid = cid::of(cid::RAW, bytes);
    engine
        .load(&cid, bytes, Determinism::Deterministic)
        .unwrap()
}

pub(crate) fn mount(path: &str, given: bool, writable: bool) -> Mount {
    Mount {
        path: path.to_owned(),
        given,
        writable,
    }
}

/// An invocation of a guest that has nothing but `/out` and `/tmp`.
pub(crate) fn invocation(args: &[&str]) -> Invocation {
    with_inputs(args, vec![], InMemory::default())
}

/// An invocation of a guest that is given `inputs` at `paths`, besides `/out` and `/tmp`.
pub(crate) fn with_inputs(args: &[&str], paths: Vec<Mount>, inputs: InMemory) -> Invocation {
    let mut mounts = paths;
    mounts.push(mount("/out", false, true));
    mounts.push(mount("/tmp", false, true));
    Invocation {
        name: "guest".to_owned(),
        args: args.iter().map(ToString::to_string).collect(),
        env: BTreeMap::new(),
        limits: Limits::default(),
        world: World::Deterministic {
            mounts,
            inputs: Box::new(inputs),
            start_seconds: None,
        },
        stdout: Output::Memory,
        stderr: Output::Memory,
        timeout: None,
        cancel: CancellationToken::new(),
        checkpoints: None,
        resume: None,
    }
}

pub(crate) fn run(name: &str, limits: Limits) -> Execution {
    let invocation = Invocation {
        limits,
        ..invocation(&[])
    };
    program(&engine(), &guest(name)).run(invocation).unwrap()
}

pub(crate) fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).unwrap()
}

/// The bytes of a file that a guest left.
pub(crate) fn file(execution: &mut Execution, path: &str) -> Option<Vec<u8>> {
    let (files, inputs) = execution.world.as_mut()?.files();
    let root = mc_wasi::FileSystem::ROOT;
    let path = path.trim_start_matches('/');
    let stat = files.stat_at(root, path, true, inputs).ok()?;
    let mut bytes = vec![0; usize::try_from(stat.size).unwrap()];
    files.read(stat.node, 0, &mut bytes, inputs).unwrap();
    Some(bytes)
}
