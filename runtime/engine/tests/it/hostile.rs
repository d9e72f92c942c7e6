//! Guests that mean no good.

use crate::support::{engine, invocation, load, program, text};
use mc_artifacts::guest;
use mc_engine::Invocation;
use mc_types::{Limits, Termination, TrapKind};

fn with(limits: Limits, args: &[&str]) -> Invocation {
    Invocation {
        limits,
        ..invocation(args)
    }
}

#[test]
fn leaked_handles_reach_a_limit() {
    let limits = Limits {
        handles: 100,
        ..Limits::default()
    };
    let leak = program(&engine(), &guest("handle_leak"));
    let ended = leak.run(with(limits, &[])).unwrap();
    assert_eq!(ended.end, Termination::Exited { code: 0 });
    let told = text(&ended.stdout);
    let opened: u32 = told.split_once(' ').unwrap().0.parse().unwrap();
    assert!((50..100).contains(&opened), "{told}");
}

#[test]
fn made_files_reach_a_limit() {
    let limits = Limits {
        scratch_files: 500,
        ..Limits::default()
    };
    let bomb = program(&engine(), &guest("file_bomb"));
    let ended = bomb.run(with(limits, &[])).unwrap();
    assert_eq!(ended.end, Termination::Exited { code: 0 });
    assert!(text(&ended.stdout).starts_with("500 files"));
}

#[test]
fn arguments_larger_than_memory_are_the_guests_end() {
    let limits = Limits {
        memory_bytes: 2 << 20,
        ..Limits::default()
    };
    let large = "x".repeat(3 << 20);
    let echo = program(&engine(), &guest("echo_world"));
    let ended = echo.run(with(limits, &[&large])).unwrap();
    assert!(
        !matches!(ended.end, Termination::Exited { code: 0 }),
        "{:?}",
        ended.end
    );
}

