//! What this node knows by itself of the jobs that it runs, or ran of late.

use super::execute::Wrote;
use mc_types::{Cid, Ending, FailureReason, FencingToken, JobId, KeyId, NodeId};
use std::{
    collections::{HashMap, VecDeque},
    sync::{Mutex, MutexGuard, PoisonError},
    time::Instant,
};

/// Endings that are remembered.
const MAX_REMEMBERED: usize = 1024;

/// A job of which an attempt runs here, or ended here of late.
#[derive(Debug, Clone)]
pub(crate) struct Known {
    pub task: Cid,
    /// The one that granted the lease.
    pub coordinator: NodeId,
    /// Which attempt it is, from 1 on.
    pub attempt: u32,
    /// Of a private task: by what its key is known.
    pub key: Option<KeyId>,
    /// What it wrote, if it ended without an outcome.
    pub wrote: Option<Wrote>,
    pub stage: Stage,
}

/// How far an attempt is.
#[derive(Debug, Clone)]
pub(crate) enum Stage {
    /// What it needs is fetched.
    Held,
    /// The guest runs.
    Running { begun: Instant },
    /// It ended, and so did the job, unless a machine failed it.
    Ended {
        ending: Ending,
        /// Whether the coordinator knows.
        is_recorded: bool,
    },
    /// It came to no end: its coordinators were silent for too long, or its process was killed.
    Left { was_killed: bool },
}

impl Known {
    /// Whether the job has ended. What another machine may do better is no end of it.
    fn is_over(&self) -> bool {
        match &self.stage {
            Stage::Ended { ending, .. } => {
                !matches!(ending, Ending::Failed(FailureReason::Infrastructure { .. }))
            }
            Stage::Held | Stage::Running { .. } | Stage::Left { .. } => false,
        }
    }
}

/// The newest of the jobs whose attempts ended here.
#[derive(Debug, Default)]
pub(super) struct Recent(Mutex<Jobs>);

#[derive(Debug, Default)]
struct Jobs {
    by_id: HashMap<JobId, (FencingToken, Known)>,
    /// In the order in which they ended.
    order: VecDeque<JobId>,
}

impl Recent {
    fn jobs(&self) -> MutexGuard<'_, Jobs> {
        // What a half-made update forgets is looked for elsewhere.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn get(&self, job: JobId) -> Option<Known> {
        self.jobs().by_id.get(&job).map(|(_, known)| known.clone())
    }

    /// An attempt ended.
    pub(super) fn ended(&self, job: JobId, token: FencingToken, known: Known) {
        let mut jobs = self.jobs();
        // What an earlier process left may be of several attempts.
        if jobs.by_id.get(&job).is_some_and(|(last, _)| *last > token) {
            return;
        }
        if jobs.by_id.insert(job, (token, known)).is_none() {
            jobs.order.push_back(job);
        }
        while jobs.order.len() > MAX_REMEMBERED {
            if let Some(oldest) = jobs.order.pop_front() {
                jobs.by_id.remove(&oldest);
            }
        }
    }

    /// The coordinator has heard how the attempt ended.
    pub(super) fn recorded(&self, job: JobId, token: FencingToken) {
        if let Some((last, known)) = self.jobs().by_id.get_mut(&job)
            && *last == token
            && let Stage::Ended { is_recorded, .. } = &mut known.stage
        {
            *is_recorded = true;
        }
    }

    /// The coordinator has heard of the attempt: if the job is not over, it knows better from now on what becomes of it.
    pub(super) fn heard(&self, job: JobId, token: FencingToken) {
        self.forget(job, |last, known| last == token && !known.is_over());
    }

    /// The attempt was another's: how it ended says nothing of the job.
    pub(super) fn refused(&self, job: JobId, token: FencingToken) {
        self.forget(job, |last, _| last == token);
    }

    fn forget(&self, job: JobId, which: impl FnOnce(FencingToken, &Known) -> bool) {
        let mut jobs = self.jobs();
        let known = jobs.by_id.get(&job);
        if known.is_some_and(|(last, known)| which(*last, known)) {
            jobs.by_id.remove(&job);
            jobs.order.retain(|other| *other != job);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use mc_types::Timestamp;

    fn job(n: usize) -> JobId {
        JobId::new(Timestamp::from_millis(1), n as u128)
    }

    fn known(ending: Ending) -> Known {
        Known {
            task: Cid::default(),
            coordinator: "12D3KooWAny".parse().unwrap(),
            attempt: 1,
            key: None,
            wrote: None,
            stage: Stage::Ended {
                ending,
                is_recorded: false,
            },
        }
    }

    #[test]
    fn jobs_that_ended_here_are_remembered_and_the_oldest_forgotten() {
        let recent = Recent::default();
        let timeout = || known(Ending::Failed(FailureReason::Timeout));
        for n in 0..=MAX_REMEMBERED {
            recent.ended(job(n), FencingToken(1), timeout());
        }
        assert!(recent.get(job(0)).is_none());
        assert!(recent.get(job(1)).is_some());
        recent.recorded(job(1), FencingToken(1));
        let stage = recent.get(job(1)).unwrap().stage;
        assert!(matches!(
            stage,
            Stage::Ended {
                is_recorded: true,
                ..
            }
        ));
        // Only the attempt that is known counts.
        recent.refused(job(1), FencingToken(0));
        assert!(recent.get(job(1)).is_some());
        recent.refused(job(1), FencingToken(1));
        assert!(recent.get(job(1)).is_none());
    }

    #[test]
    fn of_an_attempt_that_is_no_end_of_its_job_is_told_until_the_coordinator_has_heard() {
        let recent = Recent::default();
        let failed = known(Ending::Failed(FailureReason::Infrastructure {
            code: None,
            message: "no disk".to_owned(),
        }));
        let left = Known {
            stage: Stage::Left { was_killed: false },
            ..failed.clone()
        };
        for known in [failed, left] {
            recent.ended(job(1), FencingToken(2), known);
            recent.heard(job(1), FencingToken(1));
            assert!(recent.get(job(1)).is_some());
            recent.heard(job(1), FencingToken(2));
            assert!(recent.get(job(1)).is_none());
        }
        recent.ended(job(2), FencingToken(2), known(Ending::Cancelled));
        recent.heard(job(2), FencingToken(2));
        assert!(recent.get(job(2)).is_some());
    }

    #[test]
    fn an_earlier_attempt_does_not_hide_a_later_one() {
        let recent = Recent::default();
        recent.ended(job(1), FencingToken(2), known(Ending::Cancelled));
        let left = Known {
            stage: Stage::Left { was_killed: true },
            ..known(Ending::Cancelled)
        };
        recent.ended(job(1), FencingToken(1), left);
        let stage = recent.get(job(1)).unwrap().stage;
        assert!(matches!(stage, Stage::Ended { .. }), "{stage:?}");
    }
}
