;; Traps: indirect-call-type.
(module
  (memory (export "memory") 1)
  (table 2 funcref)
  (elem (i32.const 0) $start)
  (func $start (export "_start") (call_indirect (param i32) (i32.const 0) (i32.const 0))))
