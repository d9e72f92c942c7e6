//! Random modules, run in several ways that must not differ.

use crate::config::{Allocation, Counting, HOST_STACK_BYTES, Target, engine};
use arbitrary::Unstructured;
use mc_checkpoint::meter::{self, Allowance, Reading};
use mc_checkpoint::{Ability, START_EXPORT};
use std::ops::Range;
use wasm_smith::{Config, Module};
use wasmtime::{
    ExternType, Instance, Ref, Store, StoreLimits, StoreLimitsBuilder, ThrownException, Trap, Val,
};

/// Modules of a test run. `MC_MODULES=FROM..TO` asks for others.
const MODULES: Range<u64> = 0..1_500;
/// Fuel of a module, by our meter.
const FUEL: i64 = 200_000;
/// Fuel of a module, by wasmtime's, which counts about as much for an operator.
const PLAIN_FUEL: u64 = 2_000_000;
const STACK: i32 = 1 << 18;

/// What a call came to.
#[derive(Debug, Clone, PartialEq)]
enum Called {
    /// The bits of what it returned.
    Returned(Vec<String>),
    Trapped(Trap),
    /// It threw an exception that nobody caught.
    Threw,
    /// The meter struck, for want of fuel or not.
    Struck {
        fuel: bool,
    },
    /// It was stopped, to be resumed.
    Stopped,
}

/// The contents of a memory, too long to be printed.
#[derive(PartialEq)]
struct Memory(Vec<u8>);

impl std::fmt::Debug for Memory {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let sum: u64 = (1..)
            .zip(&self.0)
            .map(|(i, byte)| i * u64::from(*byte))
            .sum();
        write!(f, "{} bytes, sum {sum}", self.0.len())
    }
}

/// All that can be seen of a module's execution.
#[derive(Debug, PartialEq)]
struct Seen {
    calls: Vec<Called>,
    /// Memories, without the meter's page.
    memories: Vec<Memory>,
    /// Fuel and stack that are left.
    meter: Option<(i64, i32)>,
}

/// A few modules have reference types, of which most then use `externref`. Others have exceptions, none of which can be
/// stopped.
fn config(seed: u64) -> Config {
    Config {
        // What changes tables or drops segments cannot be stopped, and one of its operators suffices.
        bulk_memory_enabled: seed.is_multiple_of(4),
        allow_floats: true,
        reference_types_enabled: seed.is_multiple_of(8),
        tail_call_enabled: seed.is_multiple_of(8),
        simd_enabled: true,
        multi_value_enabled: true,
        sign_extension_ops_enabled: true,
        saturating_float_to_int_enabled: true,
        relaxed_simd_enabled: false,
        threads_enabled: false,
        memory64_enabled: false,
        gc_enabled: false,
        exceptions_enabled: seed % 8 == 5,
        wide_arithmetic_enabled: false,
        custom_page_sizes_enabled: false,
        shared_everything_threads_enabled: false,
        export_everything: true,
        max_imports: 0,
        max_memories: 2,
        max_memory32_bytes: 1 << 20,
        memory_max_size_required: true,
        table_max_size_required: true,
        max_table_elements: 1000,
        max_funcs: 12,
        min_funcs: 2,
        allow_start_export: true,
        ..Config::default()
    }
}

/// A module that follows from `seed`.
fn module(seed: u64) -> Option<Vec<u8>> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let bytes: Vec<u8> = (0..4096)
        .map(|_| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            state.to_le_bytes()[3]
        })
        .collect();
    let module = Module::new(config(seed), &mut Unstructured::new(&bytes)).ok()?;
    Some(module.to_bytes())
}

/// An instance that is being looked at.
struct Run<'a> {
    module: &'a wasmtime::Module,
    store: Store<StoreLimits>,
    instance: Instance,
    page: Option<wasmtime::Memory>,
}

