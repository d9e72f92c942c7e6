//! Every way in which a guest can end.

use crate::support::{engine, engines, invocation, load, program, run};
use mc_artifacts::guest;
use mc_engine::{Allocation, Engine, Error, Invocation, Options, RunError};
use mc_types::{Determinism, Limits, Meter, Termination, TrapKind, cid};
use std::time::{Duration, Instant};

#[test]
fn every_end_is_told_from_the_others() {
    let small = Limits {
        memory_bytes: 16 << 20,
        ..Limits::default()
    };
    let frugal = Limits {
        fuel: Some(1_000_000),
        ..Limits::default()
    };
    let terse = Limits {
        output_bytes: 100_000,
        ..Limits::default()
    };
    let trapped = |kind| Termination::Trapped { kind };
    for (name, limits, end) in [
        (
            "exit_zero",
            Limits::default(),
            Termination::Exited { code: 0 },
        ),
        (
            "exit_failure",
            Limits::default(),
            Termination::Exited { code: 1 },
        ),
        (
            "trap_unreachable",
            Limits::default(),
            trapped(TrapKind::Unreachable),
        ),
        (
            "trap_recursion",
            Limits::default(),
            trapped(TrapKind::StackOverflow),
        ),
        ("memory_hog", small, Termination::MemoryLimit),
        ("cpu_forever", frugal, Termination::OutOfFuel),
        ("sleep_forever", frugal, Termination::OutOfFuel),
        ("output_flood", terse, Termination::OutputLimit),
    ] {
        let ended = run(name, limits);
        assert_eq!(ended.end, end, "{name}");
        assert_eq!(ended.meter, Meter::Operators1, "{name}");
    }
    // This one's frames lie in its memory, of whose end it knows nothing.
    let stack = run("trap_stack", Limits::default()).end;
    assert!(matches!(stack, Termination::Trapped { .. }), "{stack:?}");
}

#[test]
fn usage_is_measured_and_fuel_is_the_same_every_time() {
    let first = run("exit_zero", Limits::default()).usage;
    assert!(first.fuel > 0);
    assert!(first.memory_peak_bytes >= 1 << 16);
    for _ in 0..3 {
        assert_eq!(run("exit_zero", Limits::default()).usage.fuel, first.fuel);
    }
}

#[test]
fn fuel_decides_at_a_position_that_depends_on_nothing_else() {
    let whole = run("exit_zero", Limits::default()).usage.fuel;
    let with = |fuel| {
        run(
            "exit_zero",
            Limits {
                fuel: Some(fuel),
                ..Limits::default()
            },
        )
    };
    let enough = with(whole);
    assert_eq!(enough.end, Termination::Exited { code: 0 });
    assert_eq!(enough.usage.fuel, whole);
    let short = with(whole / 2);
    assert_eq!(short.end, Termination::OutOfFuel);
    assert_eq!(short.usage.fuel, whole / 2);
}

#[test]
fn guests_are_killed_whatever_they_do() {
    let engine = engine();
    for name in ["cpu_forever", "sleep_forever"] {
        let program = program(&engine, &guest(name));
        let timeout = Some(Duration::from_millis(50));
        let begun = Instant::now();
        let error = program.run(Invocation {
            timeout,
            ..invocation(&[])
        });
        assert!(
            matches!(error, Err(RunError::Timeout { .. })),
            "{name}: {error:?}"
        );
        let cancelled = invocation(&[]);
        let cancel = cancelled.cancel.clone();
        let error = std::thread::scope(|scope| {
            scope.spawn(move || {
                std::thread::sleep(Duration::from_millis(50));
                cancel.cancel();
            });
            program.run(cancelled)
        });
        assert!(
            matches!(error, Err(RunError::Cancelled)),
            "{name}: {error:?}"
        );
        let took = begun.elapsed();
        assert!(took < Duration::from_secs(5), "{name}: {took:?}");
    }
}

#[test]
fn programs_that_cannot_run_here_say_why() {
    let engine = engine();
    let load = |bytes: &[u8]| {
        let cid = cid::of(cid::RAW, bytes);
        engine
            .load(&cid, bytes, Determinism::Deterministic)
            .unwrap_err()
    };
    let keyvalue = std::fs::read(guest("imports_keyvalue")).unwrap();
    let error = load(&keyvalue);
    assert!(
        matches!(&error, Error::UnsupportedImports { names } if names.len() == 1),
        "{error}"
    );
    assert!(error.to_string().contains("wasi:keyvalue/store"), "{error}");
    let empty = wat::parse_str("(component)").unwrap();
    assert!(matches!(load(&empty), Error::NotACommand { .. }));
    let broken = std::fs::read(guest("exit_zero")).unwrap();
    assert!(matches!(
        load(&broken[..broken.len() / 2]),
        Error::Invalid { .. }
    ));
    let library = wat::parse_str("(module)").unwrap();
    assert!(matches!(load(&library), Error::CoreModule { .. }));
    for start in [
        "(func (export \"_start\") (param i32))",
        "(func (export \"_start\") (result i32) (i32.const 0))",
        "(memory (export \"_start\") 1)",
    ] {
        let module = wat::parse_str(format!("(module {start})")).unwrap();
        let checked = mc_engine::check(&module);
        let is_refused = matches!(checked, Err(Error::CoreModule { .. }));
        assert!(is_refused, "before it is compiled or sent: {start}");
        assert!(matches!(load(&module), Error::CoreModule { .. }), "{start}");
    }
    let foreign = wat::parse_str("(module (import \"env\" \"f\" (func)))").unwrap();
    assert!(matches!(load(&foreign), Error::UnsupportedImports { .. }));
}

