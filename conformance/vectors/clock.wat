;; Prints both clocks, sleeps for an hour, and prints them again.
(module
  (import "wasi_snapshot_preview1" "clock_time_get"
    (func $time (param i32 i64 i32) (result i32)))
  (import "wasi_snapshot_preview1" "poll_oneoff"
    (func $poll (param i32 i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "fd_write"
    (func $write (param i32 i32 i32 i32) (result i32)))
  (memory (export "memory") 1)
  (data (i32.const 0) "\10\00\00\00\20\00\00\00")
  (func (export "_start")
    (drop (call $time (i32.const 0) (i64.const 0) (i32.const 16)))
    (drop (call $time (i32.const 1) (i64.const 0) (i32.const 24)))
    ;; A relative time on the monotonic clock.
    (i32.store (i32.const 272) (i32.const 1))
    (i64.store (i32.const 280) (i64.const 3600000000000))
    (drop (call $poll (i32.const 256) (i32.const 512) (i32.const 1) (i32.const 8)))
    (drop (call $time (i32.const 0) (i64.const 0) (i32.const 32)))
    (drop (call $time (i32.const 1) (i64.const 0) (i32.const 40)))
    (drop (call $write (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 8)))))
