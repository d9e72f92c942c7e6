;; Catches what it has thrown, and exits with what that carried.
(module
  (import "wasi_snapshot_preview1" "proc_exit" (func $exit (param i32)))
  (memory (export "memory") 1)
  (tag $t (param i32))
  (func (export "_start")
    (call $exit
      (block $h (result i32)
        (try_table (catch $t $h) (throw $t (i32.const 9)))
        (i32.const 1)))))
