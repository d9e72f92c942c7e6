//! The jobs that wait for a worker.

use mc_types::{JobId, JobSpec, NodeId, Timestamp};
use std::{
    cmp::Reverse,
    collections::{BTreeMap, BTreeSet, BinaryHeap, HashMap},
    sync::Arc,
};

/// Whose job it is: they share machines evenly.
pub(crate) type Submitter = Arc<str>;

/// Where a job waits.
#[derive(Debug, Clone)]
pub(crate) struct QueuePlace {
    /// The only node that may run it, if there is one.
    pub(crate) target: Option<NodeId>,
    pub(crate) priority: u8,
    pub(crate) submitter: Submitter,
    /// How long it may wait, in milliseconds.
    patience: Option<u64>,
}

impl QueuePlace {
    pub(crate) fn of(spec: &JobSpec, target: Option<NodeId>) -> Self {
        Self {
            target,
            priority: spec.priority,
            submitter: Arc::from(spec.submitter.as_str()),
            patience: spec.queue_timeout_ms,
        }
    }

    /// When a job that may be placed from `not_before` on has waited for too long. The pause before a retry does not
    /// count as waiting.
    fn deadline(&self, not_before: Timestamp) -> Option<Timestamp> {
        let patience = std::time::Duration::from_millis(self.patience?);
        Some(not_before.plus(patience))
    }
}

/// How many jobs of one line are left out on the way to those that are meant: looking at each takes a moment.
const MAX_LEFT_OUT: usize = 4096;

/// Lines of waiting jobs, one for each priority and submitter, each with the oldest job first.
#[derive(Debug, Default)]
struct Lines(BTreeMap<Reverse<u8>, BTreeMap<Submitter, BTreeSet<JobId>>>);

impl Lines {
    fn push(&mut self, job: JobId, place: &QueuePlace) {
        let level = self.0.entry(Reverse(place.priority)).or_default();
        let line = level.entry(Arc::clone(&place.submitter)).or_default();
        line.insert(job);
    }

    fn remove(&mut self, job: JobId, place: &QueuePlace) {
        let Some(level) = self.0.get_mut(&Reverse(place.priority)) else {
            return;
        };
        if let Some(line) = level.get_mut(&place.submitter) {
            line.remove(&job);
            if line.is_empty() {
                level.remove(&place.submitter);
            }
        }
        if level.is_empty() {
            self.0.remove(&Reverse(place.priority));
        }
    }

    fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The first `limit` jobs for which `is_meant` is true, each with its priority. The highest priority goes first.
    /// Within one priority, the next job is that of the submitter with the fewest running jobs, or else of the one
    /// served longest ago.
    fn first(
        &self,
        limit: usize,
        running: &Running,
        is_meant: &mut dyn FnMut(JobId) -> bool,
    ) -> Vec<(Reverse<u8>, JobId)> {
        let (mut jobs, mut left_out) = (Vec::new(), 0_usize);
        for (priority, level) in &self.0 {
            let lines = level.iter().filter_map(|(submitter, line)| {
                let mut line = line.iter().copied();
                let head = line.next()?;
                Some((running.of(submitter), head, line))
            });
            let mut lines: Vec<_> = lines.collect();
            let heads = (0..).zip(&lines);
            let heads = heads.map(|(index, (share, head, _))| Reverse((*share, *head, index)));
            let mut heads: BinaryHeap<Reverse<(Share, JobId, usize)>> = heads.collect();
            while let Some(Reverse((share, job, index))) = heads.pop() {
                if jobs.len() == limit || left_out == MAX_LEFT_OUT {
                    return jobs;
                }
                let next = lines.get_mut(index).and_then(|(_, _, line)| line.next());
                let mut share = share;
                if is_meant(job) {
                    jobs.push((*priority, job));
                    let grants = u64::try_from(jobs.len()).unwrap_or(u64::MAX);
                    share = share.after(running.grants.saturating_add(grants));
                } else {
                    left_out += 1;
                }
                heads.extend(next.map(|next| Reverse((share, next, index))));
            }
        }
        jobs
    }
}

/// How many submitters without running jobs are remembered, with when they were last served.
const MAX_IDLE: usize = 10_000;

/// A submitter's share of the machines. The submitter with the smaller share goes first.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
struct Share {
    /// Jobs that are held by workers.
    running: u32,
    /// The number of the grant by which it was last served.
    served: u64,
}

impl Share {
    /// What it is after the grant of that number.
    const fn after(self, grant: u64) -> Self {
        Self {
            running: self.running.saturating_add(1),
            served: grant,
        }
    }
}

/// What each submitter has.
#[derive(Debug, Default)]
pub(crate) struct Running {
    shares: HashMap<Submitter, Share>,
    /// Grants so far.
    grants: u64,
}

impl Running {
    fn of(&self, submitter: &Submitter) -> Share {
        self.shares.get(submitter).copied().unwrap_or_default()
    }

