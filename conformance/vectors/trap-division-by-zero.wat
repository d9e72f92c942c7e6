;; Traps: division-by-zero.
(module
  (memory (export "memory") 1)
  (table 2 funcref)
  (elem (i32.const 0) $start)
  (func $start (export "_start") (drop (i32.div_s (i32.const 1) (i32.const 0)))))
