//! The compiler, kept from ending the process that calls it.
//!
//! Some programs are valid, and make it panic: such as those with more globals than it can tell apart in one function.

use crate::Error;
use mc_types::panic_message;
use std::{
    panic::{AssertUnwindSafe, catch_unwind, set_hook, take_hook},
    sync::Once,
};

/// Crates whose panics are told as errors.
const COMPILER: [&str; 3] = ["/cranelift-", "/wasmtime-internal-", "/regalloc2-"];
/// Longest part of a panic's message that is told, in characters.
const MAX_CHARS: usize = 200;

/// Calls the compiler.
///
/// # Errors
///
/// [`Error::Invalid`] when the program is malformed, [`Error::Uncompilable`] when the compiler panics on it.
pub(super) fn contained<T>(compile: impl FnOnce() -> wasmtime::Result<T>) -> Result<T, Error> {
    keep_quiet();
    // What a panic leaves half made is dropped with it: nothing is shared before a program is compiled.
    match catch_unwind(AssertUnwindSafe(compile)) {
        Ok(compiled) => compiled.map_err(invalid),
        Err(panic) => {
            let message: String = panic_message(&*panic).chars().take(MAX_CHARS).collect();
            let reason = format!("the compiler gave up with {message:?}");
            Err(Error::Uncompilable { reason })
        }
    }
}

pub(super) fn invalid(error: wasmtime::Error) -> Error {
    Error::Invalid {
        reason: format!("{error:#}"),
    }
}

/// Keeps the compiler's panics, on whichever of its threads, off the standard error: users are told the error.
fn keep_quiet() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let others = take_hook();
        set_hook(Box::new(move |panic| {
            let file = panic.location().map_or("", |location| location.file());
            if !COMPILER.iter().any(|part| file.contains(part)) {
                others(panic);
            }
        }));
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_of_the_compiler_is_an_error() {
        let refused = contained(|| -> wasmtime::Result<()> { panic!("{}", "x".repeat(1000)) });
        let Err(error @ Error::Uncompilable { .. }) = refused else {
            panic!("{refused:?}");
        };
        assert!(error.is_components_fault());
        assert!(error.to_string().len() < 300, "{error}");
        assert_eq!(contained(|| Ok(1)).unwrap(), 1);
    }
}