/// A core module whose `_start` makes the calls in `body`.
fn module(imports: &str, body: &str) -> Vec<u8> {
    let text = format!(
        "(module {imports} (memory (export \"memory\") 1) (table 4 funcref)
           (func (export \"_start\") {body}))"
    );
    wat::parse_str(text).unwrap()
}

#[test]
fn a_table_grows_up_to_its_limit() {
    let limits = Limits {
        table_entries: 1000,
        ..Limits::default()
    };
    let grow = module(
        "",
        "(if (i32.ne (table.grow (ref.null func) (i32.const 996)) (i32.const 4)) (then unreachable))
         (if (i32.ne (table.grow (ref.null func) (i32.const 1)) (i32.const -1)) (then unreachable))",
    );
    let ended = load(&engine(), &grow).run(with(limits, &[])).unwrap();
    assert_eq!(ended.end, Termination::Exited { code: 0 });
}

#[test]
fn polling_nothing_and_addresses_beyond_memory_are_errors() {
    let import = |name: &str, params: usize| {
        let params = "i32 ".repeat(params);
        format!(
            "(import \"wasi_snapshot_preview1\" \"{name}\" (func ${name} (param {params}) (result i32)))"
        )
    };
    let imports = import("poll_oneoff", 4)
        + &import("fd_write", 4)
        + &import("random_get", 2)
        + &import("args_get", 2)
        + &import("path_create_directory", 3)
        + &import("fd_prestat_get", 2);
    let check = |call: &str, errno: u32| {
        format!("(if (i32.ne ({call}) (i32.const {errno})) (then unreachable))")
    };
    let body = check(
        "call $poll_oneoff (i32.const 0) (i32.const 64) (i32.const 0) (i32.const 8)",
        28,
    ) + &check(
        "call $poll_oneoff (i32.const -8) (i32.const 64) (i32.const 1) (i32.const 8)",
        28,
    ) + &check(
        "call $fd_write (i32.const 1) (i32.const -4) (i32.const 1) (i32.const 0)",
        28,
    ) + &check(
        "call $fd_write (i32.const 1) (i32.const 0) (i32.const -1) (i32.const 0)",
        28,
    ) + &check("call $fd_write (i32.const 77) (i32.const 0) (i32.const 1) (i32.const 0)", 8)
        + &check("call $random_get (i32.const 65535) (i32.const 2)", 28)
        + &check("call $random_get (i32.const 0) (i32.const -1)", 28)
        + &check("call $args_get (i32.const -1) (i32.const -1)", 28)
        // 0xff is no UTF-8.
        + "(i32.store8 (i32.const 100) (i32.const 0xff))"
        + &check(
            "call $path_create_directory (i32.const 3) (i32.const 100) (i32.const 1)",
            25,
        )
        + &check("call $fd_prestat_get (i32.const 4) (i32.const 0)", 8);
    let ended = load(&engine(), &module(&imports, &body))
        .run(invocation(&[]))
        .unwrap();
    assert_eq!(ended.end, Termination::Exited { code: 0 });
}

#[test]
fn one_call_moves_a_bounded_number_of_bytes() {
    // A thousand buffers, each of which is a mebibyte of the same memory.
    let imports = r#"(import "wasi_snapshot_preview1" "fd_write"
        (func $write (param i32 i32 i32 i32) (result i32)))"#;
    let body = "(local $n i32)
        (drop (memory.grow (i32.const 31)))
        (loop $more
          (i32.store (i32.add (i32.const 65536) (i32.shl (local.get $n) (i32.const 3))) (i32.const 0))
          (i32.store offset=4 (i32.add (i32.const 65536) (i32.shl (local.get $n) (i32.const 3)))
            (i32.const 1048576))
          (local.set $n (i32.add (local.get $n) (i32.const 1)))
          (br_if $more (i32.lt_u (local.get $n) (i32.const 1000))))
        (if (call $write (i32.const 1) (i32.const 65536) (i32.const 1000) (i32.const 8))
          (then unreachable))
        (if (i32.ne (i32.load (i32.const 8)) (i32.const 16777216)) (then unreachable))";
    let ended = load(&engine(), &module(imports, body))
        .run(invocation(&[]))
        .unwrap();
    assert_eq!(ended.end, Termination::Exited { code: 0 });
    assert_eq!(ended.stdout.len(), 16 << 20);
}

#[test]
fn a_module_without_memory_cannot_call() {
    let text = r#"(module
      (import "wasi_snapshot_preview1" "sched_yield" (func $yield (result i32)))
      (func (export "_start") (drop (call $yield))))"#;
    let program = load(&engine(), &wat::parse_str(text).unwrap());
    let ended = program.run(invocation(&[])).unwrap();
    assert_eq!(
        ended.end,
        Termination::Trapped {
            kind: TrapKind::Other
        }
    );
}

#[test]
fn dropping_what_one_does_not_have_is_a_trap() {
    let text = r#"(component
      (import "wasi:io/poll@0.2.0" (instance $poll
        (export "pollable" (type $p (sub resource)))
        (export "[method]pollable.block" (func (param "self" (borrow $p))))))
      (alias export $poll "pollable" (type $p))
      (alias export $poll "[method]pollable.block" (func $block))
      (core func $drop (canon resource.drop $p))
      (core func $lowered (canon lower (func $block)))
      (core module $m
        (import "" "f" (func $f (param i32)))
        (func (export "run") (result i32) (call $f (i32.const 77)) (i32.const 0)))
      (core instance $i (instantiate $m (with "" (instance (export "f" (func $FUNCTION))))))
      (func $run (result (result)) (canon lift (core func $i "run")))
      (instance $command (export "run" (func $run)))
      (export "wasi:cli/run@0.2.0" (instance $command)))"#;
    for function in ["drop", "lowered"] {
        let component = wat::parse_str(text.replace("FUNCTION", function)).unwrap();
        let ended = load(&engine(), &component).run(invocation(&[])).unwrap();
        let kind = TrapKind::Other;
        assert_eq!(ended.end, Termination::Trapped { kind }, "{function}");
    }
}
