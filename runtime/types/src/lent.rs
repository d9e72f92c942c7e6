//! What a node lends to tasks of others, and whether that is enough for a task.

use crate::{Clause, JobSpec, Resources};
use serde::{Deserialize, Serialize};

/// What a node lends, to all coordinators together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Lent {
    /// In all. Neither one task nor all running tasks together get more.
    #[serde(default)]
    pub total: Resources,
    /// The part of it that is not reserved.
    #[serde(default)]
    pub free: Resources,
    /// The longest time of an attempt, in milliseconds; absent if it may last for ever.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub attempt_millis: Option<u64>,
}

impl Lent {
    /// Whether the node meets a clause; `None` if the clause is not about resources.
    #[must_use]
    pub fn has(&self, clause: &Clause<'_>) -> Option<bool> {
        let Self { total, free, .. } = self;
        Some(match clause {
            Clause::Memory { bytes, .. } => *bytes <= total.memory_bytes,
            Clause::Scratch { bytes } => *bytes <= total.scratch_bytes,
            Clause::Output { bytes } => *bytes <= total.output_bytes,
            Clause::AttemptTime { millis } => *millis <= self.attempt_millis.unwrap_or(u64::MAX),
            // If the node never has this much, the clause for memory says so.
            Clause::FreeMemory { bytes, .. } => {
                *bytes <= free.memory_bytes || *bytes > total.memory_bytes
            }
            Clause::Lends
            | Clause::Target { .. }
            | Clause::Label { .. }
            | Clause::Heard
            | Clause::Trusted
            | Clause::FreeSlot
            | Clause::Unknown => return None,
        })
    }

    /// The first resource that the node lacks for a job, now or ever.
    #[must_use]
    pub fn lacks(&self, job: &JobSpec) -> Option<Clause<'static>> {
        let mut all = Self::bounds(job).chain([Self::free_memory(job)]);
        all.find(|clause| self.has(clause) == Some(false))
    }

    /// What a job asks of a node's resources in all. A node that lends less never runs the job.
    pub fn bounds<'c>(job: &JobSpec) -> impl Iterator<Item = Clause<'c>> + use<'c> {
        let takes = job.task.resources();
        let time = job.timeout_ms.map(|millis| Clause::AttemptTime { millis });
        [
            Clause::Memory {
                bytes: takes.memory_bytes,
                files: job.task.files_in_memory(),
            },
            Clause::Scratch {
                bytes: takes.scratch_bytes,
            },
            Clause::Output {
                bytes: takes.output_bytes,
            },
        ]
        .into_iter()
        .chain(time)
    }

    /// The memory that a job asks for, as something that must be free.
    #[must_use]
    pub const fn free_memory<'c>(job: &JobSpec) -> Clause<'c> {
        Clause::FreeMemory {
            bytes: job.task.resources().memory_bytes,
            files: job.task.files_in_memory(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{TaskSpec, cid};

    fn job() -> JobSpec {
        JobSpec::new(TaskSpec::wasm(cid::of(cid::RAW, b"component")))
    }

    fn lent() -> Lent {
        let total = Resources::of_limits(&job().task.limits);
        Lent {
            total,
            free: total,
            attempt_millis: Some(1000),
        }
    }

    #[test]
    fn what_is_lacking_is_named() {
        let said = |job: &JobSpec| lent().lacks(job).map(|clause| clause.to_string());
        assert_eq!(said(&job()), None);
        let mut large = job();
        large.task.limits.memory_bytes += 1;
        assert_eq!(said(&large).unwrap(), "1 GiB of memory");
        let mut many = job();
        many.task.limits.scratch_files = 100_000 + (1 << 20);
        let text = "1.5 GiB of memory (512 MiB of it for 1148576 files)";
        assert_eq!(said(&many).unwrap(), text);
        let mut wide = job();
        wide.task.limits.scratch_bytes = 100 << 30;
        assert_eq!(said(&wide).unwrap(), "100 GiB of scratch");
        let mut loud = job();
        loud.task.limits.output_bytes = 2 << 30;
        assert_eq!(said(&loud).unwrap(), "2 GiB of output");
        let mut slow = job();
        slow.timeout_ms = Some(1001);
        assert_eq!(said(&slow).unwrap(), "1001 ms for an attempt");
    }

    #[test]
    fn memory_that_is_taken_is_told_from_memory_that_is_not_there() {
        let mut lent = lent();
        lent.free.memory_bytes -= 1;
        let lacks = lent.lacks(&job());
        assert_eq!(lacks.clone(), Some(Lent::free_memory(&job())));
        assert!(lacks.is_some_and(|clause| !clause.is_lasting()));
        lent.total = Resources::default();
        lent.free = Resources::default();
        let lacks = lent.lacks(&job());
        assert!(lacks.is_some_and(|clause| clause.is_lasting()));
        assert_eq!(lent.has(&Lent::free_memory(&job())), Some(true));
    }

    #[test]
    fn who_names_no_time_may_take_any() {
        let mut slow = job();
        slow.timeout_ms = Some(u64::MAX);
        let lent = Lent {
            attempt_millis: None,
            ..lent()
        };
        assert_eq!(lent.lacks(&slow), None);
    }
}
