//! Random modules, run in several ways that must not differ.

use crate::config::{Allocation, Counting, HOST_STACK_BYTES, Target, engine};
use arbitrary::Unstructured;
use mc_checkpoint::meter::{self, Reading};
use wasm_smith::{Config, Module};
use wasmtime::{ExternType, Instance, Ref, Store, StoreLimits, StoreLimitsBuilder, Trap, Val};

/// Modules of a test run.
const MODULES: u64 = 1_500;
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
    /// The meter struck, for want of fuel or not.
    Struck {
        fuel: bool,
    },
}

/// All that can be seen of a module's execution.
#[derive(Debug, PartialEq)]
struct Seen {
    calls: Vec<Called>,
    /// Memories, without the meter's page.
    memories: Vec<Vec<u8>>,
    meter: Option<Reading>,
}

/// A few modules have reference types, of which most then use `externref`.
fn config(seed: u64) -> Config {
    Config {
        bulk_memory_enabled: true,
        allow_floats: true,
        reference_types_enabled: seed.is_multiple_of(8),
        tail_call_enabled: true,
        simd_enabled: true,
        multi_value_enabled: true,
        sign_extension_ops_enabled: true,
        saturating_float_to_int_enabled: true,
        relaxed_simd_enabled: false,
        threads_enabled: false,
        memory64_enabled: false,
        gc_enabled: false,
        exceptions_enabled: false,
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

fn run(wasm: &[u8], engine: &wasmtime::Engine, counting: Counting) -> Option<Seen> {
    let module = wasmtime::Module::from_binary(engine, wasm).unwrap();
    let limits = StoreLimitsBuilder::new().memory_size(8 << 20).build();
    let mut store = Store::new(engine, limits);
    store.limiter(|limits: &mut StoreLimits| limits);
    if counting == Counting::Wasmtime {
        store.set_epoch_deadline(1_000_000);
    }
    if counting == Counting::Wasmtime {
        store.set_fuel(PLAIN_FUEL).unwrap();
    }
    let instance = Instance::new(&mut store, &module, &[]).ok()?;
    let page = instance.get_memory(&mut store, meter::PAGE);
    if let Some(page) = page {
        page.write(&mut store, 0, &meter::page(FUEL, STACK))
            .unwrap();
    }
    let functions: Vec<_> = module
        .exports()
        .filter(|export| matches!(export.ty(), ExternType::Func(_)))
        .map(|export| export.name().to_owned())
        .collect();
    let mut calls = Vec::new();
    for name in functions {
        let called = call(&mut store, instance, &name, page)?;
        let ended = !matches!(called, Called::Returned(_) | Called::Trapped(_));
        calls.push(called);
        if ended {
            break;
        }
    }
    let memories = module
        .exports()
        .filter(|export| export.name() != meter::PAGE)
        .filter_map(|export| {
            let memory = instance.get_memory(&mut store, export.name())?;
            Some(memory.data(&store).to_vec())
        })
        .collect();
    let meter = page.and_then(|page| Reading::of(page.data(&store)));
    Some(Seen {
        calls,
        memories,
        meter,
    })
}

fn call(
    store: &mut Store<StoreLimits>,
    instance: Instance,
    name: &str,
    page: Option<wasmtime::Memory>,
) -> Option<Called> {
    let function = instance.get_func(&mut *store, name)?;
    let ty = function.ty(&*store);
    let params: Vec<_> = ty
        .params()
        .map(|ty| Val::default_for_ty(&ty))
        .collect::<Option<_>>()?;
    let mut results = vec![Val::I32(0); ty.results().len()];
    match function.call(&mut *store, &params, &mut results) {
        Ok(()) => {
            let results = results.iter().map(bits);
            Some(Called::Returned(results.collect()))
        }
        Err(error) => {
            let reading = page.and_then(|page| Reading::of(page.data(&*store)));
            match reading {
                Some(reading) if reading.struck => Some(Called::Struck {
                    fuel: reading.fuel_left < 0,
                }),
                _ => Some(Called::Trapped(*error.downcast_ref::<Trap>()?)),
            }
        }
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

fn compare() {
    let make = |target, counting| engine(Allocation::OnDemand, target, counting).unwrap();
    let native = make(Target::Native, Counting::Instrumented);
    let pulley = make(Target::Pulley, Counting::Instrumented);
    let plain = make(Target::Native, Counting::Wasmtime);
    let (mut compared, mut returned, mut struck) = (0, 0, 0);
    for seed in 0..MODULES {
        let Some(wasm) = module(seed) else {
            continue;
        };
        // Those with `externref`, which wasmtime has only together with a garbage collector.
        let Ok(instrumented) = mc_checkpoint::instrument_module(&wasm) else {
            continue;
        };
        let ours = run(&instrumented, &native, Counting::Instrumented);
        let portable = run(&instrumented, &pulley, Counting::Instrumented);
        assert_eq!(ours, portable, "seed {seed}: native and Pulley differ");
        let theirs = run(&wasm, &plain, Counting::Wasmtime);
        let (Some(ours), Some(theirs)) = (ours, theirs) else {
            continue;
        };
        // Both ways of counting may end a module, at places that are not comparable.
        let own = ours.calls.iter().zip(&theirs.calls).take_while(|(a, b)| {
            !matches!(a, Called::Struck { .. }) && **b != Called::Trapped(Trap::OutOfFuel)
        });
        for (a, b) in own {
            assert_eq!(a, b, "seed {seed}: plain and instrumented differ");
            compared += 1;
            returned += u32::from(matches!(a, Called::Returned(_)));
        }
        if ours
            .calls
            .iter()
            .any(|call| matches!(call, Called::Struck { .. }))
        {
            struck += 1;
        } else if !theirs.calls.contains(&Called::Trapped(Trap::OutOfFuel)) {
            assert_eq!(
                ours.memories, theirs.memories,
                "seed {seed}: memories differ"
            );
        }
    }
    // Were most modules trivial, the comparison would say little.
    assert!(
        compared > 500 && returned > 300 && struck > 100,
        "{compared} {returned} {struck}"
    );
}
