//! Attempts that ended here of late: an offer may arrive twice, and the second time after the attempt has ended.

use mc_types::{FencingToken, JobId};
use std::{
    collections::{HashMap, VecDeque},
    sync::{Mutex, MutexGuard, PoisonError},
};

/// Attempts that are remembered: those of two seconds of the shortest tasks.
const MAX_REMEMBERED: usize = 8192;

#[derive(Debug, Default)]
struct Attempts {
    tokens: HashMap<JobId, FencingToken>,
    /// In the order in which they ended.
    order: VecDeque<(JobId, FencingToken)>,
}

/// The newest attempt of each job that ended here.
#[derive(Debug, Default)]
pub(super) struct Ended(Mutex<Attempts>);

impl Ended {
    fn attempts(&self) -> MutexGuard<'_, Attempts> {
        // What is forgotten by a half-made update would only run once more.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn contains(&self, job: JobId, token: FencingToken) -> bool {
        self.attempts().tokens.get(&job) == Some(&token)
    }

    pub(super) fn add(&self, job: JobId, token: FencingToken) {
        let mut attempts = self.attempts();
        attempts.tokens.insert(job, token);
        attempts.order.push_back((job, token));
        if attempts.order.len() > MAX_REMEMBERED
            && let Some((oldest, token)) = attempts.order.pop_front()
            && attempts.tokens.get(&oldest) == Some(&token)
        {
            attempts.tokens.remove(&oldest);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use mc_types::Timestamp;

    #[test]
    fn newest_attempts_are_remembered_and_the_oldest_forgotten() {
        let ended = Ended::default();
        let job = |n: usize| JobId::new(Timestamp::from_millis(1), n as u128);
        ended.add(job(0), FencingToken(1));
        assert!(ended.contains(job(0), FencingToken(1)));
        assert!(!ended.contains(job(0), FencingToken(2)));
        assert!(!ended.contains(job(1), FencingToken(1)));
        ended.add(job(0), FencingToken(2));
        for n in 1..MAX_REMEMBERED {
            ended.add(job(n), FencingToken(1));
        }
        // The first is gone from the order; the second attempt of the same job is not.
        assert!(ended.contains(job(0), FencingToken(2)));
        ended.add(job(MAX_REMEMBERED), FencingToken(1));
        assert!(!ended.contains(job(0), FencingToken(2)));
        assert_eq!(ended.attempts().tokens.len(), MAX_REMEMBERED);
    }
}
