//! Checkpoints of attempts that were ended since their coordinators were silent.

use mc_types::{Cid, JobId, Lease};
use serde::{Deserialize, Serialize};
use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard, PoisonError},
};

/// A checkpoint that an attempt left.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Left {
    #[serde(with = "mc_types::cid::portable")]
    pub(super) cid: Cid,
    /// Operators that were executed.
    pub(super) position: u64,
    /// The number of the attempt.
    pub(super) attempt: u32,
}

/// The checkpoints that are kept here since no coordinator has them: an attempt of the same job goes on from them,
/// should the coordinator have forgotten of the one that left them.
#[derive(Debug, Default)]
pub(super) struct Kept(Mutex<HashMap<JobId, Left>>);

impl Kept {
    fn all(&self) -> MutexGuard<'_, HashMap<JobId, Left>> {
        // Every update is a single insertion or removal, so a poisoned map is still consistent.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn add(&self, job: JobId, left: Left) {
        self.all().insert(job, left);
    }

    pub(super) fn remove(&self, job: JobId) {
        self.all().remove(&job);
    }

    /// The checkpoint for an attempt, if nobody had another one in between.
    pub(super) fn of(&self, lease: &Lease) -> Option<Cid> {
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
        let two = Left {
            cid: left,
            position: 7,
            attempt: 2,
        };
        kept.add(job, two);
        assert_eq!(kept.of(&lease(3)), Some(left));
        assert_eq!(kept.of(&lease(4)), None, "the third may have got further");
    }
}
