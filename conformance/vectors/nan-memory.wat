;; Passes NaNs with payloads through memory, locals, globals, calls, blocks and tables of integers, and prints their bits:
;; what only moves keeps its bits, what is computed does not.
(module
  (import "wasi_snapshot_preview1" "fd_write"
    (func $write (param i32 i32 i32 i32) (result i32)))
  (memory (export "memory") 1)
  (data (i32.const 0) "\10\00\00\00\40\00\00\00")
  ;; A signalling NaN with a payload.
  (data (i32.const 1024) "\23\01\00\00\00\00\f4\ff")
  (data (i32.const 1032) "\45\23\a1\7f")
  (global $kept (mut f64) (f64.const 0))
  (func $same (param f64) (result f64) (local.get 0))
  (func $chosen (param f64 f64 i32) (result f64)
    (select (local.get 0) (local.get 1) (local.get 2)))
  (func (export "_start") (local $moved f64)
    (f64.store (i32.const 16) (f64.load (i32.const 1024)))
    (local.set $moved (f64.load (i32.const 1024)))
    (global.set $kept (local.get $moved))
    (f64.store (i32.const 24) (call $same (global.get $kept)))
    (f64.store (i32.const 32)
      (call $chosen (local.get $moved) (f64.const 1) (i32.const 1)))
    (f64.store (i32.const 40) (f64.add (local.get $moved) (f64.const 1)))
    (f64.store (i32.const 48) (f64.neg (local.get $moved)))
    (f64.store (i32.const 56) (f64.promote_f32 (f32.load (i32.const 1032))))
    (f32.store (i32.const 64) (f32.load (i32.const 1032)))
    (f32.store (i32.const 68) (f32.demote_f64 (local.get $moved)))
    (f64.store (i32.const 72)
      (f64.reinterpret_i64 (i64.reinterpret_f64 (local.get $moved))))
    (drop (call $write (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 8)))))
