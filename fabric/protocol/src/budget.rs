//! How much a coordinator fetches of a reported result: no more than the task's limits allowed the task to write.

use mc_types::Limits;

/// What each entry adds to the bytes of files: its name, the target of a link, nodes of directories.
const ENTRY_BYTES: u64 = 8 << 10;
/// What every result may have besides files: directories that were written again because an entry in them changed.
const BASE_BYTES: u64 = 64 << 20;
/// What every checkpoint may have besides files: frames, globals, and the rest of the guest's world.
const STATE_BYTES: u64 = 256 << 20;

/// Bytes as blocks: each chunk has a few bytes around it.
const fn in_blocks(bytes: u64) -> u64 {
    bytes.saturating_add(bytes / 64)
}

const fn files(limits: &Limits) -> u64 {
    let entries = limits.scratch_files.saturating_mul(ENTRY_BYTES);
    in_blocks(limits.scratch_bytes).saturating_add(entries)
}

/// The most bytes that the blocks of a log may have.
#[must_use]
pub const fn of_log(limits: &Limits) -> u64 {
    in_blocks(limits.output_bytes).saturating_add(ENTRY_BYTES)
}

/// The most bytes that the blocks of a result may have, not counting blocks that the task was given. The task may also
/// have written `rewritten` bytes of those again.
#[must_use]
pub const fn of_result(limits: &Limits, rewritten: u64) -> u64 {
    files(limits)
        .saturating_add(of_log(limits))
        .saturating_add(in_blocks(rewritten))
        .saturating_add(BASE_BYTES)
}

/// The most bytes that the blocks of a checkpoint may have.
#[must_use]
pub const fn of_checkpoint(limits: &Limits) -> u64 {
    files(limits)
        .saturating_add(of_log(limits))
        .saturating_add(in_blocks(limits.memory_bytes))
        .saturating_add(STATE_BYTES)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_that_are_endless_are_no_overflow() {
        let limits = Limits {
            memory_bytes: u64::MAX,
            output_bytes: u64::MAX,
            scratch_bytes: u64::MAX,
            scratch_files: u64::MAX,
            ..Limits::default()
        };
        assert_eq!(of_result(&limits, u64::MAX), u64::MAX);
        assert_eq!(of_checkpoint(&limits), u64::MAX);
    }

    #[test]
    fn small_limits_make_small_budgets() {
        let limits = Limits {
            memory_bytes: 1 << 20,
            output_bytes: 1 << 20,
            scratch_bytes: 1 << 20,
            scratch_files: 10,
            ..Limits::default()
        };
        assert!(of_result(&limits, 0) < 80 << 20);
        assert!(of_checkpoint(&limits) < 270 << 20);
    }
}