    pub(crate) fn add(&mut self, submitter: &Submitter) {
        self.grants += 1;
        let share = self.shares.entry(Arc::clone(submitter)).or_default();
        *share = share.after(self.grants);
    }

    pub(crate) fn remove(&mut self, submitter: &Submitter) {
        if let Some(share) = self.shares.get_mut(submitter) {
            share.running = share.running.saturating_sub(1);
        }
        if self.shares.len() > MAX_IDLE {
            self.shares.retain(|_, share| share.running > 0);
        }
    }
}

/// Which jobs may be placed, in the order in which they may.
///
/// Jobs that only one node may run wait in lines of their own, so a line for an absent node holds up no other job.
#[derive(Debug, Default)]
pub(crate) struct Queue {
    anywhere: Lines,
    pinned: BTreeMap<NodeId, Lines>,
    /// Jobs that wait for their back-off to end.
    later: BTreeSet<(Timestamp, JobId)>,
    /// When jobs have waited for too long.
    deadlines: BTreeSet<(Timestamp, JobId)>,
}

impl Queue {
    /// Puts a job into its line, or aside if it may not be placed yet.
    pub(crate) fn put(
        &mut self,
        now: Timestamp,
        job: JobId,
        place: &QueuePlace,
        not_before: Timestamp,
    ) {
        if not_before > now {
            self.push_later(job, not_before);
        } else {
            self.push(job, place, not_before);
        }
    }

    /// Puts a job into its line at once.
    pub(crate) fn push(&mut self, job: JobId, place: &QueuePlace, not_before: Timestamp) {
        self.deadlines
            .extend(place.deadline(not_before).map(|when| (when, job)));
        match &place.target {
            None => self.anywhere.push(job, place),
            Some(node) => self
                .pinned
                .entry(node.clone())
                .or_default()
                .push(job, place),
        }
    }

    /// Puts a job aside until `when`.
    fn push_later(&mut self, job: JobId, when: Timestamp) {
        self.later.insert((when, job));
    }

    /// Takes a job out, wherever it waits.
    pub(crate) fn remove(&mut self, job: JobId, place: &QueuePlace, not_before: Timestamp) {
        self.later.remove(&(not_before, job));
        if let Some(when) = place.deadline(not_before) {
            self.deadlines.remove(&(when, job));
        }
        match &place.target {
            None => self.anywhere.remove(job, place),
            Some(node) => {
                if let Some(lines) = self.pinned.get_mut(node) {
                    lines.remove(job, place);
                    if lines.is_empty() {
                        self.pinned.remove(node);
                    }
                }
            }
        }
    }

    /// The first `limit` jobs that wait for the same nodes as a job with that target, in the order in which they
    /// are placed.
    pub(crate) fn line(
        &self,
        target: Option<&NodeId>,
        limit: usize,
        running: &Running,
    ) -> Vec<JobId> {
        let lines = match target {
            None => Some(&self.anywhere),
            Some(node) => self.pinned.get(node),
        };
        let first = lines.map(|lines| lines.first(limit, running, &mut |_| true));
        first.into_iter().flatten().map(|(_, job)| job).collect()
    }

    pub(crate) fn has_waiting(&self) -> bool {
        !self.anywhere.is_empty() || !self.pinned.is_empty()
    }

    /// The jobs whose back-off has ended by `now`.
    pub(crate) fn take_due(&mut self, now: Timestamp) -> Vec<JobId> {
        take_until(&mut self.later, now)
    }

    /// The jobs that have waited for too long by `now`. They stay in their lines.
    pub(crate) fn take_overdue(&mut self, now: Timestamp) -> Vec<JobId> {
        take_until(&mut self.deadlines, now)
    }

    /// When the next back-off or patience ends.
    pub(crate) fn next_due(&self) -> Option<Timestamp> {
        let firsts = [self.later.first(), self.deadlines.first()];
        firsts.into_iter().flatten().map(|(when, _)| *when).min()
    }

    /// The jobs that the workers in `free` may get: of each line, the first `limit` for which `is_meant` is true.
    pub(crate) fn candidates<'a>(
        &self,
        free: impl Iterator<Item = &'a NodeId>,
        limit: usize,
        running: &Running,
        is_meant: &mut dyn FnMut(JobId) -> bool,
    ) -> Vec<JobId> {
        let pinned = free.filter_map(|node| self.pinned.get(node));
        let lines = pinned.chain([&self.anywhere]);
        let mut jobs: Vec<_> = lines
            .flat_map(|lines| lines.first(limit, running, is_meant))
            .collect();
        // The sort is stable: within one priority, jobs that only one node may run come first.
        jobs.sort_by_key(|(priority, _)| *priority);
        jobs.into_iter().map(|(_, job)| job).collect()
    }
}

fn take_until(set: &mut BTreeSet<(Timestamp, JobId)>, now: Timestamp) -> Vec<JobId> {
    let mut due = Vec::new();
    while let Some(first) = set.first().copied().filter(|(when, _)| *when <= now) {
        set.remove(&first);
        due.push(first.1);
    }
    due
}
