//! Bodies of the fuzz targets: what must hold of any bytes.
//!
//! `cargo xtask fuzz [--seconds N] [TARGET]` runs them with coverage. The tests in here run them with a few thousand
//! random inputs, for where libFuzzer cannot be had; they need a build of their own.

#![expect(
    clippy::unwrap_used,
    reason = "a failed expectation is what fuzzing looks for"
)]

mod checkpoint;
mod data_plane;
mod model;
mod wasi_files;

pub use checkpoint::checkpoint;
pub use data_plane::{bitswap, car, files, sealed};
pub use wasi_files::wasi_files;

use mc_checkpoint::Ability;
use mc_types::{TaskSpec, canonical};

/// A task decodes to what encodes to the same bytes, or is refused.
pub fn task_spec(bytes: &[u8]) {
    if let Ok(task) = canonical::decode::<TaskSpec>(bytes) {
        let _ = task.validate();
        let (_, encoded) = canonical::encode(&task).unwrap();
        assert_eq!(encoded, bytes, "one value, one encoding");
    }
    let _ = serde_json::from_slice::<TaskSpec>(bytes);
}

/// A program is instrumented to a valid one, or refused.
pub fn admission(bytes: &[u8]) {
    let features = wasmparser::WasmFeatures::default();
    if let Ok(module) = mc_checkpoint::instrument_module(bytes, Ability::Resume) {
        wasmparser::Validator::new_with_features(features)
            .validate_all(&module.wasm)
            .unwrap();
    }
    if let Ok(component) = mc_checkpoint::instrument_component(bytes, Ability::Resume) {
        wasmparser::Validator::new_with_features(features)
            .validate_all(&component.wasm)
            .unwrap();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn random(seed: u64, length: usize) -> Vec<u8> {
        let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
        let mut next = || {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            state.to_le_bytes()[3]
        };
        (0..length).map(|_| next()).collect()
    }

    #[test]
    fn files_behave_as_the_model_says() {
        for seed in 0..4000 {
            wasi_files(&random(seed, 600));
        }
    }

    #[test]
    fn random_bytes_do_no_harm() {
        for seed in 0..2000 {
            let bytes = random(seed, 300);
            task_spec(&bytes);
            admission(&bytes);
            checkpoint(&bytes);
            bitswap(&bytes);
            car(&bytes);
            files(&bytes);
            sealed(&bytes);
        }
    }
}
