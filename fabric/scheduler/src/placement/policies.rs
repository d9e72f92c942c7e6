//! The policies.

use super::{Candidate, Placement};
use mc_types::{JobSpec, Policy};
use std::{
    cmp::Reverse,
    hash::{DefaultHasher, Hash, Hasher},
};

/// The policy of that name.
pub(crate) fn of(policy: Policy) -> &'static dyn Placement {
    match policy {
        Policy::FirstAnswer => &FirstAnswer,
        Policy::Random => &Random,
        Policy::BestFit => &BestFit,
        Policy::LocalFirst => &LocalFirst,
        Policy::DataLocality => &DataLocality,
    }
}

/// The worker that has been idle for longest.
#[derive(Debug)]
struct FirstAnswer;

impl Placement for FirstAnswer {
    fn choose(&self, _: &JobSpec, _: &[Candidate<'_>]) -> usize {
        0
    }
}

/// Any worker, by a number that follows from task and worker: a scheduler that is stepped again with the same commands
/// chooses the same ones.
#[derive(Debug)]
struct Random;

impl Placement for Random {
    fn choose(&self, job: &JobSpec, candidates: &[Candidate<'_>]) -> usize {
        first_by_key(candidates, |candidate| {
            let mut hasher = DefaultHasher::new();
            (job.task.kind.program(), &job.task.args, candidate.id).hash(&mut hasher);
            hasher.finish()
        })
    }
}

/// The worker that has the least to spare, so that large ones stay free for jobs that need them.
#[derive(Debug)]
struct BestFit;

impl Placement for BestFit {
    fn choose(&self, _: &JobSpec, candidates: &[Candidate<'_>]) -> usize {
        first_by_key(candidates, |candidate| {
            let offer = candidate.offer;
            (offer.lent.total.memory_bytes, offer.cpus, offer.slots_free)
        })
    }
}

/// This node, then its children, then its peers, then any other.
#[derive(Debug)]
struct LocalFirst;

impl Placement for LocalFirst {
    fn choose(&self, _: &JobSpec, candidates: &[Candidate<'_>]) -> usize {
        first_by_key(candidates, |candidate| candidate.nearness)
    }
}

/// The worker that has most of what the job needs.
#[derive(Debug)]
struct DataLocality;

impl Placement for DataLocality {
    fn choose(&self, _: &JobSpec, candidates: &[Candidate<'_>]) -> usize {
        first_by_key(candidates, |candidate| Reverse(candidate.at_hand))
    }
}

/// The first of those with the smallest key.
fn first_by_key<K: Ord>(candidates: &[Candidate<'_>], key: impl Fn(&Candidate<'_>) -> K) -> usize {
    let smallest = candidates
        .iter()
        .enumerate()
        .min_by_key(|(index, candidate)| (key(candidate), *index));
    smallest.map_or(0, |(index, _)| index)
}
