//! What an error that ended a guest means.

use crate::{RunError, limiter::Limiter};
use mc_checkpoint::meter::Reading;
use mc_types::{Termination, TrapKind};
use mc_wasi::Stop;
use wasmtime::{GcHeapOutOfMemory, ThrownException, Trap, WasmBacktrace};

/// The guest's end, if the guest caused it; otherwise the failure of the machine. `meter` is the reading of the meter
/// of an instrumented guest.
pub(crate) fn end(
    error: wasmtime::Error,
    limiter: &Limiter,
    meter: Option<Reading>,
) -> Result<Termination, RunError> {
    let error = match error.downcast::<RunError>() {
        Ok(interrupted) => return Err(interrupted),
        Err(error) => error,
    };
    if let Some(stop) = error.downcast_ref::<Stop>() {
        return stopped(stop);
    }
    if let Some(reading) = meter
        && reading.struck
    {
        return Ok(if reading.out_of_fuel {
            Termination::OutOfFuel
        } else {
            Termination::Trapped {
                kind: TrapKind::StackOverflow,
            }
        });
    }
    match error.downcast_ref::<Trap>() {
        Some(Trap::OutOfFuel) => Ok(Termination::OutOfFuel),
        // How much fits the machine's own stack depends on the machine.
        Some(Trap::StackOverflow) => Err(RunError::Host(
            "the guest's calls were nested deeper than this machine's stack allows".to_owned(),
        )),
        Some(Trap::Interrupt) => Err(RunError::Host("interrupted".to_owned())),
        // A guest that was refused memory usually aborts.
        Some(_) if limiter.refused() => Ok(Termination::MemoryLimit),
        Some(trap) => Ok(Termination::Trapped { kind: kind(*trap) }),
        None if limiter.refused() => Ok(Termination::MemoryLimit),
        // Its exceptions have used up all addresses. If the machine had had no memory for them, the limiter would know.
        None if error.is::<GcHeapOutOfMemory<()>>() => Ok(Termination::MemoryLimit),
        // An uncaught exception.
        None if error.is::<ThrownException>() => Ok(Termination::Trapped {
            kind: TrapKind::Other,
        }),
        // The guest broke a rule for components, for example by dropping a handle that it does not have.
        None if error.is::<WasmBacktrace>() => Ok(Termination::Trapped {
            kind: TrapKind::Other,
        }),
        None if limiter.refused_table() || has_too_many(&error) => Err(RunError::TooMuch {
            reason: format!("{error:#}"),
        }),
        None => Err(RunError::Host(format!("{error:#}"))),
    }
}

/// Whether an instance could not be made because it has too many memories, tables or instances. wasmtime says so in
/// words only.
fn has_too_many(error: &wasmtime::Error) -> bool {
    let said = error.root_cause().to_string();
    said.starts_with("resource limit exceeded: ")
}

fn stopped(stop: &Stop) -> Result<Termination, RunError> {
    match stop {
        Stop::Exit(code) => Ok(Termination::Exited { code: *code }),
        Stop::OutputLimit => Ok(Termination::OutputLimit),
        Stop::OutOfFuel => Ok(Termination::OutOfFuel),
        Stop::Trap(_) => Ok(Termination::Trapped {
            kind: TrapKind::Other,
        }),
        Stop::Unreadable(reason) => Err(RunError::Unreadable(reason.clone())),
        Stop::Unusable(reason) => Err(RunError::Unusable(reason.clone())),
        Stop::Host(reason) => Err(RunError::Host(reason.clone())),
    }
}

pub(crate) fn kind(trap: Trap) -> TrapKind {
    match trap {
        Trap::UnreachableCodeReached => TrapKind::Unreachable,
        Trap::MemoryOutOfBounds | Trap::HeapMisaligned => TrapKind::MemoryOutOfBounds,
        Trap::TableOutOfBounds => TrapKind::TableOutOfBounds,
        Trap::IndirectCallToNull | Trap::NullReference => TrapKind::NullReference,
        Trap::BadSignature => TrapKind::IndirectCallToWrongType,
        Trap::IntegerDivisionByZero => TrapKind::DivisionByZero,
        Trap::IntegerOverflow => TrapKind::IntegerOverflow,
        Trap::BadConversionToInteger => TrapKind::BadConversionToInteger,
        Trap::StackOverflow => TrapKind::StackOverflow,
        _ => TrapKind::Other,
    }
}
