//! A guest that is stopped and resumed comes to the outcome of one that was not.

use crate::{
    determinism::{Agreed, invocation, programs},
    support::engines,
};
use mc_engine::{
    Checkpoints, Engine, Execution, Keeper, Need, Next, Output, Program, RunError, Saved,
    StopSignal, Stopped,
};
use mc_types::cid;
use std::{
    path::Path,
    sync::{Arc, Mutex},
};

type Kept = Arc<Mutex<Vec<Saved>>>;

/// Keeps every state, and goes on at the next of its positions.
struct CheckpointRecorder {
    kept: Kept,
    then: Vec<u64>,
}

impl Keeper for CheckpointRecorder {
    fn keep(&mut self, stopped: &Stopped<'_>) -> Result<Next, RunError> {
        self.kept.lock().unwrap().push(stopped.save(None));
        if self.then.is_empty() {
            return Ok(Next::Leave);
        }
        Ok(Next::GoOn {
            until: Some(self.then.remove(0)),
        })
    }
}

/// Runs `program` from `from` on, and stops it at `positions`; at the last one it is left.
fn run(
    program: &Program,
    args: &[&str],
    from: Option<&Saved>,
    positions: &[u64],
) -> (Result<Execution, RunError>, Vec<Saved>, [Vec<u8>; 2]) {
    let kept = Kept::default();
    let checkpoints = positions.split_first().map(|(first, then)| Checkpoints {
        first: Some(*first),
        stop_signal: StopSignal::default(),
        keeper: Box::new(CheckpointRecorder {
            kept: Arc::clone(&kept),
            then: then.to_vec(),
        }),
    });
    let dir = tempfile::tempdir().unwrap();
    let files = ["stdout", "stderr"].map(|name| dir.path().join(name));
    let mut invocation = invocation(args);
    invocation.stdout = Output::File(files[0].clone());
    invocation.stderr = Output::File(files[1].clone());
    invocation.checkpoints = checkpoints;
    invocation.resume = from.map(Saved::resume);
    let ended = program.run(invocation);
    let kept = std::mem::take(&mut *kept.lock().unwrap());
    // What is refused writes nothing, not even an empty file.
    let written = files.map(|path| std::fs::read(path).unwrap_or_default());
    (ended, kept, written)
}

fn load(engine: &Engine, path: &Path, need: Need) -> Program {
    let bytes = std::fs::read(path).unwrap();
    let cid = cid::of(cid::RAW, &bytes);
    engine.load(&cid, &bytes, need).unwrap()
}

/// Numbers that look random.
fn random(seed: u64) -> impl FnMut(u64) -> u64 {
    let mut state = seed;
    move |below| {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) % below.max(1)
    }
}

#[test]
fn resumed_guests_come_to_the_same_outcome_wherever_they_were_stopped() {
    let engines = engines();
    let mut stops = 0;
    for (path, args) in programs() {
        let name = path.display().to_string();
        let programs = engines
            .each_ref()
            .map(|engine| load(engine, &path, Need::Resume));
        let first = load(&engines[0], &path, Need::Run);
        assert!(
            first.stops() && !first.resumes() && programs[0].resumes(),
            "{name}"
        );
        let whole = Agreed::from(programs[0].run(invocation(args)).unwrap());
        let mut random = random(whole.fuel);
        for round in 0..12 {
            let (mut from, mut output) = (None, [Vec::new(), Vec::new()]);
            let mut position = 0;
            // A chain of machines, each of which has the guest for a while. The first needs no more than
            // to stop it.
            let chain = programs.iter().cycle().skip(round);
            for program in std::iter::once(&first).chain(chain) {
                position += random(whole.fuel / 2);
                let (ended, mut kept, written) = run(program, args, from.as_ref(), &[position]);
                output
                    .iter_mut()
                    .zip(&written)
                    .for_each(|(all, part)| all.extend(part));
                match ended {
                    Err(RunError::Left) => {
                        from = kept.pop();
                        stops += 1;
                    }
                    ended => {
                        let mut agreed = Agreed::from(ended.unwrap());
                        [agreed.stdout, agreed.stderr] = output;
                        assert_eq!(whole, agreed, "{name}, round {round}");
                        break;
                    }
                }
            }
        }
    }
    assert!(stops > 100, "{stops}");
}

#[test]
fn state_at_a_position_does_not_depend_on_earlier_stops() {
    let engines = engines();
    for (path, args) in programs() {
        let name = path.display().to_string();
        let [native, pulley] = engines
            .each_ref()
            .map(|engine| load(engine, &path, Need::Resume));
        let fuel = native.run(invocation(args)).unwrap().usage.fuel;
        // A position is not where the guest stops but the site after it: keep them apart.
        if fuel < 50_000 {
            continue;
        }
        let positions: Vec<_> = (1..8).map(|part| fuel / 9 * part).collect();
        // Once straight on in one instance, once from one instance to the next, once directly.
        let (_, straight, _) = run(&native, args, None, &positions);
        let mut from: Option<Saved> = None;
        for (number, snapshot) in straight.iter().enumerate() {
            let position = positions[number];
            let program = if number % 2 == 0 { &pulley } else { &native };
            let (_, kept, _) = run(program, args, from.as_ref(), &[position]);
            assert_eq!(kept.first(), Some(snapshot), "{name} at {position}");
            let (_, direct, _) = run(&native, args, None, &[position]);
            assert_eq!(direct.first(), Some(snapshot), "{name} at {position}");
            from = kept.into_iter().next();
        }
    }
}

