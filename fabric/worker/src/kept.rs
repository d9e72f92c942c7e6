//! Checkpoints of attempts that the worker ended because their coordinators were silent.

use mc_types::{Cid, JobId, Lease};
use serde::{Deserialize, Serialize};
use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard, PoisonError},
};

/// A checkpoint that an attempt left.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct LeftCheckpoint {
    #[serde(with = "mc_types::cid::portable")]
    pub(crate) cid: Cid,
    /// Operators that were executed.
    pub(crate) position: u64,
    /// The number of the attempt.
    pub(crate) attempt: u32,
}

/// Checkpoints that no coordinator has yet. If a coordinator has forgotten the attempt that left one, the next attempt of
/// the job can still go on from it.
#[derive(Debug, Default)]
pub(crate) struct Kept(Mutex<HashMap<JobId, LeftCheckpoint>>);

impl Kept {
    fn all(&self) -> MutexGuard<'_, HashMap<JobId, LeftCheckpoint>> {
        // Every update is a single insertion or removal, so a poisoned map is still consistent.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn add(&self, job: JobId, left: LeftCheckpoint) {
        self.all().insert(job, left);
    }

    pub(crate) fn remove(&self, job: JobId) {
        self.all().remove(&job);
    }

    /// The checkpoint for an attempt, unless another attempt came in between.
    pub(crate) fn of(&self, lease: &Lease) -> Option<Cid> {
        let all = self.all();
        let left = all.get(&lease.job)?;
        (left.attempt.checked_add(1) == Some(lease.attempt)).then_some(left.cid)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use mc_types::{FencingToken, Timestamp, cid};

    #[test]
    fn only_the_attempt_that_follows_goes_on_from_what_was_left() {
        let (job, left) = (
            JobId::new(Timestamp::from_millis(1), 1),
            cid::of(cid::RAW, b""),
        );
        let kept = Kept::default();
        let lease = |attempt| Lease {
            job,
            token: FencingToken(9),
            attempt,
            expires: Timestamp::from_millis(1),
            ttl_ms: 1,
        };
        assert_eq!(kept.of(&lease(3)), None);
        let two = LeftCheckpoint {
            cid: left,
            position: 7,
            attempt: 2,
        };
        kept.add(job, two);
        assert_eq!(kept.of(&lease(3)), Some(left));
        assert_eq!(kept.of(&lease(4)), None, "the third may have got further");
    }
}
