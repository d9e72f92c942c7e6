//! One deterministic execution.

use crate::{
    Execution, Invocation, RunError, World,
    checkpoint::{Checkpoints, Keeper, Next, Resume, Stopped},
    config::{Counting, HOST_STACK_BYTES},
    guest::{self, Allowance, Counter, Guest},
    instance::Instance,
    limiter::Limiter,
    program::{Code, Program},
    sink::Sink,
    ticker::Watch,
    trap,
};
use mc_checkpoint::meter::{self, Reading};
use mc_types::{Termination, Usage};
use mc_wasi::{BadState, Bounds, Host, Preview, Quota, Setup, Stop};
use std::{sync::Arc, time::Instant};
use wasmtime::{Store, UpdateDeadline};

/// The fuel of a task without a limit: more than any task can use.
const UNLIMITED_FUEL: i64 = 1 << 62;
/// Most bytes that a component passes to the host in one call; more is a trap.
const MAX_PASSED_BYTES: usize = 128 << 20;
/// Bytes of the meter's page, which are not the guest's.
const PAGE_BYTES: u64 = meter::MEMORY_BYTES as u64;

/// Runs a program on a thread of its own, since no other has enough stack.
pub(crate) fn run(program: &Program, invocation: Invocation) -> Result<Execution, RunError> {
    let stack = program.counting.stack_bytes() + HOST_STACK_BYTES;
    let failed = |e: std::io::Error| RunError::Host(format!("no thread for the guest: {e}"));
    program.ticker.start(&program.raw).map_err(failed)?;
    std::thread::scope(|scope| {
        let thread = std::thread::Builder::new()
            .name("guest".to_owned())
            .stack_size(stack)
            .spawn_scoped(scope, || {
                if let Some(begin) = program.on_thread {
                    begin();
                }
                execute(program, invocation)
            })
            .map_err(failed)?;
        let crashed = |_| RunError::Host("the guest's thread panicked".to_owned());
        thread.join().map_err(crashed)?
    })
}

