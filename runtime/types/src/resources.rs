//! What a task takes of a machine, and what a machine has.

use crate::{Limits, limits::default_scratch_files};
use serde::{Deserialize, Serialize};

/// The processor share of a program with one thread, in thousandths of a core.
pub const ONE_CORE_MILLIS: u64 = 1000;

/// Memory that a file, directory or link takes besides its bytes, which may be on a disk. Only files beyond the default
/// limit are counted.
const FILE_MEMORY_BYTES: u64 = 512;
/// Numbers of files are suggested in such steps.
const FILES_STEP: u64 = 1000;

/// Amounts of everything that a machine has a limited amount of. A new kind of resource is a field here, with its unit in
/// its name and absent where it is zero, and a line in [`Resources::combine`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
pub struct Resources {
    /// Processors, in thousandths of a core.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub cpu_millis: u64,
    /// Memory.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub memory_bytes: u64,
    /// Disk for the files that a task writes.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub scratch_bytes: u64,
    /// Disk for what a task prints.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub output_bytes: u64,
    /// Whole graphics processors.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub gpus: u64,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes it so")]
pub(crate) const fn is_zero(amount: &u64) -> bool {
    *amount == 0
}

impl Resources {
    /// The most that a wasm task with these limits takes.
    #[must_use]
    pub const fn of_limits(limits: &Limits) -> Self {
        let files = Self::memory_of_files(limits.scratch_files);
        Self {
            cpu_millis: ONE_CORE_MILLIS,
            memory_bytes: limits.memory_bytes.saturating_add(files),
            scratch_bytes: limits.scratch_bytes,
            output_bytes: limits.output_bytes,
            gpus: 0,
        }
    }

    /// The memory that this many files, directories and links take: none up to the default limit of a task.
    #[must_use]
    pub const fn memory_of_files(files: u64) -> u64 {
        let counted = files.saturating_sub(default_scratch_files());
        counted.saturating_mul(FILE_MEMORY_BYTES)
    }

    /// How many files take no more than so much memory, in a round number.
    #[must_use]
    pub const fn files_within(memory_bytes: u64) -> u64 {
        let files = default_scratch_files().saturating_add(memory_bytes / FILE_MEMORY_BYTES);
        files / FILES_STEP * FILES_STEP
    }

    /// The part that stays reserved for the task from the grant to the end. Disk is not reserved: few tasks write as
    /// much as they may, so workers count the bytes written.
    #[must_use]
    pub const fn reserved(self) -> Self {
        Self {
            scratch_bytes: 0,
            output_bytes: 0,
            ..self
        }
    }

    /// The sum; `None` on overflow.
    #[must_use]
    pub fn checked_add(self, other: Self) -> Option<Self> {
        self.combine(other, u64::checked_add)
    }

    /// The difference; `None` if `other` has more of some resource.
    #[must_use]
    pub fn checked_sub(self, other: Self) -> Option<Self> {
        self.combine(other, u64::checked_sub)
    }

    /// Both together, as far as that can be counted.
    #[must_use]
    pub fn saturating_add(self, other: Self) -> Self {
        self.with(other, u64::saturating_add)
    }

    /// The difference; zero where `other` has more.
    #[must_use]
    pub fn saturating_sub(self, other: Self) -> Self {
        self.with(other, u64::saturating_sub)
    }

    /// The smaller amount of each.
    #[must_use]
    pub fn min(self, other: Self) -> Self {
        self.with(other, std::cmp::min)
    }

    /// Whether there is enough of everything in `room`.
    #[must_use]
    pub fn fits(self, room: Self) -> bool {
        room.checked_sub(self).is_some()
    }

    fn with(self, other: Self, op: impl Fn(u64, u64) -> u64) -> Self {
        let combined = self.combine(other, |a, b| Some(op(a, b)));
        // It always is something.
        combined.unwrap_or_default()
    }

