;; Traps: integer-overflow.
(module
  (memory (export "memory") 1)
  (table 2 funcref)
  (elem (i32.const 0) $start)
  (func $start (export "_start") (drop (i64.div_s (i64.const 0x8000000000000000) (i64.const -1)))))
