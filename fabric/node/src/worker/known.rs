//! What this node knows by itself of the jobs that it runs, or ran of late.

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
    pub stage: Stage,
}

/// How far an attempt is.
#[derive(Debug, Clone)]
pub(crate) enum Stage {
    /// What it needs is fetched.
    Held,
    /// The guest runs.
    Running { begun: Instant },
    /// It ended, and so did the job.
    Ended {
        ending: Ending,
        /// Whether the coordinator knows.
        is_recorded: bool,
    },
}

/// The newest of the jobs that ended here.
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

    /// An attempt ended, and with it the job, unless another machine may do better.
    pub(super) fn ended(&self, job: JobId, token: FencingToken, known: Known) {
        let Stage::Ended { ending, .. } = &known.stage else {
            return;
        };
        if let Ending::Failed(FailureReason::Infrastructure { .. }) = ending {
            return;
        }
        let mut jobs = self.jobs();
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

    /// The attempt was another's: how it ended says nothing of the job.
    pub(super) fn refused(&self, job: JobId, token: FencingToken) {
        let mut jobs = self.jobs();
        if jobs.by_id.get(&job).is_some_and(|(last, _)| *last == token) {
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
    fn what_another_machine_may_do_better_is_no_end_of_the_job() {
        let recent = Recent::default();
        let message = "no disk".to_owned();
        let failed = known(Ending::Failed(FailureReason::Infrastructure { message }));
        recent.ended(job(1), FencingToken(1), failed);
        assert!(recent.get(job(1)).is_none());
    }
}
