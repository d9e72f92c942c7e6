use super::*;
use crate::{instrument_module, plan::Ability};
use std::collections::BTreeSet;

fn validate(wasm: &[u8]) -> Result<(), wasmparser::BinaryReaderError> {
    wasmparser::Validator::new_with_features(crate::analysis::FEATURES)
        .validate_all(wasm)
        .map(drop)
}

fn instrumented(text: &str) -> Vec<u8> {
    let module = wat::parse_str(text).unwrap();
    for page in [Page::Own, Page::Imported] {
        for ability in [Ability::Count, Ability::Stop, Ability::Resume] {
            let new = instrument(&module, plan(page, ability)).unwrap();
            validate(&new.wasm).unwrap();
        }
    }
    instrument(&module, plan(Page::Own, Ability::Resume))
        .unwrap()
        .wasm
}

fn plan(page: Page, ability: Ability) -> Plan<'static> {
    const NONE: &BTreeSet<String> = &BTreeSet::new();
    Plan {
        page,
        number: 0,
        is_guest: &|_| false,
        held: NONE,
        globals: meter::GLOBALS,
        ability,
    }
}

#[test]
fn every_kind_of_control_flow_stays_valid() {
    instrumented(
        r#"(module
              (import "a" "f" (func $f (param i32) (result i32)))
              (import "a" "m" (memory 1))
              (memory 2)
              (table 4 funcref)
              (elem (i32.const 0) $two $f)
              (func $two (param i64) (result i32 i64)
                (if (result i32 i64) (i64.eqz (local.get 0))
                  (then (return (i32.const 1) (i64.const 2)))
                  (else (i32.const 3) (i64.const 4) (br 0) (drop) (loop (br 0)))))
              (func (export "g") (param i32) (result i32)
                (local v128 f64)
                block
                  loop
                    local.get 0
                    i32.eqz
                    br_if 1
                    block
                      block
                        local.get 0
                        br_table 0 1 2 3
                      end
                      unreachable
                    end
                    i32.const 0
                    return
                  end
                end
                (memory.copy 0 1 (i32.const 0) (i32.const 0) (i32.const 9))
                (drop (memory.grow 1 (i32.const 1)))
                (drop (table.grow (ref.null func) (i32.const 1)))
                (call_indirect (param i32) (result i32) (local.get 0) (i32.const 1))
                drop
                (return_call $f (i32.const 1))))"#,
    );
}

#[test]
fn handlers_of_exceptions_stay_valid() {
    instrumented(
        r#"(module
              (tag $empty) (tag $pair (param i32 i64))
              (func $throws (param i32) (result f64)
                (if (local.get 0) (then (throw $empty)))
                (throw $pair (i32.const 1) (i64.const 2)))
              (func (export "f") (param i32) (result i32 i64)
                (local exnref)
                (loop $again
                  (block $all
                    (block $kept (result exnref)
                      (try_table (result f64)
                        (catch $pair 3) (catch_all_ref $kept) (catch_all $all) (catch $empty $again)
                        (br_if $all (local.get 0))
                        (call $throws (local.get 0)))
                      (drop)
                      (br $again))
                    (local.set 1)
                    (throw_ref (local.get 1)))
                  (br $again))
                unreachable))"#,
    );
}

#[test]
fn start_function_waits_for_the_meter() {
    let new = instrumented("(module (func $s) (start $s) (memory 1))");
    let mut exports = Vec::new();
    for payload in Parser::new(0).parse_all(&new) {
        match payload.unwrap() {
            Payload::ExportSection(section) => {
                exports.extend(section.into_iter().map(|e| e.unwrap().name.to_owned()));
            }
            Payload::StartSection { .. } => panic!("started by itself"),
            _ => {}
        }
    }
    let memory = memory_export(0);
    let all = [SAVE_EXPORT, LOAD_EXPORT, &memory, meter::PAGE, START_EXPORT];
    assert_eq!(exports, all);
}

#[test]
fn what_is_not_handled_is_refused() {
    for text in [
        "(module (memory i64 1))",
        "(module (memory 1 1 shared))",
        "(module (import \"a\" \"t\" (tag)))",
        "(module (func (result v128) (i32x4.relaxed_trunc_f32x4_s (v128.const i64x2 0 0))))",
        "(module (type (struct)))",
    ] {
        let module = wat::parse_str(text).unwrap();
        assert!(
            instrument_module(&module, Ability::Resume).is_err(),
            "{text}"
        );
    }
    assert!(instrument_module(b"\0asm", Ability::Resume).is_err());
}

#[test]
fn modules_and_components_are_not_taken_for_each_other() {
    let component = "(component
            (core module (func (export \"run\") (result i32) (i32.const 0)))
            (core module (func (export \"run\") (result i32) (i32.const 0))))";
    let component = wat::parse_str(component).unwrap();
    let module = wat::parse_str("(module (func (export \"run\")))").unwrap();
    assert!(instrument_module(&component, Ability::Resume).is_err());
    assert!(instrument_module(&component, Ability::Count).is_err());
    assert!(crate::instrument_component(&module, Ability::Resume).is_err());
    assert!(crate::instrument_component(&module, Ability::Count).is_err());
}

#[test]
fn every_cut_and_every_flipped_bit_is_refused_or_valid() {
    let module = wat::parse_str(
        "(module (memory 1) (func (export \"f\") (param i32) (result i32)
               (loop (br_if 0 (local.get 0))) (call 0 (local.get 0))))",
    )
    .unwrap();
    for length in 0..module.len() {
        let _ = instrument_module(&module[..length], Ability::Resume);
    }
    for bit in 0..module.len() * 8 {
        let mut bad = module.clone();
        bad[bit / 8] ^= 1 << (bit % 8);
        if let Ok(new) = instrument_module(&bad, Ability::Resume) {
            validate(&new.wasm).unwrap();
        }
    }
}