impl<'a> Run<'a> {
    fn new(module: &'a wasmtime::Module, counting: Counting) -> Option<Self> {
        let engine = module.engine();
        let limits = StoreLimitsBuilder::new().memory_size(32 << 20).build();
        let mut store = Store::new(engine, limits);
        store.limiter(|limits: &mut StoreLimits| limits);
        if counting == Counting::Wasmtime {
            store.set_epoch_deadline(1_000_000);
            store.set_fuel(PLAIN_FUEL).unwrap();
        }
        let instance = Instance::new(&mut store, module, &[]).ok()?;
        let page = instance.get_memory(&mut store, meter::PAGE);
        Some(Self {
            module,
            store,
            instance,
            page,
        })
    }

    fn write(&mut self, offset: u32, bytes: &[u8]) {
        let offset = usize::try_from(offset).unwrap();
        self.page
            .unwrap()
            .write(&mut self.store, offset, bytes)
            .unwrap();
    }

    fn reading(&self) -> Option<Reading> {
        Reading::of(self.page?.data(&self.store))
    }

    /// The guest's own memories.
    fn memories(&mut self) -> Vec<(String, wasmtime::Memory)> {
        let names = self.module.exports().map(|export| export.name().to_owned());
        let names: Vec<_> = names
            .filter(|name| name != meter::PAGE && !name.starts_with("mc:memory/"))
            .collect();
        names
            .into_iter()
            .filter_map(|name| {
                let memory = self.instance.get_memory(&mut self.store, &name)?;
                Some((name, memory))
            })
            .collect()
    }

    fn copy_globals(&mut self, export: &str) {
        let copy = self
            .instance
            .get_typed_func::<(), ()>(&mut self.store, export);
        copy.unwrap().call(&mut self.store, ()).unwrap();
    }

    /// A new instance that is where this one was stopped, `kept` fuel before its end.
    fn moved(mut self, allowance: Allowance) -> Self {
        self.copy_globals(mc_checkpoint::SAVE_EXPORT);
        let memories: Vec<_> = self.memories();
        let memories = memories
            .into_iter()
            .map(|(name, memory)| (name, memory.data(&self.store).to_vec()));
        let memories: Vec<_> = memories.collect();
        let reading = self.reading().unwrap();
        let state = self.page.unwrap().data(&self.store);
        let from = usize::try_from(meter::GLOBALS).unwrap();
        let state = state[from..usize::try_from(reading.frames_end).unwrap()].to_vec();
        let mut new = Self::new(self.module, Counting::Instrumented).unwrap();
        for (name, bytes) in memories {
            let memory = new.instance.get_memory(&mut new.store, &name).unwrap();
            let pages = u64::try_from(bytes.len() - memory.data_size(&new.store)).unwrap() >> 16;
            memory.grow(&mut new.store, pages).unwrap();
            memory.write(&mut new.store, 0, &bytes).unwrap();
        }
        new.write(meter::GLOBALS, &state);
        new.copy_globals(mc_checkpoint::LOAD_EXPORT);
        let paid = allowance.fuel + (reading.paid_fuel - reading.fuel_left);
        new.write(0, &meter::resume(allowance, reading.frames_end, paid));
        new
    }
}

/// How often an instrumented module is stopped.
#[derive(Debug, Clone, Copy)]
enum Stops {
    Never,
    /// Whenever it has used so much fuel since it was resumed. Every other time it goes on as it is; else
    /// in a new instance.
    After(i64),
}

