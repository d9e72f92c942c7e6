//! Every proposal for WebAssembly that programs are written with: it runs, or is refused by its name, and `inspect` says
//! which. That each has a place in one of the lists is looked at where the lists are, in `mc-checkpoint`.

use crate::support::{engines, invocation, load};
use mc_checkpoint::{Admission, Refused, cost::THROW_UNITS, inspect};
use mc_engine::{Engine, Error, Execution};
use mc_types::{Determinism, ErrorCode, Limits, Meter, Termination, TrapKind, cid};

/// Programs that exit with 9, and whether they can be instrumented.
const OFFERED: &[(&str, bool, &str)] = &[
    (
        "multi-value",
        true,
        r#"(memory (export "memory") 1) (func $two (result i32 i32) (i32.const 4) (i32.const 5))
           (func (export "_start") (call $two) (i32.add) (call $exit))"#,
    ),
    (
        "bulk memory",
        true,
        r#"(memory (export "memory") 1) (func (export "_start")
             (memory.fill (i32.const 0) (i32.const 9) (i32.const 1))
             (call $exit (i32.load8_u (i32.const 0))))"#,
    ),
    (
        "sign extension and saturating conversion",
        true,
        r#"(memory (export "memory") 1) (func (export "_start")
             (call $exit (i32.extend8_s (i32.trunc_sat_f32_s (f32.const 9.5)))))"#,
    ),
    (
        "SIMD",
        true,
        r#"(memory (export "memory") 1) (func (export "_start")
             (call $exit (i32x4.extract_lane 1 (v128.const i32x4 0 9 0 0))))"#,
    ),
    (
        "tail calls",
        true,
        r#"(memory (export "memory") 1) (func $nine (result i32) (i32.const 9))
           (func $tail (result i32) (return_call $nine))
           (func (export "_start") (call $exit (call $tail)))"#,
    ),
    (
        "multiple memories",
        true,
        r#"(memory (export "memory") 1) (memory $second 1) (data (memory $second) (i32.const 0) "\09")
           (func (export "_start") (call $exit (i32.load8_u $second (i32.const 0))))"#,
    ),
    (
        "extended constants",
        true,
        r#"(memory (export "memory") 1) (global $nine i32 (i32.add (i32.const 4) (i32.const 5)))
           (func (export "_start") (call $exit (global.get $nine)))"#,
    ),
    (
        "references of functions",
        true,
        r#"(memory (export "memory") 1) (table 1 funcref) (func (export "_start")
             (call $exit (i32.add (i32.const 8) (ref.is_null (table.get (i32.const 0))))))"#,
    ),
    (
        "references of the host",
        false,
        r#"(memory (export "memory") 1) (func (export "_start")
             (call $exit (i32.add (i32.const 8) (ref.is_null (ref.null extern)))))"#,
    ),
    (
        "typed references",
        false,
        r#"(memory (export "memory") 1) (type $number (func (result i32)))
           (func $nine (type $number) (i32.const 9)) (elem declare func $nine)
           (func (export "_start") (call $exit (call_ref $number (ref.func $nine))))"#,
    ),
    (
        "64-bit memories",
        false,
        r#"(memory (export "memory") i64 1) (func (export "_start")
             (i32.store8 (i64.const 7) (i32.const 9))
             (call $exit (i32.load8_u (i64.const 7))))"#,
    ),
    ("exceptions", true, EXCEPTION),
];

const EXCEPTION: &str = r#"(memory (export "memory") 1) (tag $t (param i32))
  (func (export "_start")
    (call $exit (block $h (result i32)
      (try_table (catch $t $h) (throw $t (i32.const 9))) (i32.const 1))))"#;

/// Programs that are refused, by the names of what they need.
const REFUSED: &[(&str, &str)] = &[
    (
        "relaxed SIMD",
        "(func (result v128) (i32x4.relaxed_trunc_f32x4_s (v128.const i32x4 0 0 0 0)))",
    ),
    ("threads", "(memory 1 1 shared)"),
    (
        "garbage collection",
        "(type $s (struct (field i32))) (func (drop (struct.new $s (i32.const 1))))",
    ),
    ("custom page sizes", "(memory 1 (pagesize 1))"),
    // Assemblers know it no more: see `module`.
    ("legacy exceptions", "(func (block (nop)))"),
    (
        "stack switching",
        "(type $f (func)) (type $k (cont $f)) (func (param (ref null $k)))",
    ),
    (
        "wide arithmetic",
        "(func (result i64 i64)
           (i64.add128 (i64.const 0) (i64.const 0) (i64.const 0) (i64.const 0)))",
    ),
];

