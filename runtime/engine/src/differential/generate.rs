//! Modules that follow from a number.

use arbitrary::Unstructured;
use wasm_smith::{Config, Module};

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
pub(super) fn module(seed: u64) -> Option<Vec<u8>> {
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
