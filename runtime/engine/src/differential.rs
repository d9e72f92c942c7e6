//! Random modules, run in several ways that must not differ.

mod generate;
mod run;

use crate::config::{Allocation, Counting, HOST_STACK_BYTES, Target, engine};
use generate::module;
use mc_checkpoint::Ability;
use run::{Called, Seen, Stops, run};
use std::ops::Range;
use wasmtime::Trap;

/// Modules of a test run. `MC_MODULES=FROM..TO` asks for others.
const MODULES: Range<u64> = 0..1_500;

#[test]
fn instrumented_modules_do_what_plain_ones_do_on_every_target() {
    // Guests may use more stack than a test's thread has.
    let stack = Counting::Instrumented.stack_bytes() + HOST_STACK_BYTES;
    let thread = std::thread::Builder::new().stack_size(stack);
    thread.spawn(compare).unwrap().join().unwrap();
}

#[expect(
    clippy::disallowed_methods,
    reason = "how long a test takes is no configuration"
)]
fn modules() -> Range<u64> {
    let wanted = std::env::var("MC_MODULES").ok();
    let range = wanted.as_deref().and_then(|wanted| {
        let (from, to) = wanted.split_once("..")?;
        Some(from.parse().ok()?..to.parse().ok()?)
    });
    range.unwrap_or(MODULES)
}

fn compare() {
    let make = |target, counting| engine(Allocation::OnDemand, target, counting).unwrap();
    let native = make(Target::Native, Counting::Instrumented);
    let pulley = make(Target::Pulley, Counting::Instrumented);
    let plain = make(Target::Native, Counting::Wasmtime);
    let mut counts = Counts::default();
    for seed in modules() {
        let Some(wasm) = module(seed) else {
            continue;
        };
        // Those with `externref`, whose fuel wasmtime counts.
        let Ok(program) = mc_checkpoint::instrument_module(&wasm, Ability::Resume) else {
            continue;
        };
        let run_once = |engine, stops| run(&program.wasm, engine, Counting::Instrumented, stops);
        let ours = run_once(&native, Stops::Never);
        let portable = run_once(&pulley, Stops::Never);
        assert_eq!(ours, portable, "seed {seed}: native and Pulley differ");
        if let (Some((ours, _)), Ok(_)) = (&ours, &program.sites) {
            let interval = [0, 7, 100, 3_000][usize::try_from(seed % 4).unwrap()];
            for engine in [&native, &pulley] {
                let (stopped, times) = run_once(engine, Stops::After(interval)).unwrap();
                assert_eq!(ours, &stopped, "seed {seed}: stopped {times} times");
                counts.stopped += u32::from(times > 0);
            }
        }
        let theirs = run(&wasm, &plain, Counting::Wasmtime, Stops::Never);
        let (Some((ours, _)), Some((theirs, _))) = (ours, theirs) else {
            continue;
        };
        counts.compare(seed, &ours, &theirs);
    }
    // Were most modules trivial, the comparison would say little.
    let Counts {
        compared,
        returned,
        struck,
        stopped,
    } = counts;
    assert!(
        compared > 500 && returned > 300 && struck > 100 && stopped > 100,
        "{counts:?}"
    );
}

/// How much was seen.
#[derive(Debug, Default)]
struct Counts {
    compared: u32,
    returned: u32,
    struck: u32,
    stopped: u32,
}

impl Counts {
    /// Compares an instrumented module with the plain one.
    fn compare(&mut self, seed: u64, ours: &Seen, theirs: &Seen) {
        // Both ways of counting may end a module, at places that are not comparable.
        let own = ours.calls.iter().zip(&theirs.calls).take_while(|(a, b)| {
            !matches!(a, Called::Struck { .. }) && **b != Called::Trapped(Trap::OutOfFuel)
        });
        for (a, b) in own {
            assert_eq!(a, b, "seed {seed}: plain and instrumented differ");
            self.compared += 1;
            self.returned += u32::from(matches!(a, Called::Returned(_)));
        }
        let is_struck = |call: &Called| matches!(call, Called::Struck { .. });
        if ours.calls.iter().any(is_struck) {
            self.struck += 1;
        } else if !theirs.calls.contains(&Called::Trapped(Trap::OutOfFuel)) {
            assert_eq!(
                ours.memories, theirs.memories,
                "seed {seed}: memories differ"
            );
        }
    }
}