    /// Applies `op` to both amounts of each kind; `None` as soon as one result is none.
    fn combine(self, other: Self, op: impl Fn(u64, u64) -> Option<u64>) -> Option<Self> {
        // Each field is named, so that a new one cannot be forgotten here.
        let Self {
            cpu_millis,
            memory_bytes,
            scratch_bytes,
            output_bytes,
            gpus,
        } = self;
        Some(Self {
            cpu_millis: op(cpu_millis, other.cpu_millis)?,
            memory_bytes: op(memory_bytes, other.memory_bytes)?,
            scratch_bytes: op(scratch_bytes, other.scratch_bytes)?,
            output_bytes: op(output_bytes, other.output_bytes)?,
            gpus: op(gpus, other.gpus)?,
        })
    }
}

/// All of them together, as far as that can be counted.
impl std::iter::Sum for Resources {
    fn sum<I: Iterator<Item = Self>>(all: I) -> Self {
        all.fold(Self::default(), Self::saturating_add)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::canonical;
    use std::collections::BTreeMap;

    fn memory(bytes: u64) -> Resources {
        Resources {
            memory_bytes: bytes,
            ..Resources::default()
        }
    }

    #[test]
    fn it_fits_if_there_is_enough_of_everything() {
        let machine = Resources {
            cpu_millis: 4000,
            memory_bytes: 100,
            scratch_bytes: 10,
            output_bytes: 10,
            gpus: 1,
        };
        assert!(machine.fits(machine));
        assert!(Resources::default().fits(Resources::default()));
        assert!(!memory(101).fits(machine));
        let gpus = Resources {
            gpus: 2,
            ..Resources::default()
        };
        assert!(!gpus.fits(machine), "enough memory is no GPU");
        assert_eq!(memory(60).checked_sub(memory(61)), None);
        assert_eq!(memory(60).saturating_sub(memory(61)), memory(0));
        assert_eq!(memory(u64::MAX).checked_add(memory(1)), None);
        assert_eq!(memory(u64::MAX).saturating_add(memory(1)), memory(u64::MAX));
        assert_eq!(machine.min(memory(7)), memory(7));
    }

    #[test]
    fn disk_is_not_kept_for_a_task_and_all_else_is() {
        let limits = Limits::default();
        let takes = Resources::of_limits(&limits);
        assert_eq!(takes.scratch_bytes, limits.scratch_bytes);
        let reserved = takes.reserved();
        assert_eq!(
            (reserved.cpu_millis, reserved.memory_bytes),
            (ONE_CORE_MILLIS, limits.memory_bytes)
        );
        assert_eq!((reserved.scratch_bytes, reserved.output_bytes), (0, 0));
        let many = Limits {
            scratch_files: 100_000 + (1 << 20),
            ..limits
        };
        let takes = Resources::of_limits(&many);
        assert_eq!(takes.memory_bytes, limits.memory_bytes + (512 << 20));
        assert_eq!(Resources::memory_of_files(100_000), 0);
        assert_eq!(Resources::files_within(0), 100_000);
        let within = Resources::files_within(512 << 20);
        assert_eq!(within, 1_148_000);
        assert!(Resources::memory_of_files(within) <= 512 << 20);
        let all = Limits {
            scratch_files: u64::MAX,
            ..limits
        };
        assert_eq!(Resources::of_limits(&all).memory_bytes, u64::MAX);
    }

    #[test]
    fn what_is_zero_is_not_written_and_what_is_unknown_is_no_error() {
        let (_, none) = canonical::encode(&Resources::default()).unwrap();
        assert_eq!(none, [0xa0], "an empty map");
        let (_, bytes) = canonical::encode(&memory(5)).unwrap();
        assert_eq!(canonical::decode::<Resources>(&bytes).unwrap(), memory(5));
        let newer = BTreeMap::from([("memory_bytes", 5_u64), ("tape_drives", 2)]);
        let newer = serde_ipld_dagcbor::to_vec(&newer).unwrap();
        let known: Resources = serde_ipld_dagcbor::from_slice(&newer).unwrap();
        assert_eq!(known, memory(5));
    }

    /// Numbers whose sequence is fixed by a seed (SplitMix64), some of them at the ends of their range.
    struct Numbers(u64);

    impl Numbers {
        fn next(&mut self) -> u64 {
            self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
            let mut z = self.0;
            z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
            let number = z ^ (z >> 31);
            match number % 8 {
                0 => 0,
                1 => u64::MAX,
                _ => number >> (number % 64),
            }
        }

        fn resources(&mut self) -> Resources {
            Resources {
                cpu_millis: self.next(),
                memory_bytes: self.next(),
                scratch_bytes: self.next(),
                output_bytes: self.next(),
                gpus: self.next(),
            }
        }
    }

    #[test]
    fn whatever_is_taken_and_given_back_nothing_comes_from_nowhere() {
        let mut numbers = Numbers(1);
        for _ in 0..10_000 {
            let (a, b, c) = (
                numbers.resources(),
                numbers.resources(),
                numbers.resources(),
            );
            if let Some(sum) = a.checked_add(b) {
                assert_eq!(sum.checked_sub(b), Some(a));
                assert_eq!(sum, a.saturating_add(b));
                assert!(a.fits(sum) && b.fits(sum));
            }
            assert_eq!(a.checked_add(b), b.checked_add(a));
            assert_eq!(a.fits(b), b.checked_sub(a).is_some());
            let left = b.saturating_sub(a);
            assert!(left.fits(b) && a.min(b).fits(a) && a.min(b).fits(b));
            if a.fits(b) {
                assert_eq!(left.checked_add(a), Some(b));
            }
            if a.fits(b) && b.fits(c) {
                assert!(a.fits(c));
            }
            let sum: Resources = [a, b, c].into_iter().sum();
            assert!(a.fits(sum) && b.fits(sum) && c.fits(sum));
        }
    }
}
