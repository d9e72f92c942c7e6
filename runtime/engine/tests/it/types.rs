//! Programs that import by known names what is not of the right type, or export so what they are run by: `inspect` and
//! `submit`, which only check, and `run` say the same, and nothing of them is compiled before.

use crate::support::engines;
use mc_engine::{Error, Need};
use mc_types::{ErrorCode, cid};

/// Of WASI preview 1: what is imported, and what is said of it.
const MODULES: &[(&str, &[&str])] = &[
    (
        r#""wasi_snapshot_preview1" "fd_close" (func (param i64))"#,
        &["wasi_snapshot_preview1", "fd_close", "i64", "i32"],
    ),
    (
        r#""wasi_unstable" "fd_close" (func (param i32))"#,
        &["wasi_unstable", "fd_close"],
    ),
    (
        // As preview 1 has it for another function.
        r#""wasi_snapshot_preview1" "fd_seek" (func (param i32 i32) (result i32))"#,
        &["fd_seek", "i64"],
    ),
    (
        r#""wasi_snapshot_preview1" "fd_read" (global i32)"#,
        &["fd_read", "global", "func"],
    ),
    (
        r#""wasi_snapshot_preview1" "fd_read" (func (param externref))"#,
        &["fd_read"],
    ),
];

/// Of WASI 0.2.
const COMPONENTS: &[(&str, &[&str])] = &[
    (
        r#""wasi:cli/environment@0.2.3" (instance
             (export "get-environment" (func (result u32))))"#,
        &[
            "wasi:cli/environment@0.2.3",
            "get-environment",
            "u32",
            "list",
        ],
    ),
    (
        r#""wasi:cli/environment@0.2.0" (instance
             (export "get-shell" (func (result bool))))"#,
        &["wasi:cli/environment@0.2.0", "get-shell"],
    ),
    (
        r#""wasi:io/poll@0.2.0" (instance
             (export "pollable" (type $p (sub resource)))
             (export "[method]pollable.wait" (func (param "self" (borrow $p)))))"#,
        &["wasi:io/poll@0.2.0", "pollable.wait"],
    ),
    (
        // They are lent.
        r#""wasi:io/poll@0.2.0" (instance
             (export "pollable" (type $p (sub resource)))
             (export "poll" (func (param "in" (list (own $p))) (result (list u32)))))"#,
        &["wasi:io/poll@0.2.0", "poll"],
    ),
    (r#""wasi:cli/exit@0.2.0" (func)"#, &["wasi:cli/exit@0.2.0"]),
];

/// A component that would be valid if its function was.
fn component(import: &str, ty: &str, body: &str) -> Vec<u8> {
    let text = format!(
        r#"(component
          {import}
          (core module $m (func (export "run") (result i32) {body}))
          (core instance $i (instantiate $m))
          (func $run (result {ty}) (canon lift (core func $i "run")))
          (instance $run (export "run" (func $run)))
          (export "wasi:cli/run@0.2.0" (instance $run)))"#
    );
    wat::parse_str(text).unwrap()
}

fn assert_refused(program: &[u8], needs: Need, code: ErrorCode, said: &[&str]) {
    let checked = mc_engine::check(program).unwrap_err();
    assert_eq!(checked.code(), code, "{checked}");
    for part in said {
        assert!(checked.to_string().contains(part), "{part}: {checked}");
    }
    for engine in engines() {
        let loaded = engine.load(&cid::of(cid::RAW, program), program, needs);
        let loaded = loaded.unwrap_err();
        assert_eq!(loaded.code(), code, "{loaded}");
        if needs == Need::Run {
            assert_eq!(loaded.to_string(), checked.to_string());
        }
    }
}

#[test]
fn modules_that_import_other_types_are_refused_before_they_are_compiled() {
    for (import, said) in MODULES {
        // Compiling would refuse it for another reason: its function returns nothing.
        let text = format!(
            r#"(module (import {import}) (func (result i32)) (memory (export "memory") 1)
                 (func (export "_start")))"#
        );
        let module = wat::parse_str(text).unwrap();
        for need in [Need::Run, Need::Resume, Need::Relaxed] {
            assert_refused(&module, need, ErrorCode::UnsupportedImport, said);
        }
    }
}

#[test]
fn components_that_import_other_types_are_refused_before_they_are_compiled() {
    for (import, said) in COMPONENTS {
        let program = component(&format!("(import {import})"), "(result)", "");
        let checked = mc_engine::check(&program).unwrap_err();
        assert!(matches!(checked, Error::ImportForm { .. }), "{checked}");
        for need in [Need::Run, Need::Resume] {
            assert_refused(&program, need, ErrorCode::UnsupportedImport, said);
        }
    }
    let other = r#"(import "wasi:cli/environment@0.2.0" (instance
        (export "get-arguments" (func (result u64)))))"#;
    let other = component(other, "(result)", "");
    assert_refused(
        &other,
        Need::Relaxed,
        ErrorCode::UnsupportedImport,
        &["get-arguments"],
    );
}

#[test]
fn components_that_export_another_run_are_refused_before_they_are_compiled() {
    let program = component("", "u32", "");
    let said = ["wasi:cli/run@0.2.0", "func() -> u32", "func() -> result"];
    for need in [Need::Run, Need::Resume, Need::Relaxed] {
        assert_refused(&program, need, ErrorCode::InvalidComponent, &said);
    }
}

#[test]
fn programs_of_the_right_types_pass_and_run() {
    let right = r#"(import "wasi:cli/environment@0.2.9" (instance
        (export "get-arguments" (func (result (list string))))))
      (import "wasi:sockets/network@0.2.0" (instance
        (export "network" (type (sub resource)))))"#;
    let program = component(right, "(result)", "i32.const 0");
    mc_engine::check(&program).unwrap();
    for engine in engines() {
        for need in [Need::Run, Need::Resume] {
            engine
                .load(&cid::of(cid::RAW, &program), &program, need)
                .unwrap();
        }
    }
}
