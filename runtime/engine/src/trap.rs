//! What an error that ended a guest means.

use crate::{RunError, limiter::Limiter, output::OutputLimitReached};
use mc_types::{End, TrapKind};
use wasmtime::Trap;
use wasmtime_wasi::I32Exit;

/// The guest's end, if it was the guest's own; otherwise what the machine did wrong.
pub(crate) fn end(error: &wasmtime::Error, limiter: &Limiter) -> Result<End, RunError> {
    if let Some(exit) = error.downcast_ref::<I32Exit>() {
        // As POSIX does, the low eight bits count.
        return Ok(End::Exited {
            code: exit.0.to_le_bytes()[0],
        });
    }
    if error.is::<OutputLimitReached>() {
        return Ok(End::OutputLimit);
    }
    match error.downcast_ref::<Trap>() {
        Some(Trap::OutOfFuel) => Ok(End::OutOfFuel),
        Some(Trap::Interrupt) => Err(RunError::Host("interrupted".to_owned())),
        // A guest that was refused memory usually aborts.
        Some(_) if limiter.refused() => Ok(End::MemoryLimit),
        Some(trap) => Ok(End::Trapped { kind: kind(*trap) }),
        None if limiter.refused() => Ok(End::MemoryLimit),
        None => Err(RunError::Host(format!("{error:#}"))),
    }
}

fn kind(trap: Trap) -> TrapKind {
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
