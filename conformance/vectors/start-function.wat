;; Has a start function, which counts like any other code.
(module
  (memory (export "memory") 1)
  (global $n (mut i32) (i32.const 1000))
  (func $s (loop $l (global.set $n (i32.sub (global.get $n) (i32.const 1))) (br_if $l (global.get $n))))
  (start $s)
  (func (export "_start") (if (global.get $n) (then unreachable))))
