//! What WebAssembly has grown by, and which of it is offered.

use crate::{Refused, analysis::FEATURES};
use wasmparser::{BinaryReaderError, Validator, WasmFeatures};

/// The proposals for WebAssembly that run here: those that the pass can instrument, and those that only wasmtime
/// handles. Its configuration must agree.
const OFFERED: WasmFeatures = FEATURES
    .union(WasmFeatures::FUNCTION_REFERENCES)
    .union(WasmFeatures::GC_TYPES)
    .union(WasmFeatures::MEMORY64);

/// All others, by the names under which they are known.
const OTHERS: [(WasmFeatures, &str); 24] = [
    (WasmFeatures::RELAXED_SIMD, "relaxed SIMD"),
    (WasmFeatures::THREADS, "threads"),
    (
        WasmFeatures::SHARED_EVERYTHING_THREADS,
        "shared-everything threads",
    ),
    (WasmFeatures::MEMORY_CONTROL, "memory control"),
    (WasmFeatures::GC, "garbage collection"),
    (WasmFeatures::CUSTOM_PAGE_SIZES, "custom page sizes"),
    (WasmFeatures::LEGACY_EXCEPTIONS, "legacy exceptions"),
    (WasmFeatures::STACK_SWITCHING, "stack switching"),
    (WasmFeatures::WIDE_ARITHMETIC, "wide arithmetic"),
    (WasmFeatures::CUSTOM_DESCRIPTORS, "custom descriptors"),
    (WasmFeatures::COMPACT_IMPORTS, "compact imports"),
    (WasmFeatures::CM_VALUES, "component values"),
    (WasmFeatures::CM_NESTED_NAMES, "nested component names"),
    (WasmFeatures::CM_ASYNC, "component async"),
    (WasmFeatures::CM_ASYNC_STACKFUL, "stackful component async"),
    (
        WasmFeatures::CM_MORE_ASYNC_BUILTINS,
        "more component async built-ins",
    ),
    (WasmFeatures::CM_THREADING, "component threading"),
    (WasmFeatures::CM_ERROR_CONTEXT, "component error contexts"),
    (
        WasmFeatures::CM_FIXED_LENGTH_LISTS,
        "component fixed-length lists",
    ),
    (WasmFeatures::CM_GC, "component garbage collection"),
    (WasmFeatures::CM_MAP, "component maps"),
    (WasmFeatures::CM64, "64-bit components"),
    (WasmFeatures::CM_IMPLEMENTS, "component implements"),
    (WasmFeatures::CM_CANON_NAMES, "component canonical names"),
];

/// Refuses invalid programs, and programs that need a proposal that is not offered. Instrumented programs need none.
///
/// # Errors
///
/// [`Refused::Proposals`] names them all; [`Refused::Invalid`] when the program is invalid under any proposals.
pub fn check_proposals(program: &[u8]) -> Result<(), Refused> {
    if validate(program, OFFERED).is_ok() {
        return Ok(());
    }
    let mut needed = WasmFeatures::all();
    validate(program, needed)?;
    let mut names = Vec::new();
    for (proposal, name) in OTHERS {
        let without = needed.difference(proposal);
        if validate(program, without).is_ok() {
            needed = without;
        } else {
            names.push(name);
        }
    }
    Err(Refused::Proposals { names })
}

fn validate(program: &[u8], features: WasmFeatures) -> Result<(), BinaryReaderError> {
    Validator::new_with_features(features)
        .validate_all(program)
        .map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_proposal_is_offered_or_has_a_name() {
        let others = OTHERS.iter().map(|(proposal, _)| *proposal);
        let known = others.fold(OFFERED, WasmFeatures::union);
        assert_eq!(known, WasmFeatures::all());
        for (proposal, name) in OTHERS {
            assert!(!OFFERED.intersects(proposal), "{name}");
        }
    }

    #[test]
    fn what_is_valid_nowhere_needs_no_proposal() {
        let body = b"\0asm\x01\0\0\0\x01\x04\x01\x60\0\0\x03\x02\x01\0\x0a\x05\x01\x03\0\x6a\x0b";
        let refused = check_proposals(body).unwrap_err();
        assert!(matches!(refused, Refused::Invalid { .. }), "{refused}");
    }

    #[test]
    fn those_for_components_are_named_too() {
        for (text, name) in [
            ("(type (stream u8))", "component async"),
            ("(type (list u8 4))", "component fixed-length lists"),
            ("(type (map string u32))", "component maps"),
            (
                "(type (func (param \"e\" error-context)))",
                "component error contexts",
            ),
        ] {
            let component = wat::parse_str(format!("(component {text})")).unwrap();
            let names = vec![name];
            assert_eq!(
                check_proposals(&component),
                Err(Refused::Proposals { names })
            );
        }
    }

    #[test]
    fn all_that_are_needed_are_named() {
        let both = "(module (memory 1 1 shared) (func (result v128)
            (i32x4.relaxed_trunc_f32x4_s (v128.const i32x4 0 0 0 0))))";
        let refused = check_proposals(&wat::parse_str(both).unwrap()).unwrap_err();
        let names = vec!["relaxed SIMD", "threads"];
        assert_eq!(refused, Refused::Proposals { names });
    }
}