#[test]
fn what_cannot_be_instrumented_is_counted_by_wasmtime() {
    let module = wat::parse_str(
        r#"(module
          (import "wasi_snapshot_preview1" "proc_exit" (func $exit (param i32)))
          (memory (export "memory") i64 1)
          (func (export "_start") (call $exit (i32.const 7))))"#,
    )
    .unwrap();
    let ended = load(&engine(), &module).run(invocation(&[])).unwrap();
    assert_eq!(ended.end, Termination::Exited { code: 7 });
    assert_eq!(ended.meter, Meter::Wasmtime48);
    assert!(ended.usage.fuel > 0);
}

#[test]
fn pooled_engine_runs_guests_side_by_side() {
    let allocation = Allocation::Pooling { slots: 4 };
    let engine = Engine::new(&Options {
        allocation,
        ..Options::default()
    })
    .unwrap();
    let program = program(&engine, &guest("exit_zero"));
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for _ in 0..20 {
                    let ended = program.run(invocation(&[])).unwrap();
                    assert_eq!(ended.end, Termination::Exited { code: 0 });
                }
            });
        }
    });
}

/// What wasmtime needs for it is more than the mebibyte that it would let one have in a pool.
#[test]
fn a_program_with_many_functions_runs_in_a_pool_too() {
    let import = r#"(import "wasi_snapshot_preview1" "sched_yield" (func (result i32)))"#;
    let text = format!(
        r#"(module {} (memory (export "memory") 1) (func (export "_start")))"#,
        import.repeat(70_000)
    );
    let bytes = wat::parse_str(text).unwrap();
    for allocation in [Allocation::OnDemand, Allocation::Pooling { slots: 2 }] {
        let engine = Engine::new(&Options {
            allocation,
            ..Options::default()
        })
        .unwrap();
        let ended = load(&engine, &bytes).run(invocation(&[])).unwrap();
        assert_eq!(ended.end, Termination::Exited { code: 0 });
    }
}

/// A large program takes a minute to compile; what it imports is told at once.
#[test]
fn imports_are_looked_at_before_anything_is_compiled() {
    // Compiling would refuse it, since its function returns nothing.
    let text = r#"(module
        (import "env" "emscripten_memcpy" (func))
        (func (export "_start") (result i32)))"#;
    let bytes = wat::parse_str(text).unwrap();
    let cid = cid::of(cid::RAW, &bytes);
    for determinism in [Determinism::Deterministic, Determinism::Relaxed] {
        let refused = engine().load(&cid, &bytes, determinism).unwrap_err();
        let Error::UnsupportedImports { names } = &refused else {
            panic!("{refused}");
        };
        assert_eq!(names, &["env.emscripten_memcpy"]);
    }
    assert!(mc_engine::check(&bytes).is_err());
    let zero = std::fs::read(guest("exit_zero")).unwrap();
    assert!(mc_engine::check(&zero).is_ok());
}

/// It was taken for a failure of the machine, after which jobs are tried again elsewhere.
#[test]
fn what_has_too_much_to_begin_with_is_no_failure_of_the_machine() {
    let many = "(memory 1)".repeat(70);
    let tables = "(table 1 funcref)".repeat(70);
    for (has, limit) in [
        ("(table 6 funcref)", 5),
        ("(table 3 funcref) (table 3 funcref)", 5),
        (many.as_str(), 1000),
        (tables.as_str(), 1000),
    ] {
        let text = format!(r#"(module {has} (func (export "_start")))"#);
        let bytes = wat::parse_str(text).unwrap();
        for engine in engines() {
            let invocation = Invocation {
                limits: Limits {
                    table_entries: limit,
                    ..Limits::default()
                },
                ..invocation(&[])
            };
            let ended = load(&engine, &bytes).run(invocation);
            let is_refused = matches!(ended, Err(RunError::TooMuch { .. }));
            assert!(is_refused, "{has}: {:?}", ended.err());
        }
    }
}

/// It once was taken for a machine without memory.
#[test]
fn memories_and_tables_that_are_full_say_so_to_the_guest() {
    let text = r#"(module
        (import "wasi_snapshot_preview1" "proc_exit" (func $exit (param i32)))
        (memory (export "memory") 1 2) (table 1 2 funcref)
        (func (export "_start")
            (if (i32.ne (memory.grow (i32.const 2)) (i32.const -1)) (then unreachable))
            (if (i32.ne (memory.grow (i32.const 1)) (i32.const 1)) (then unreachable))
            (if (i32.ne (table.grow (ref.null func) (i32.const 2)) (i32.const -1)) (then unreachable))
            (if (i32.ne (table.grow (ref.null func) (i32.const 1)) (i32.const 1)) (then unreachable))
            (call $exit (i32.const 9))))"#;
    let bytes = wat::parse_str(text).unwrap();
    for engine in engines() {
        let ended = load(&engine, &bytes).run(invocation(&[])).unwrap();
        assert_eq!(ended.end, Termination::Exited { code: 9 });
    }
}
