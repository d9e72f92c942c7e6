//! Executions within one process: how long a small component takes from its instance to its outcome,
//! how many of them two threads do in a second, and what reading a little of a large input costs.

use crate::measurements::median;
use anyhow::{Context, Result, ensure};
use mc_artifacts::guest;
use mc_engine::{
    Allocation, CancellationToken, Engine, Execution, Invocation, Options, Output, Program, World,
};
use mc_types::{
    Cid, Determinism, Limits, Outcome, Termination, canonical,
    cid::{self, RAW},
};
use mc_wasi::{InMemory, Mount};
use serde_json::{Value, json};
use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

/// Counted executions of one thread.
const RUNS: usize = 2_000;
/// How long two threads run as many as they can.
const RATE_FOR: Duration = Duration::from_secs(3);
const THREADS: usize = 2;

pub(crate) fn measure() -> Result<Value> {
    let engine = Engine::new(&Options {
        allocation: Allocation::Pooling { slots: 4 },
        ..Options::default()
    })?;
    let bytes = std::fs::read(guest("exit_zero"))?;
    let component = cid::of(RAW, &bytes);
    let program = engine.load(&component, &bytes, Determinism::Deterministic)?;
    for _ in 0..100 {
        outcome(&program, component)?;
    }
    let mut times = Vec::with_capacity(RUNS);
    for _ in 0..RUNS {
        let begun = Instant::now();
        outcome(&program, component)?;
        times.push(begun.elapsed().as_secs_f64() * 1e6);
    }
    Ok(json!({
        "warm_start_us": median(times),
        "runs": RUNS,
        "runs_per_s": rate(&program, component)?,
        "threads": THREADS,
    }))
}

/// Executions per second of all threads together.
fn rate(program: &Program, component: Cid) -> Result<f64> {
    let begun = Instant::now();
    let counts = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..THREADS)
            .map(|_| {
                scope.spawn(|| {
                    let mut count = 0_u32;
                    while begun.elapsed() < RATE_FOR {
                        outcome(program, component)?;
                        count += 1;
                    }
                    Ok::<_, anyhow::Error>(count)
                })
            })
            .collect();
        let counts = threads.into_iter().map(|thread| thread.join());
        counts.collect::<Vec<_>>()
    });
    let mut sum = 0.0;
    for count in counts {
        let count = count.ok().context("a thread panicked")?;
        sum += f64::from(count?);
    }
    Ok(sum / begun.elapsed().as_secs_f64())
}

/// Everything from the instance to the CID of the outcome.
fn outcome(program: &Program, component: Cid) -> Result<Cid> {
    let execution = program.run(invocation())?;
    ensure!(
        execution.end == Termination::Exited { code: 0 },
        "the guest failed"
    );
    let Execution {
        end,
        usage,
        meter,
        stdout,
        stderr,
        ..
    } = execution;
    let outcome = Outcome {
        task: component,
        end,
        stdout: cid::of(RAW, &stdout),
        stderr: cid::of(RAW, &stderr),
        outputs: component,
        dirs: BTreeMap::new(),
        fuel: usage.fuel,
        meter,
    };
    Ok(canonical::encode(&outcome)?.0)
}

pub(crate) fn invocation() -> Invocation {
    let mount = |path: &str| Mount {
        path: path.to_owned(),
        given: false,
        writable: true,
    };
    Invocation {
        name: "guest".to_owned(),
        args: Vec::new(),
        env: BTreeMap::new(),
        limits: Limits::default(),
        world: World::Deterministic {
            mounts: vec![mount("/out"), mount("/tmp")],
            inputs: Box::new(InMemory::default()),
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
