;; Prints 64 random bytes, drawn in three parts.
(module
  (import "wasi_snapshot_preview1" "random_get" (func $random (param i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "fd_write"
    (func $write (param i32 i32 i32 i32) (result i32)))
  (memory (export "memory") 1)
  (data (i32.const 0) "\10\00\00\00\40\00\00\00")
  (func (export "_start")
    (drop (call $random (i32.const 16) (i32.const 3)))
    (drop (call $random (i32.const 19) (i32.const 40)))
    (drop (call $random (i32.const 59) (i32.const 21)))
    (drop (call $write (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 8)))))