fn module(rest: &str) -> Vec<u8> {
    let text = format!(
        r#"(module (import "wasi_snapshot_preview1" "proc_exit" (func $exit (param i32))) {rest})"#
    );
    let mut bytes = wat::parse_str(text).unwrap();
    // `block`, without a type, of a `nop` becomes `try` with `catch_all`.
    let block = [0x02, 0x40, 0x01, 0x0b];
    let place = bytes.windows(4).position(|code| code == block);
    if let Some(code) = place.and_then(|place| bytes.get_mut(place..place + 4)) {
        code.copy_from_slice(&[0x06, 0x40, 0x19, 0x0b]);
    }
    bytes
}

fn run(engine: &Engine, rest: &str, limits: Limits) -> Execution {
    let mut invocation = invocation(&[]);
    invocation.limits = limits;
    load(engine, &module(rest)).run(invocation).unwrap()
}

#[test]
fn what_is_offered_runs_and_inspect_says_with_which_meter() {
    let engines = engines();
    for (name, is_instrumented, rest) in OFFERED {
        let said = inspect(&module(rest)).unwrap().admission;
        let meter = if *is_instrumented {
            assert!(
                matches!(said, Admission::Stops { .. } | Admission::Counts(_)),
                "{name}: {said:?}"
            );
            Meter::Operators1
        } else {
            assert!(matches!(said, Admission::Refused(_)), "{name}: {said:?}");
            Meter::Wasmtime48
        };
        let ran = engines.each_ref().map(|engine| {
            let ended = run(engine, rest, Limits::default());
            assert_eq!(ended.end, Termination::Exited { code: 9 }, "{name}");
            assert_eq!(ended.meter, meter, "{name}");
            ended.usage.fuel
        });
        assert_eq!(ran[0], ran[1], "{name}");
    }
}

#[test]
fn what_is_not_offered_is_refused_by_its_name_and_inspect_says_so() {
    for (name, rest) in REFUSED {
        let bytes = module(&format!("{rest} (func (export \"_start\"))"));
        let said = inspect(&bytes).unwrap().admission;
        let Admission::NotOffered(Refused::Proposals { names }) = &said else {
            panic!("{name}: {said:?}");
        };
        assert_eq!(names, &[*name]);
        let told = mc_engine::check_proposals(&bytes).unwrap_err();
        for engine in engines() {
            let task = Determinism::Deterministic;
            let refused = engine.load(&cid::of(cid::RAW, &bytes), &bytes, task);
            let refused = refused.unwrap_err();
            assert!(
                matches!(&refused, Error::Proposals { names } if names == &[*name]),
                "{name}: {refused}"
            );
            assert_eq!(refused.code(), ErrorCode::UnsupportedProposal);
            assert_eq!(refused.to_string(), told.to_string());
            assert!(refused.to_string().contains(name), "{refused}");
        }
    }
}

#[test]
fn what_is_not_there_is_refused_before_anything_is_compiled() {
    let long = "(func (export \"_start\") unreachable)";
    for (import, name) in [
        (
            r#"(import "wasi_snapshot_preview1" "sock_open" (func (param i32) (result i32)))"#,
            "wasi_snapshot_preview1.sock_open",
        ),
        (
            r#"(import "gojs" "runtime.wasmExit" (func))"#,
            "gojs.runtime.wasmExit",
        ),
    ] {
        let bytes = wat::parse_str(format!("(module {import} {long})")).unwrap();
        let refused = mc_engine::check(&bytes).unwrap_err();
        assert!(
            matches!(&refused, Error::UnsupportedImports { names } if names == &[name]),
            "{refused}"
        );
    }
    for interface in [
        "wasi:cli/nothing@0.2.0",
        "wasi:cli/exit@0.3.0",
        "wasi:nn/graph@0.2.0",
    ] {
        let component = format!("(component (import \"{interface}\" (instance)))");
        let component = wat::parse_str(component).unwrap();
        let refused = mc_engine::check(&component).unwrap_err();
        assert!(
            matches!(&refused, Error::UnsupportedImports { names } if names == &[interface]),
            "{refused}"
        );
    }
}

#[test]
fn exceptions_that_nobody_catches_are_traps() {
    for engine in engines() {
        let thrown = r#"(memory (export "memory") 1) (tag $t)
            (func (export "_start") (throw $t))"#;
        let ended = run(&engine, thrown, Limits::default());
        let kind = TrapKind::Other;
        assert_eq!(ended.end, Termination::Trapped { kind });
    }
}

