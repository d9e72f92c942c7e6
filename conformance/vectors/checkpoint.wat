;; Writes to /out/a and to standard output again and again, with work in between that is done through a
;; table and recursively, on vectors, a global and memory: checkpoint-1.car is taken in the middle of it.
(module
  (import "wasi_snapshot_preview1" "path_open"
    (func $open (param i32 i32 i32 i32 i32 i64 i64 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "fd_write"
    (func $write (param i32 i32 i32 i32) (result i32)))
  (type $step (func (param i32 i64) (result i64)))
  (table 2 funcref)
  (elem (i32.const 1) $spin)
  (memory (export "memory") 2)
  (global $total (mut i64) (i64.const 7))
  (global $factor (mut f64) (f64.const 1.5))
  (data (i32.const 0) "\10\00\00\00\06\00\00\00")
  (data (i32.const 16) "round\n")
  (data (i32.const 32) "out/a")
  (func $check (param i32) (if (local.get 0) (then unreachable)))
  (func $spin (type $step) (local $v v128)
    (local.set $v (i64x2.splat (local.get 1)))
    (loop $l
      (local.set $v (i64x2.add (local.get $v) (i64x2.splat (i64.extend_i32_u (local.get 0)))))
      (br_if $l (local.tee 0 (i32.sub (local.get 0) (i32.const 1)))))
    (i64.add (i64x2.extract_lane 0 (local.get $v)) (i64x2.extract_lane 1 (local.get $v))))
  (func $deep (param i32) (result i64)
    (if (result i64) (i32.eqz (local.get 0))
      (then (call_indirect (type $step) (i32.const 40) (global.get $total) (i32.const 1)))
      (else (i64.add (i64.extend_i32_u (local.get 0)) (call $deep (i32.sub (local.get 0) (i32.const 1)))))))
  (func (export "_start") (local $round i32)
    (call $check (call $open (i32.const 3) (i32.const 0) (i32.const 32) (i32.const 5) (i32.const 9)
      (i64.const 64) (i64.const 0) (i32.const 0) (i32.const 100)))
    (loop $rounds
      (global.set $total (call $deep (i32.const 10)))
      (global.set $factor (f64.mul (global.get $factor) (f64.const 1.0625)))
      (i64.store (i32.add (i32.const 70000) (i32.shl (local.get $round) (i32.const 9))) (global.get $total))
      (call $check (call $write (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 104)))
      (call $check (call $write (i32.load (i32.const 100)) (i32.const 0) (i32.const 1) (i32.const 104)))
      (local.set $round (i32.add (local.get $round) (i32.const 1)))
      (br_if $rounds (i32.lt_u (local.get $round) (i32.const 20))))
    ;; What came out goes to the file as well.
    (i64.store (i32.const 16) (i64.xor (global.get $total) (i64.reinterpret_f64 (global.get $factor))))
    (i32.store (i32.const 4) (i32.const 8))
    (call $check (call $write (i32.load (i32.const 100)) (i32.const 0) (i32.const 1) (i32.const 104)))))
