//! What this node itself knows about the jobs that it runs, or ran lately.

use crate::streams::StoredStreams;
use mc_types::{AttemptResult, Cid, FailureReason, FencingToken, JobId, KeyId, NodeId};
use std::{
    collections::{HashMap, VecDeque},
    sync::{Mutex, MutexGuard, PoisonError},
};
use tokio::time::Instant;

/// How many ended jobs are remembered.
const MAX_REMEMBERED: usize = 1024;

/// A job with an attempt that runs here or ended here recently.
#[derive(Debug, Clone)]
pub struct Known {
    /// Its task.
    pub task: Cid,
    /// The coordinator that granted the lease.
    pub coordinator: NodeId,
    /// Which attempt it is, from 1 on.
    pub attempt: u32,
    /// The id of its key, if the task is private.
    pub key: Option<KeyId>,
    /// What it wrote, if it ended without an outcome.
    pub wrote: Option<StoredStreams>,
    /// How far the attempt is.
    pub stage: Stage,
}

/// How far an attempt is.
#[derive(Debug, Clone)]
pub enum Stage {
    /// The worker fetches what the task needs.
    Held,
    /// The guest runs.
    Running {
        /// When it began.
        begun: Instant,
    },
    /// The attempt ended, and with it the job, unless the machine failed.
    Ended {
        /// How.
        ending: AttemptResult,
        /// Whether a coordinator has recorded it.
        is_recorded: bool,
    },
    /// The attempt stopped without an ending: its coordinators were silent for too long, or its process was killed.
    Left {
        /// Whether its process was killed.
        was_killed: bool,
    },
}

impl Known {
    /// Whether the job has ended. It has not if another machine may do better.
    fn is_over(&self) -> bool {
        match &self.stage {
            Stage::Ended { ending, .. } => !matches!(
                ending,
                AttemptResult::Failed(FailureReason::Infrastructure { .. })
            ),
            Stage::Held | Stage::Running { .. } | Stage::Left { .. } => false,
        }
    }
}

/// The newest of the jobs whose attempts ended here.
#[derive(Debug, Default)]
pub(crate) struct Recent(Mutex<Jobs>);

#[derive(Debug, Default)]
struct Jobs {
    by_id: HashMap<JobId, (FencingToken, Known)>,
    /// In the order in which they ended.
    order: VecDeque<JobId>,
}

impl Recent {
    fn jobs(&self) -> MutexGuard<'_, Jobs> {
        // If a panic left an update half made, users ask other nodes.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn get(&self, job: JobId) -> Option<Known> {
        self.jobs().by_id.get(&job).map(|(_, known)| known.clone())
    }

    /// An attempt ended.
    pub(crate) fn ended(&self, job: JobId, token: FencingToken, known: Known) {
        let mut jobs = self.jobs();
        // An earlier process may have left several attempts of one job.
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

    /// A coordinator has recorded how the attempt ended.
    pub(crate) fn recorded(&self, job: JobId, token: FencingToken) {
        if let Some((last, known)) = self.jobs().by_id.get_mut(&job)
            && *last == token
            && let Stage::Ended { is_recorded, .. } = &mut known.stage
        {
            *is_recorded = true;
        }
    }

    /// A coordinator has acknowledged the attempt. If the job is not over, the coordinator knows more about it from now on.
    pub(crate) fn heard(&self, job: JobId, token: FencingToken) {
        self.forget(job, |last, known| last == token && !known.is_over());
    }

    /// The lease was stale: how the attempt ended says nothing about the job.
    pub(crate) fn refused(&self, job: JobId, token: FencingToken) {
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

    fn known(ending: AttemptResult) -> Known {
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
        let timeout = || known(AttemptResult::Failed(FailureReason::Timeout));
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
        let failed = known(AttemptResult::Failed(FailureReason::Infrastructure {
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
        recent.ended(job(2), FencingToken(2), known(AttemptResult::Cancelled));
        recent.heard(job(2), FencingToken(2));
        assert!(recent.get(job(2)).is_some());
    }

    #[test]
    fn an_earlier_attempt_does_not_hide_a_later_one() {
        let recent = Recent::default();
        recent.ended(job(1), FencingToken(2), known(AttemptResult::Cancelled));
        let left = Known {
            stage: Stage::Left { was_killed: true },
            ..known(AttemptResult::Cancelled)
        };
        recent.ended(job(1), FencingToken(1), left);
        let stage = recent.get(job(1)).unwrap().stage;
        assert!(matches!(stage, Stage::Ended { .. }), "{stage:?}");
    }
}
