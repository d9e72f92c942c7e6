//! How the C library's allocator deals with blocks of a megabyte.

/// Memory at the end of the heap, in bytes, that is kept though it is free.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
const KEPT_BYTES: i32 = 32 << 20;
/// Allocations from this size on are given back to the system at once: the largest size that is accepted.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
const MAPPED_FROM_BYTES: i32 = 32 << 20;
/// Heaps that threads share. Each keeps memory of its own.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
const HEAPS: i32 = 4;

/// Keeps freed memory for reuse. By default the allocator returns every block of a megabyte to the system, which clears
/// it on the next use: that is half of the work of moving such blocks. Call this at the beginning of a program.
pub fn keep_freed() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    for (parameter, value) in [
        (libc::M_TRIM_THRESHOLD, KEPT_BYTES),
        (libc::M_MMAP_THRESHOLD, MAPPED_FROM_BYTES),
        (libc::M_ARENA_MAX, HEAPS),
    ] {
        // SAFETY: It only sets numbers of the allocator, under the allocator's own lock.
        #[expect(unsafe_code, reason = "there is no other way to tell the allocator")]
        let _was_accepted = unsafe { libc::mallopt(parameter, value) };
    }
}
