;; Prints the bits of NaNs that come about in several ways.
(module
  (import "wasi_snapshot_preview1" "fd_write"
    (func $write (param i32 i32 i32 i32) (result i32)))
  (memory (export "memory") 1)
  (data (i32.const 0) "\10\00\00\00\30\00\00\00")
  (global $zero (mut f64) (f64.const 0))
  (func (export "_start")
    (f64.store (i32.const 16) (f64.div (global.get $zero) (global.get $zero)))
    (f64.store (i32.const 24) (f64.sqrt (f64.sub (global.get $zero) (f64.const 1))))
    (f64.store (i32.const 32) (f64.add (f64.const nan:0x4000000000123) (global.get $zero)))
    (f32.store (i32.const 40) (f32.demote_f64 (f64.const nan:0x7ffffffffffff)))
    (f32.store (i32.const 44) (f32.mul (f32.const inf) (f32.demote_f64 (global.get $zero))))
    (f64.store (i32.const 48) (f64.min (f64.const nan) (f64.const 1)))
    (f64.store (i32.const 56) (f64.copysign (f64.div (global.get $zero) (global.get $zero)) (f64.const -1)))
    (drop (call $write (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 8)))))
