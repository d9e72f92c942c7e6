;; Makes /out/a with "hello", renames it to /out/b, unlinks /tmp/c while it is open, and prints what the
;; call for the removed name comes to.
(module
  (import "wasi_snapshot_preview1" "path_open"
    (func $open (param i32 i32 i32 i32 i32 i64 i64 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "path_rename"
    (func $rename (param i32 i32 i32 i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "path_unlink_file"
    (func $unlink (param i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "fd_write"
    (func $write (param i32 i32 i32 i32) (result i32)))
  (memory (export "memory") 1)
  (data (i32.const 0) "\10\00\00\00\05\00\00\00")
  (data (i32.const 16) "hello")
  (data (i32.const 32) "out/a")
  (data (i32.const 40) "out/b")
  (data (i32.const 48) "tmp/c")
  (func $check (param i32) (if (local.get 0) (then unreachable)))
  (func (export "_start")
    (call $check (call $open (i32.const 3) (i32.const 0) (i32.const 32) (i32.const 5) (i32.const 9)
      (i64.const 64) (i64.const 0) (i32.const 0) (i32.const 100)))
    (call $check (call $write (i32.load (i32.const 100)) (i32.const 0) (i32.const 1) (i32.const 104)))
    (call $check (call $rename (i32.const 3) (i32.const 32) (i32.const 5) (i32.const 3) (i32.const 40) (i32.const 5)))
    (call $check (call $open (i32.const 3) (i32.const 0) (i32.const 48) (i32.const 5) (i32.const 9)
      (i64.const 66) (i64.const 0) (i32.const 0) (i32.const 100)))
    (call $check (call $unlink (i32.const 3) (i32.const 48) (i32.const 5)))
    (call $check (call $write (i32.load (i32.const 100)) (i32.const 0) (i32.const 1) (i32.const 104)))
    (i32.store8 (i32.const 16)
      (call $open (i32.const 3) (i32.const 0) (i32.const 48) (i32.const 5) (i32.const 0)
        (i64.const 2) (i64.const 0) (i32.const 0) (i32.const 100)))
    (i32.store (i32.const 4) (i32.const 1))
    (call $check (call $write (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 104)))))
