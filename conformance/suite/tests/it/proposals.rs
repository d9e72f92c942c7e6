//! What a component is written with.

use mc_conformance::{Finished, mc};
use std::path::{Path, PathBuf};

/// A module with these fields, in a file.
fn module(dir: &Path, name: &str, fields: &str) -> PathBuf {
    let path = dir.join(format!("{name}.wasm"));
    let module = wat::parse_str(format!("(module {fields})")).unwrap();
    std::fs::write(&path, module).unwrap();
    path
}

/// What `inspect` says last.
fn inspected(path: &str) -> String {
    let told = mc(["inspect", path]).expect_code(0).text();
    told.lines().last().unwrap_or_default().to_owned()
}

fn assert_named(refused: &Finished, code: &str, needs: &str) {
    assert!(refused.stderr.contains(code), "{}", refused.stderr);
    assert!(refused.stderr.contains(needs), "{}", refused.stderr);
}

#[test]
fn what_is_not_offered_is_named_by_every_command_before_anything_else() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data").display().to_string();
    for (name, code, needs, fields) in [
        ("shared", "MC0027", "threads", "(memory 1 1 shared)"),
        (
            "relaxed",
            "MC0027",
            "relaxed SIMD",
            "(func (drop (i32x4.relaxed_trunc_f32x4_s (v128.const i32x4 0 0 0 0))))",
        ),
        (
            "objects",
            "MC0027",
            "garbage collection",
            "(type $s (struct)) (func (drop (struct.new $s)))",
        ),
        (
            "sockets",
            "MC0005",
            "wasi_snapshot_preview1.sock_open",
            "(import \"wasi_snapshot_preview1\" \"sock_open\" (func (param i32 i32) (result i32)))",
        ),
        (
            "types",
            "MC0005",
            "fd_close",
            "(import \"wasi_snapshot_preview1\" \"fd_close\" (func (param i64)))",
        ),
    ] {
        let fields = format!("{fields} (func (export \"_start\"))");
        let path = module(dir.path(), name, &fields);
        let path = path.to_str().unwrap();
        let told = inspected(path);
        assert!(told.starts_with("cannot be run here: "), "{told}");
        assert!(told.contains(needs), "{told}");
        for command in ["run", "submit"] {
            let done = mc(["--data-dir", &data, command, path]).expect_code(65);
            assert_named(&done, code, needs);
        }
    }
}

/// Catches what it has thrown, and exits with what that carried.
const EXCEPTION: &str = r#"
    (import "wasi_snapshot_preview1" "proc_exit" (func $exit (param i32)))
    (memory (export "memory") 1)
    (tag $t (param i32))
    (func (export "_start")
      (call $exit (block $h (result i32)
        (try_table (catch $t $h) (throw $t (i32.const 9)))
        (i32.const 1))))"#;

/// Once, that was called "other".
#[test]
fn an_exception_that_nobody_catches_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let thrown = r#"(memory (export "memory") 1) (tag $t)
        (func (export "_start") (throw $t))"#;
    let path = module(dir.path(), "thrown", thrown);
    let path = path.to_str().unwrap();
    for how in [&["run"][..], &["run", "--relaxed"]] {
        let trapped = mc(how.iter().copied().chain([path])).expect_code(134);
        let said = "trap: uncaught exception";
        assert!(trapped.stderr.contains(said), "{trapped:#?}");
    }
}

#[test]
fn exceptions_run_but_cannot_be_stopped() {
    let dir = tempfile::tempdir().unwrap();
    let path = module(dir.path(), "exception", EXCEPTION);
    let path = path.to_str().unwrap();
    mc(["run", path]).expect_code(9);
    mc(["run", "--engine", "pulley", path]).expect_code(9);
    let told = inspected(path);
    assert_eq!(told, "cannot be stopped: module 0, function 1: exceptions");
    let kept = dir.path().join("kept.car").display().to_string();
    let refused = mc(["run", "--checkpoint-at", "1", "-o", &kept, path]);
    assert_named(&refused, "MC0024", "inspect");
}