fn execute(program: &Program, mut invocation: Invocation) -> Result<Execution, RunError> {
    let begun = Instant::now();
    let io = |e: std::io::Error| RunError::Host(e.to_string());
    let checkpoints = invocation.checkpoints.take();
    let mut checkpoints = checkpoints.filter(|_| program.stops());
    let stop_signal = checkpoints
        .as_ref()
        .map(|checkpoints| checkpoints.stop_signal.clone());
    let watch = Watch::new(invocation.timeout, invocation.cancel.clone(), stop_signal);
    let resume = invocation.resume.take();
    if let Some(resume) = &resume {
        check(program, resume, &invocation)?;
    }
    let mut guest = guest(program, invocation, Arc::clone(&watch)).map_err(io)?;
    let first = checkpoints
        .as_ref()
        .and_then(|checkpoints| checkpoints.first);
    match resume {
        Some(resume) => take_up(&mut guest, first, resume)?,
        None => guest.begin(first),
    }
    let mut store = store(program, guest, &watch)?;
    let running = program.ticker.run(&program.raw, &watch).map_err(io)?;
    let ended = drive(program, &mut store, checkpoints.as_mut());
    // From here on nothing writes to the guest's memory.
    drop(running);
    let (own_fuel, reading) = (Guest::own_fuel(&store), Guest::reading(&store));
    if let (Some(Reading { struck: true, .. }), Some(reason)) = (reading, watch.reason()) {
        return Err(reason);
    }
    let mut guest = store.into_data();
    let ended = match ended {
        Ok(Driven::Ended(end)) => Ok(end),
        Ok(Driven::Left) => return Err(RunError::Left),
        Err(error) => Err(error),
    };
    if let Some(reason) = guest.limiter.failed() {
        return Err(RunError::Host(reason.to_owned()));
    }
    let settled = guest.settle(own_fuel);
    if guest.output_closed {
        return Err(RunError::OutputClosed);
    }
    let end = match ended.and_then(|end| Ok(settled.map(|()| end)?)) {
        Ok(end) => end,
        Err(error) => match (trap::end(error, &guest.limiter, reading), watch.reason()) {
            // A read of an input gives up for the same reason, and cannot say which it was.
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

/// Lets a guest go on from a state that was checked.
fn take_up(guest: &mut Guest, first: Option<u64>, resume: Resume) -> Result<(), RunError> {
    guest.limiter.resume(resume.memory_refused);
    let refused = |bad: BadState| RunError::Refused {
        reason: bad.to_string(),
    };
    guest.resume(first, resume).map_err(refused)
}

/// A guest's store, with the limits that wasmtime keeps to itself.
fn store(program: &Program, guest: Guest, watch: &Arc<Watch>) -> Result<Store<Guest>, RunError> {
    let mut store = Store::new(&program.raw, guest);
    store.limiter(|guest| &mut guest.limiter);
    store.set_hostcall_fuel(MAX_PASSED_BYTES);
    if program.counting == Counting::Wasmtime {
        let host = |e: wasmtime::Error| RunError::Host(format!("{e:#}"));
        let fuel = store.data().allowance.units();
        store.set_fuel(fuel).map_err(host)?;
        let watch = Arc::clone(watch);
        store.set_epoch_deadline(1);
        store.epoch_deadline_callback(move |_| match watch.reason() {
            Some(reason) => Err(reason.into()),
            None => Ok(UpdateDeadline::Continue(1)),
        });
    }
    Ok(store)
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
    let limiter = Limiter::new(&limits, overhead);
    let limiter = match program.code {
        Code::Module(_) => limiter,
        Code::Component(..) | Code::Relaxed(_) => limiter.of_component(),
    };
    let fuel = limits
        .fuel
        .map(|fuel| i64::try_from(fuel).unwrap_or(i64::MAX));
    Ok(Guest::new(guest::Setup {
        host: Host::new(setup, preview, inputs),
        limiter,
        counter,
        allowance: Allowance {
            fuel: fuel.map_or(UNLIMITED_FUEL, |fuel| fuel.min(UNLIMITED_FUEL)),
            stack: i32::try_from(limits.stack_bytes).unwrap_or(i32::MAX),
        },
        watch,
        stdout: Sink::open(&invocation.stdout, false)?,
        stderr: Sink::open(&invocation.stderr, true)?,
    }))
}

/// Refuses a state that cannot be this program's.
fn check(program: &Program, resume: &Resume, invocation: &Invocation) -> Result<(), RunError> {
    let refused = |reason: String| RunError::Refused { reason };
    if !program.resumes() {
        return Err(refused(
            "the program cannot go on from a checkpoint".to_owned(),
        ));
    }
    let sites = program.sites().map_err(refused)?;
    resume
        .check(&sites, invocation.limits.memory_bytes)
        .map_err(refused)
}

/// How the calls of a guest came to an end.
enum Driven {
    Ended(Termination),
    /// It was stopped, to go on elsewhere.
    Left,
}

/// Runs a guest, and stops it whenever that is due.
fn drive(
    program: &Program,
    store: &mut Store<Guest>,
    mut checkpoints: Option<&mut Checkpoints>,
) -> wasmtime::Result<Driven> {
    let mut instance = begin(program, store)?;
    loop {
        let end = instance.run(store)?;
        let reading = Guest::reading(&*store).filter(|reading| reading.stopped);
        let Some(reading) = reading else {
            return Ok(Driven::Ended(end));
        };
        if let Some(reason) = store.data().watch.reason() {
            return Err(reason.into());
        }
        let Some(checkpoints) = checkpoints.as_deref_mut() else {
            let reason = "the guest was stopped, and nobody had asked for that".to_owned();
            return Err(RunError::Host(reason).into());
        };
        checkpoints.stop_signal.clear();
        capture(&instance, store)?;
        let until = store.data().until;
        let (position, paid) = (until - reading.fuel_left, until - reading.paid_fuel);
        let keeper = &mut *checkpoints.keeper;
        let next = keep(program, &instance, store, keeper, (position, paid), reading)?;
        match next {
            Next::GoOn { until } if program.resumes() => {
                store
                    .data_mut()
                    .go_on(until, position, paid, reading.frames_end);
                instance.arm(store)?;
            }
            Next::GoOn { .. } | Next::Leave => return Ok(Driven::Left),
        }
    }
}

/// Shows all state of a guest that was stopped. A component's memories are passed as a whole, in place, so the limit of
/// what the guest may pass by itself does not count here.
fn capture(instance: &Instance, store: &mut Store<Guest>) -> wasmtime::Result<()> {
    store.set_hostcall_fuel(usize::MAX);
    let shown = instance.capture(store);
    store.set_hostcall_fuel(MAX_PASSED_BYTES);
    shown
}

/// Makes an instance. If resuming fails, the checkpoint is at fault, so that is no end of the guest.
fn begin(program: &Program, store: &mut Store<Guest>) -> wasmtime::Result<Instance> {
    let is_resumed = store.data().restoring.is_some();
    let made = Instance::new(program, store);
    // The state that filled it is no longer needed.
    store.data_mut().restoring = None;
    made.map_err(|error| {
        let is_machines = matches!(
            error.downcast_ref(),
            Some(Stop::Host(_) | Stop::Unreadable(_) | Stop::Unusable(_))
        );
        if is_resumed && !is_machines {
            let reason = format!("its memories: {}", error.root_cause());
            RunError::Refused { reason }.into()
        } else {
            error
        }
    })
}

/// Shows the state of a stopped guest to the keeper.
fn keep(
    program: &Program,
    instance: &Instance,
    store: &Store<Guest>,
    keeper: &mut dyn Keeper,
    (position, paid): (i64, i64),
    reading: Reading,
) -> wasmtime::Result<Next> {
    let host = |reason: String| wasmtime::Error::from(RunError::Host(reason));
    let sites = program.sites().map_err(host)?;
    let slice = |from: u32, to: u32| {
        let (from, to) = (usize::try_from(from).ok()?, usize::try_from(to).ok()?);
        Guest::meter(store)?.get(from..to)
    };
    let missing = || host("the meter is missing".to_owned());
    let units = |units: i64| u64::try_from(units).unwrap_or_default();
    let globals_end = meter::GLOBALS.saturating_add(sites.globals_bytes());
    let memories = instance.memories(store);
    let stopped = Stopped {
        position: units(position),
        paid: units(paid),
        frames: slice(meter::FRAMES, reading.frames_end).ok_or_else(missing)?,
        globals: slice(meter::GLOBALS, globals_end).ok_or_else(missing)?,
        memories: &memories,
        memory_refused: store.data().limiter.refused(),
        world: store.data().host.state(),
        stdout: store.data().stdout.bytes(),
        stderr: store.data().stderr.bytes(),
    };
    Ok(keeper.keep(&stopped)?)
}
