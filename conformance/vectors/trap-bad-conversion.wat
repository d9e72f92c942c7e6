;; Traps: bad-conversion.
(module
  (memory (export "memory") 1)
  (table 2 funcref)
  (elem (i32.const 0) $start)
  (func $start (export "_start") (drop (i32.trunc_f64_u (f64.const -1)))))