fn run(
    wasm: &[u8],
    engine: &wasmtime::Engine,
    counting: Counting,
    stops: Stops,
) -> Option<(Seen, u32)> {
    let module = wasmtime::Module::from_binary(engine, wasm).unwrap();
    let mut run = Run::new(&module, counting)?;
    let allowance = |left: i64, stopped: u32| {
        let fuel = match stops {
            Stops::Never => left,
            // Less and less often, that long loops come to an end.
            Stops::After(fuel) => left.min((fuel + 1) << (stopped / 32)),
        };
        Allowance {
            fuel,
            reserve: left - fuel,
            stack: STACK,
        }
    };
    // Fuel until the module ends, of which some may be a reserve at the moment.
    let mut armed = allowance(FUEL, 0);
    if run.page.is_some() {
        run.write(0, &meter::begin(armed));
    }
    let functions: Vec<_> = module
        .exports()
        .filter(|export| matches!(export.ty(), ExternType::Func(_)))
        .map(|export| export.name().to_owned())
        .filter(|name| !name.starts_with("mc:"))
        .collect();
    // As it is with a plain module, nothing else is called if this does not return.
    if run
        .instance
        .get_func(&mut run.store, START_EXPORT)
        .is_some()
        && !matches!(call(&mut run, START_EXPORT)?, Called::Returned(_))
    {
        return None;
    }
    let mut calls = Vec::new();
    let mut stopped = 0;
    for name in functions {
        if run.page.is_some() {
            // A call that trapped has not given its stack back.
            run.write(
                u32::try_from(meter::STACK_LEFT).unwrap(),
                &STACK.to_le_bytes(),
            );
        }
        let mut called = call(&mut run, &name)?;
        while called == Called::Stopped {
            stopped += 1;
            let reading = run.reading().unwrap();
            armed = allowance(armed.reserve + reading.fuel_left, stopped);
            if stopped % 2 == 0 {
                run = run.moved(armed);
            } else {
                let paid = armed.fuel + (reading.paid_fuel - reading.fuel_left);
                run.write(0, &meter::resume(armed, reading.frames_end, paid));
            }
            called = call(&mut run, &name)?;
        }
        let ended = !matches!(
            called,
            Called::Returned(_) | Called::Trapped(_) | Called::Threw
        );
        calls.push(called);
        if ended {
            break;
        }
    }
    let memories = run.memories();
    let memories = memories
        .iter()
        .map(|(_, memory)| Memory(memory.data(&run.store).to_vec()));
    let memories = memories.collect();
    // Whether the stack was given back, and what was paid, must not depend on how often it was stopped.
    let meter = run
        .reading()
        .map(|reading| (reading.fuel_left + armed.reserve, reading.stack_left));
    let seen = Seen {
        calls,
        memories,
        meter,
    };
    Some((seen, stopped))
}

fn call(run: &mut Run<'_>, name: &str) -> Option<Called> {
    let function = run.instance.get_func(&mut run.store, name)?;
    let ty = function.ty(&run.store);
    let params: Vec<_> = ty
        .params()
        .map(|ty| Val::default_for_ty(&ty))
        .collect::<Option<_>>()?;
    let mut results = vec![Val::I32(0); ty.results().len()];
    let called = function.call(&mut run.store, &params, &mut results);
    let reading = run.reading();
    match called {
        Ok(()) if reading.is_some_and(|reading| reading.stopped) => Some(Called::Stopped),
        Ok(()) => {
            let results = results.iter().map(bits);
            Some(Called::Returned(results.collect()))
        }
        Err(error) => match reading {
            Some(reading) if reading.struck => Some(Called::Struck {
                fuel: reading.out_of_fuel,
            }),
            _ if error.is::<ThrownException>() => {
                run.store.take_pending_exception();
                Some(Called::Threw)
            }
            _ => Some(Called::Trapped(*error.downcast_ref::<Trap>()?)),
        },
    }
}

fn bits(value: &Val) -> String {
    match value {
        Val::I32(value) => format!("{value:x}"),
        Val::I64(value) => format!("{value:x}"),
        Val::F32(value) => format!("{value:x}"),
        Val::F64(value) => format!("{value:x}"),
        Val::V128(value) => format!("{:x}", value.as_u128()),
        reference => format!("{:?}", reference.ref_().map(|r| Ref::is_null(&r))),
    }
}

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
