;; Grows its memory to 4 GiB, uses the last bytes of it, and then those after them.
(module
  (import "wasi_snapshot_preview1" "fd_write"
    (func $write (param i32 i32 i32 i32) (result i32)))
  (memory (export "memory") 1)
  (data (i32.const 0) "\10\00\00\00\18\00\00\00")
  (func (export "_start")
    (i32.store (i32.const 16) (memory.grow (i32.const 65535)))
    (i32.store (i32.const 20) (memory.grow (i32.const 1)))
    (i64.store (i32.const -8) (i64.const 0x0123456789abcdef))
    (i64.store (i32.const 24) (i64.load (i32.const -8)))
    (i32.store (i32.const 32) (i32.load8_u offset=4294967295 (i32.const 0)))
    (i32.store (i32.const 36) (memory.size))
    (drop (call $write (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 8)))
    (drop (i32.load8_u offset=4294967295 (i32.const 1)))))