/// Throws from the depth of a recursion. On each way up it is caught and thrown again, with what it carried or as it
/// is, and a number is counted up.
const CLIMBS: &str = r#"(memory (export "memory") 1) (tag $t (param i32)) (tag $other)
  (global $caught (mut i32) (i32.const 0))
  (func $climb (param $left i32)
    (local $exception exnref)
    (if (i32.eqz (local.get $left)) (then (throw $t (i32.const 1))))
    (block $kept (result exnref)
      (block $taken (result i32)
        (block $nobody
          (if (i32.and (local.get $left) (i32.const 1))
            (then (try_table (catch $other $nobody) (catch $t $taken)
              (call $climb (i32.sub (local.get $left) (i32.const 1)))))
            (else (try_table (catch_all_ref $kept)
              (call $climb (i32.sub (local.get $left) (i32.const 1)))))))
        unreachable)
      (global.set $caught (i32.add (global.get $caught) (i32.const 1)))
      (throw $t (i32.add (i32.const 1))))
    (local.set $exception)
    (global.set $caught (i32.add (global.get $caught) (i32.const 1)))
    (throw_ref (local.get $exception)))
  (func (export "_start") (local $carried i32)
    (block $h (result i32)
      (try_table (catch $t $h) (call $climb (i32.const 100)))
      unreachable)
    (local.set $carried)
    ;; Of 100 handlers, 50 added one to what was thrown.
    (if (i32.ne (global.get $caught) (i32.const 100)) (then unreachable))
    (if (i32.ne (local.get $carried) (i32.const 51)) (then unreachable))
    (call $exit (i32.const 9)))"#;

#[test]
fn exceptions_come_to_the_same_everywhere() {
    let run_once = |engine: &Engine| {
        let ended = run(engine, CLIMBS, Limits::default());
        assert_eq!(ended.end, Termination::Exited { code: 9 });
        assert_eq!(ended.meter, Meter::Operators1);
        (ended.usage.fuel, ended.usage.memory_peak_bytes)
    };
    let [native, pulley] = engines();
    let first = run_once(&native);
    assert!(first.0 > 101 * THROW_UNITS, "{first:?}");
    // What exceptions take is the guest's, besides the page that it has.
    assert!(first.1 > 1 << 16, "{first:?}");
    assert_eq!(run_once(&native), first);
    assert_eq!(run_once(&pulley), first);
}

/// Throws from a function that computes first, for as long as it may.
const THROWS: &str = r#"(memory (export "memory") 1) (tag $t)
  (func $computes (local $i i32)
    (loop $again
      (local.set $i (i32.add (local.get $i) (i32.const 1)))
      (br_if $again (i32.lt_u (local.get $i) (i32.const 1000))))
    (throw $t))
  (func (export "_start")
    (loop $again (block $h (try_table (catch $t $h) (call $computes))) (br $again)))"#;

#[test]
fn exceptions_let_nobody_escape_the_limits() {
    let fuel = 5_000_000;
    let limits = Limits {
        fuel: Some(fuel),
        memory_bytes: 1 << 20,
        stack_bytes: 1 << 12,
        ..Limits::default()
    };
    // Keeps every exception alive, in the one that is thrown next.
    let hoards = r#"(memory (export "memory") 1) (tag $t (param exnref))
      (func (export "_start") (local $all exnref)
        (loop $again
          (block $h (result exnref exnref)
            (try_table (catch_ref $t $h) (throw $t (local.get $all)))
            unreachable)
          (local.set $all)
          (drop)
          (br $again)))"#;
    for engine in engines() {
        let ended = run(&engine, THROWS, limits);
        assert_eq!(
            (ended.end, ended.usage.fuel),
            (Termination::OutOfFuel, fuel)
        );
        let unlimited = Limits {
            fuel: None,
            ..limits
        };
        let ended = run(&engine, hoards, unlimited);
        assert_eq!(ended.end, Termination::MemoryLimit);
    }
}

#[test]
fn exceptions_that_nobody_keeps_take_no_room() {
    let limits = Limits {
        memory_bytes: 1 << 20,
        ..Limits::default()
    };
    let throws = r#"(memory (export "memory") 1) (tag $t (param i32))
      (func (export "_start") (local $i i32)
        (loop $again
          (drop (block $h (result i32)
            (try_table (catch $t $h) (throw $t (local.get $i)))
            unreachable))
          (local.set $i (i32.add (local.get $i) (i32.const 1)))
          (br_if $again (i32.lt_u (local.get $i) (i32.const 100000))))
        (call $exit (i32.const 9)))"#;
    for engine in engines() {
        let ended = run(&engine, throws, limits);
        assert_eq!(ended.end, Termination::Exited { code: 9 });
    }
}
