//! One deterministic execution.

use crate::{
    Execution, Invocation, RunError,
    config::{Counting, HOST_STACK_BYTES},
    guest::{Allowance, Counter, Guest},
    limiter::Limiter,
    program::{Code, Program, World},
    sink::Sink,
    ticker::Watch,
    trap,
};
use mc_checkpoint::{
    START_EXPORT,
    meter::{self, Reading},
};
use mc_types::{End, Usage};
use mc_wasi::{Bounds, Host, Preview, Quota, Setup};
use std::{sync::Arc, time::Instant};
use wasmtime::{Store, UpdateDeadline};

/// What fuel is set to when a task is not limited: more than any task lives to use.
const UNLIMITED_FUEL: i64 = 1 << 62;
/// Most bytes that a component passes to the host in one call; more is a trap.
const MAX_PASSED_BYTES: usize = 128 << 20;
/// Bytes of the meter's page, which are not the guest's.
const PAGE_BYTES: u64 = meter::MEMORY_BYTES as u64;

/// Runs a program on a thread of its own, since no other has enough stack.
pub(crate) fn run(program: &Program, invocation: Invocation) -> Result<Execution, RunError> {
    let stack = program.counting.stack_bytes() + HOST_STACK_BYTES;
    let failed = |e: std::io::Error| RunError::Host(format!("no thread for the guest: {e}"));
    std::thread::scope(|scope| {
        let thread = std::thread::Builder::new()
            .name("guest".to_owned())
            .stack_size(stack)
            .spawn_scoped(scope, || execute(program, invocation))
            .map_err(failed)?;
        let crashed = |_| RunError::Host("the guest's thread panicked".to_owned());
        thread.join().map_err(crashed)?
    })
}

fn execute(program: &Program, invocation: Invocation) -> Result<Execution, RunError> {
    let begun = Instant::now();
    let host = |e: wasmtime::Error| RunError::Host(format!("{e:#}"));
    let io = |e: std::io::Error| RunError::Host(e.to_string());
    let watch = Watch::new(invocation.timeout, invocation.cancel.clone());
    let guest = guest(program, invocation, Arc::clone(&watch)).map_err(io)?;
    let mut store = Store::new(&program.raw, guest);
    store.limiter(|guest| &mut guest.limiter);
    store.set_hostcall_fuel(MAX_PASSED_BYTES);
    if program.counting == Counting::Wasmtime {
        let fuel = store.data().allowance.units();
        store.set_fuel(fuel).map_err(host)?;
        let watch = Arc::clone(&watch);
        store.set_epoch_deadline(1);
        store.epoch_deadline_callback(move |_| match watch.reason() {
            Some(reason) => Err(reason.into()),
            None => Ok(UpdateDeadline::Continue(1)),
        });
    }
    let running = program.ticker.run(&program.raw, &watch).map_err(io)?;
    let ended = call(program, &mut store);
    // From here on nobody writes to the guest's memory any more.
    drop(running);
    let (own_fuel, reading) = (Guest::own_fuel(&store), Guest::reading(&store));
    if let (Some(Reading { struck: true, .. }), Some(reason)) = (reading, watch.reason()) {
        return Err(reason);
    }
    let mut guest = store.into_data();
    let settled = guest.settle(own_fuel);
    if guest.output_closed {
        return Err(RunError::OutputClosed);
    }
    let end = match ended.and_then(|end| Ok(settled.map(|()| end)?)) {
        Ok(end) => end,
        Err(error) => match (trap::end(error, &guest.limiter, reading), watch.reason()) {
            // An input that is waited for gives up for the same reason, and cannot tell it.
            (Err(RunError::Host(_)), Some(reason)) => return Err(reason),
            (end, _) => end?,
        },
    };
    Ok(Execution {
        end,
        usage: Usage {
            fuel: guest.fuel_used(own_fuel).min(guest.allowance.units()),
            memory_peak_bytes: guest.limiter.peak_bytes(),
            wall_ms: u64::try_from(begun.elapsed().as_millis()).unwrap_or(u64::MAX),
        },
        meter: program.meter(),
        stdout: guest.stdout.into_bytes(),
        stderr: guest.stderr.into_bytes(),
        world: Some(guest.host),
    })
}

fn guest(program: &Program, invocation: Invocation, watch: Arc<Watch>) -> std::io::Result<Guest> {
    let limits = invocation.limits;
    let World::Deterministic {
        mounts,
        inputs,
        start_seconds,
    } = invocation.world
    else {
        return Err(std::io::Error::other(
            "a relaxed world for a deterministic program",
        ));
    };
    let mut args = vec![invocation.name];
    args.extend(invocation.args);
    let setup = Setup {
        args,
        env: invocation.env.into_iter().collect(),
        mounts,
        bounds: Bounds {
            output_bytes: limits.output_bytes,
            files: Quota {
                bytes: limits.scratch_bytes,
                files: limits.scratch_files,
            },
            handles: u32::try_from(limits.handles).unwrap_or(u32::MAX),
        },
        start_seconds,
    };
    let preview = match program.code {
        Code::Module(_) => Preview::One,
        Code::Component(..) | Code::Relaxed(_) => Preview::Two,
    };
    let (overhead, counter) = match program.counting {
        Counting::Instrumented => (PAGE_BYTES, Counter::Absent),
        Counting::Wasmtime => (0, Counter::Wasmtime),
    };
    let fuel = limits
        .fuel
        .map(|fuel| i64::try_from(fuel).unwrap_or(i64::MAX));
    Ok(Guest {
        host: Host::new(setup, preview, inputs),
        limiter: Limiter::new(&limits, overhead),
        counter,
        allowance: Allowance {
            fuel: fuel.unwrap_or(UNLIMITED_FUEL),
            stack: i32::try_from(limits.stack_bytes).unwrap_or(i32::MAX),
        },
        memory: None,
        watch,
        stdout: Sink::open(&invocation.stdout, false)?,
        stderr: Sink::open(&invocation.stderr, true)?,
        output_closed: false,
    })
}

fn call(program: &Program, store: &mut Store<Guest>) -> wasmtime::Result<End> {
    match &program.code {
        Code::Component(component, run) => {
            let instance = component.instantiate(&mut *store)?;
            let run = instance.get_typed_func::<(), (Result<(), ()>,)>(&mut *store, run)?;
            let (result,) = run.call(&mut *store, ())?;
            Ok(End::Exited {
                code: result.is_err().into(),
            })
        }
        Code::Module(module) => {
            let instance = module.instantiate(&mut *store)?;
            store.data_mut().memory = instance.get_memory(&mut *store, "memory");
            if program.counting == Counting::Instrumented {
                let page = instance.get_memory(&mut *store, meter::PAGE);
                let page = page.ok_or_else(|| wasmtime::Error::msg("the meter is missing"))?;
                let beginning = store.data().page();
                page.write(&mut *store, 0, &beginning)?;
                let address = page.data_ptr(&*store);
                address.expose_provenance();
                store.data().watch.attach(address);
                store.data_mut().counter = Counter::Module(page);
            }
            for name in [START_EXPORT, "_start"] {
                if let Some(function) = instance.get_func(&mut *store, name) {
                    function.typed::<(), ()>(&*store)?.call(&mut *store, ())?;
                }
            }
            Ok(End::Exited { code: 0 })
        }
        Code::Relaxed(_) => Err(wasmtime::Error::msg("a relaxed program")),
    }
}
