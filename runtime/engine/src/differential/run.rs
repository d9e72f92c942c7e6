//! One run of a module, and all that can be seen of it.

use crate::config::Counting;
use mc_checkpoint::{
    START_EXPORT,
    meter::{self, Allowance, Reading},
};
use wasmtime::{
    ExternType, Instance, Ref, Store, StoreLimits, StoreLimitsBuilder, ThrownException, Trap, Val,
};

/// Fuel of a module, by our meter.
const FUEL: i64 = 200_000;
/// Fuel of a module, by wasmtime's, which counts about as much for an operator.
const PLAIN_FUEL: u64 = 2_000_000;
const STACK: i32 = 1 << 18;

/// What a call came to.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Called {
    /// The bits of what it returned.
    Returned(Vec<String>),
    Trapped(Trap),
    /// It threw an uncaught exception.
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
pub(super) struct Memory(Vec<u8>);

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
pub(super) struct Seen {
    pub(super) calls: Vec<Called>,
    /// Memories, without the meter's page.
    pub(super) memories: Vec<Memory>,
    /// Fuel and stack that are left.
    pub(super) meter: Option<(i64, i32)>,
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
pub(super) enum Stops {
    Never,
    /// Whenever it has used so much fuel since it was resumed. Every other time it goes on as it is; else
    /// in a new instance.
    After(i64),
}

pub(super) fn run(
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
