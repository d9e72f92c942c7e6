//! Relaxed tasks, which see this machine.

use crate::support::{engine, invocation};
use mc_artifacts::guest;
use mc_engine::{Invocation, Mount, Output, Stdin, World};
use mc_types::{Determinism, Meter, Termination, cid};

#[test]
fn relaxed_task_writes_to_this_machines_directories() {
    let dir = tempfile::tempdir().unwrap();
    let bytes = std::fs::read(guest("file_flood")).unwrap();
    let cid = cid::of(cid::RAW, &bytes);
    let program = engine().load(&cid, &bytes, Determinism::Relaxed).unwrap();
    for (mebibytes, end) in [
        ("1", Termination::Exited { code: 0 }),
        ("3", Termination::OutputLimit),
    ] {
        let mut flood = Invocation {
            world: World::Relaxed {
                mounts: vec![Mount {
                    host: dir.path().to_owned(),
                    guest: "/out".to_owned(),
                    writable: true,
                }],
                stdin: Stdin::Empty,
            },
            stdout: Output::Memory,
            ..invocation(&[mebibytes])
        };
        flood.limits.output_bytes = 2 << 20;
        let ended = program.run(flood).unwrap();
        assert_eq!(ended.end, end, "{mebibytes}");
        assert_eq!(ended.meter, Meter::Wasmtime48);
    }
    assert_eq!(dir.path().join("flood").metadata().unwrap().len(), 3 << 20);
}

/// What was in it counted as output, so that no run with a large directory ever succeeded.
#[test]
fn what_was_in_a_directory_before_is_no_output_of_a_relaxed_task() {
    let [given, out] = [(); 2].map(|()| tempfile::tempdir().unwrap());
    std::fs::write(given.path().join("large"), vec![0; 3 << 20]).unwrap();
    let bytes = std::fs::read(guest("file_flood")).unwrap();
    let cid = cid::of(cid::RAW, &bytes);
    let program = engine().load(&cid, &bytes, Determinism::Relaxed).unwrap();
    let mount = |host: &tempfile::TempDir, guest: &str| Mount {
        host: host.path().to_owned(),
        guest: guest.to_owned(),
        writable: true,
    };
    let mut flood = Invocation {
        world: World::Relaxed {
            mounts: vec![mount(&out, "/out"), mount(&given, "/work")],
            stdin: Stdin::Empty,
        },
        ..invocation(&["1"])
    };
    flood.limits.output_bytes = 2 << 20;
    let ended = program.run(flood).unwrap();
    assert_eq!(ended.end, Termination::Exited { code: 0 });
}

/// A module of preview 1 that writes a file, reads the clock, and exits with 200.
#[test]
fn relaxed_tasks_may_be_modules_of_preview_1() {
    let text = r#"(module
        (import "wasi_snapshot_preview1" "path_open"
            (func $open (param i32 i32 i32 i32 i32 i64 i64 i32 i32) (result i32)))
        (import "wasi_snapshot_preview1" "fd_write"
            (func $write (param i32 i32 i32 i32) (result i32)))
        (import "wasi_snapshot_preview1" "clock_time_get"
            (func $time (param i32 i64 i32) (result i32)))
        (import "wasi_snapshot_preview1" "proc_exit" (func $exit (param i32)))
        (memory (export "memory") 1)
        (data (i32.const 0) "made")
        (data (i32.const 16) "\00\00\00\00\04\00\00\00")
        (func $check (param i32) (if (local.get 0) (then unreachable)))
        (func (export "_start")
            (call $check (call $open (i32.const 3) (i32.const 0) (i32.const 0) (i32.const 4)
                (i32.const 1) (i64.const 64) (i64.const 0) (i32.const 0) (i32.const 32)))
            (call $check (call $write (i32.load (i32.const 32)) (i32.const 16) (i32.const 1)
                (i32.const 40)))
            (call $check (call $write (i32.const 1) (i32.const 16) (i32.const 1) (i32.const 40)))
            (call $check (call $time (i32.const 0) (i64.const 1) (i32.const 48)))
            ;; This machine's clock is beyond 2026-02.
            (if (i64.lt_u (i64.load (i32.const 48)) (i64.const 1770000000000000000))
                (then unreachable))
            (call $exit (i32.const 200))))"#;
    let dir = tempfile::tempdir().unwrap();
    let bytes = wat::parse_str(text).unwrap();
    let cid = cid::of(cid::RAW, &bytes);
    let program = engine().load(&cid, &bytes, Determinism::Relaxed).unwrap();
    let ended = program.run(Invocation {
        world: World::Relaxed {
            mounts: vec![Mount {
                host: dir.path().to_owned(),
                guest: "/out".to_owned(),
                writable: true,
            }],
            stdin: Stdin::Empty,
        },
        ..invocation(&[])
    });
    let ended = ended.unwrap();
    assert_eq!(ended.end, Termination::Exited { code: 200 });
    assert_eq!(ended.stdout, b"made");
    assert_eq!(std::fs::read(dir.path().join("made")).unwrap(), b"made");
}