#[test]
fn guest_goes_on_after_every_stop_that_is_asked_for() {
    let [native, _] = engines();
    let path = mc_artifacts::guest("cpu_forever");
    let program = load(&native, &path, Need::Resume);
    let stop_signal = StopSignal::default();
    let kept = Kept::default();
    let mut invocation = invocation(&[]);
    invocation.limits.fuel = Some(2_000_000_000);
    invocation.checkpoints = Some(Checkpoints {
        first: None,
        stop_signal: stop_signal.clone(),
        keeper: Box::new(Forever(Arc::clone(&kept))),
    });
    let ringer = std::thread::spawn({
        let kept = Arc::clone(&kept);
        move || {
            for expected in 1..=5 {
                stop_signal.raise();
                while kept.lock().unwrap().len() < expected {
                    std::thread::sleep(std::time::Duration::from_millis(1));
                }
            }
        }
    });
    let ended = program.run(invocation).unwrap();
    assert_eq!(ended.end, mc_types::Termination::OutOfFuel);
    assert_eq!(ended.usage.fuel, 2_000_000_000);
    ringer.join().unwrap();
    let kept = kept.lock().unwrap();
    assert!(kept.is_sorted_by_key(|snapshot| snapshot.position));
}

struct Forever(Kept);

impl Keeper for Forever {
    fn keep(&mut self, stopped: &Stopped<'_>) -> Result<Next, RunError> {
        self.0.lock().unwrap().push(stopped.save(None));
        Ok(Next::GoOn { until: None })
    }
}

#[test]
fn states_that_do_not_fit_are_refused_before_anything_runs() {
    let [native, _] = engines();
    let path = mc_artifacts::guest("cpu_forever");
    let program = load(&native, &path, Need::Resume);
    let (_, kept, _) = run(&program, &[], None, &[100_000]);
    let good = &kept[0];
    let refused = |change: &dyn Fn(&mut Saved)| {
        let mut bad = good.clone();
        change(&mut bad);
        let (ended, _, _) = run(&program, &[], Some(&bad), &[]);
        assert!(matches!(ended, Err(RunError::Refused { .. })), "{ended:?}");
    };
    refused(&|bad| bad.frames.clear());
    refused(&|bad| {
        let _ = bad.frames.pop();
    });
    refused(&|bad| {
        let _ = bad.frames.remove(0);
    });
    refused(&|bad| bad.frames.extend_from_within(..));
    for offset in 1..=4 {
        refused(&|bad| {
            let position = bad.frames.len() - offset;
            bad.frames[position] ^= 0x55;
        });
    }
    refused(&|bad| {
        let _ = bad.globals.pop();
    });
    refused(&|bad| {
        let _ = bad.memories.pop();
    });
    refused(&|bad| bad.memories.push(Vec::new()));
    refused(&|bad| {
        let _ = bad.memories[0].pop();
    });
    refused(&|bad| bad.memories[0].resize(1 << 30, 0));
    // Less than the program has in the beginning.
    refused(&|bad| bad.memories[0].truncate(1 << 16));
    refused(&|bad| bad.position = u64::MAX);
    refused(&|bad| bad.paid = bad.position + 1);
}

/// A component whose results the host hands back to it, and which allocates for them.
const HANDS_BACK: &str = r#"(component
  (core module $m
    (memory (export "memory") 1)
    (global $n (mut i32) (i32.const 0))
    (func (export "run") (result i32)
      (loop $l
        (global.set $n (i32.add (global.get $n) (i32.const 1)))
        (br_if $l (i32.lt_u (global.get $n) (i32.const 1000))))
      (i32.ne (global.get $n) (i32.const 1000)))
    (func (export "done") (param i32)
      (loop $l
        (global.set $n (i32.add (global.get $n) (i32.const 1)))
        (br_if $l (i32.lt_u (global.get $n) (i32.const 2000))))))
  (core instance $i (instantiate $m))
  (func $run (result (result))
    (canon lift (core func $i "run") (post-return (core func $i "done"))))
  (instance $command (export "run" (func $run)))
  (export "wasi:cli/run@0.2.0" (instance $command)))"#;

#[test]
fn what_a_stopped_guest_seems_to_return_is_not_handed_back() {
    let [native, pulley] = engines();
    let bytes = wat::parse_str(HANDS_BACK).unwrap();
    let cid = cid::of(cid::RAW, &bytes);
    let [native, pulley] =
        [native, pulley].map(|engine| engine.load(&cid, &bytes, Need::Resume).unwrap());
    let whole = native.run(invocation(&[])).unwrap();
    assert_eq!(whole.end, mc_types::Termination::Exited { code: 0 });
    let (left, kept, _) = run(&native, &[], None, &[100, 4_000]);
    assert!(matches!(left, Err(RunError::Left)), "{left:?}");
    let (ended, _, _) = run(&pulley, &[], kept.last(), &[]);
    let ended = ended.unwrap();
    assert_eq!((ended.end, ended.usage.fuel), (whole.end, whole.usage.fuel));
}
