;; Traps: table-out-of-bounds.
(module
  (memory (export "memory") 1)
  (table 2 funcref)
  (elem (i32.const 0) $start)
  (func $start (export "_start") (call_indirect (i32.const 9))))
