//! The most that a task may use. Limits are part of the task, since they can decide its outcome.

use serde::{Deserialize, Serialize};

/// The most linear memory that a task may ask for, in bytes: all that 32-bit wasm can address.
pub const MAX_MEMORY_BYTES: u64 = 1 << 32;
/// The most stack that a task may ask for, in bytes: a machine's own is several times as large.
pub const MAX_STACK_BYTES: u64 = 16 << 20;
/// Longest target of a symbolic link, in bytes: the longest that Linux accepts, without the final zero. A longer one
/// could not be written to a disk.
pub const MAX_LINK_TARGET_BYTES: usize = 4095;
/// How deep directories may nest in a tree that is added, fetched, or left by a task. A guest can nest deeper in few
/// steps, and code that descends level by level must not run out of stack.
pub const MAX_DIRECTORY_DEPTH: usize = 512;

/// Bounds on one execution. Exceeding one is an outcome, the same on every honest peer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Limits {
    /// Most units of fuel (about one per wasm operator); absent means not limited, still counted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fuel: Option<u64>,
    /// Most linear memory of all instances together, in bytes. Default 1 GiB.
    pub memory_bytes: u64,
    /// Most bytes that standard output and standard error may hold together. Default 1 GiB.
    pub output_bytes: u64,
    /// Most bytes of all files that the task writes, together. Default 1 GiB.
    #[serde(
        default = "default_scratch_bytes",
        skip_serializing_if = "is_default_scratch_bytes"
    )]
    pub scratch_bytes: u64,
    /// Most files, directories and links that the task makes. Default 100,000.
    #[serde(
        default = "default_scratch_files",
        skip_serializing_if = "is_default_scratch_files"
    )]
    pub scratch_files: u64,
    /// Most handles (open files, streams, timers) at a time. Default 10,000.
    #[serde(
        default = "default_handles",
        skip_serializing_if = "is_default_handles"
    )]
    pub handles: u64,
    /// Most bytes of stack, as the meter counts them. Default 8 MiB.
    #[serde(
        default = "default_stack_bytes",
        skip_serializing_if = "is_default_stack_bytes"
    )]
    pub stack_bytes: u64,
    /// Most entries of all tables together. Default 10 million.
    #[serde(
        default = "default_table_entries",
        skip_serializing_if = "is_default_table_entries"
    )]
    pub table_entries: u64,
}

/// Limits that were added later are not encoded when they have their default, so that old and new versions give a task
/// the same CID.
macro_rules! defaults {
    ($($default:ident, $is_default:ident = $value:expr;)*) => {$(
        pub(crate) const fn $default() -> u64 {
            $value
        }

        const fn $is_default(value: &u64) -> bool {
            *value == $value
        }
    )*};
}

defaults! {
    default_scratch_bytes, is_default_scratch_bytes = 1 << 30;
    default_scratch_files, is_default_scratch_files = 100_000;
    default_handles, is_default_handles = 10_000;
    default_stack_bytes, is_default_stack_bytes = 8 << 20;
    default_table_entries, is_default_table_entries = 10_000_000;
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            fuel: None,
            memory_bytes: 1 << 30,
            output_bytes: 1 << 30,
            scratch_bytes: default_scratch_bytes(),
            scratch_files: default_scratch_files(),
            handles: default_handles(),
            stack_bytes: default_stack_bytes(),
            table_entries: default_table_entries(),
        }
    }
}
