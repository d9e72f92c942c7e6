//! The newest records of this node's jobs, as the ledger has them, so that most questions need no database.

use mc_types::{JobId, JobRecord};
use std::{
    collections::{HashMap, VecDeque},
    sync::{Mutex, MutexGuard, PoisonError},
};

/// Ended jobs that are remembered.
const MAX_ENDED: usize = 4096;

#[derive(Debug, Default)]
struct Records {
    by_id: HashMap<JobId, JobRecord>,
    /// In the order in which they ended.
    ended: VecDeque<JobId>,
}

/// The records last written to the ledger. Only this node writes its jobs, so the ledger still has them.
#[derive(Debug, Default)]
pub(super) struct Recent(Mutex<Records>);

impl Recent {
    fn records(&self) -> MutexGuard<'_, Records> {
        // Missing records are read from the ledger, so a half-made update does no harm.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn get(&self, job: JobId) -> Option<JobRecord> {
        self.records().by_id.get(&job).cloned()
    }

    /// Some of the jobs that have not ended and are `wanted`.
    pub(super) fn open(&self, most: usize, wanted: impl Fn(&JobRecord) -> bool) -> Vec<JobRecord> {
        let records = self.records();
        let open = records.by_id.values();
        open.filter(|record| record.ending.is_none() && wanted(record))
            .take(most)
            .cloned()
            .collect()
    }

    /// Takes note of records that are in the ledger now.
    pub(super) fn put(&self, written: impl IntoIterator<Item = JobRecord>) {
        let mut records = self.records();
        for record in written {
            if record.ending.is_some() {
                records.ended.push_back(record.id);
            }
            records.by_id.insert(record.id, record);
        }
        while records.ended.len() > MAX_ENDED {
            if let Some(oldest) = records.ended.pop_front() {
                records.by_id.remove(&oldest);
            }
        }
    }

    /// Forgets jobs that the ledger has no more.
    pub(super) fn remove(&self, jobs: &[JobId]) {
        let mut records = self.records();
        for job in jobs {
            records.by_id.remove(job);
        }
        let Records { by_id, ended } = &mut *records;
        ended.retain(|job| by_id.contains_key(job));
    }

    /// Forgets everything: somebody else may have written.
    pub(super) fn clear(&self) {
        *self.records() = Records::default();
    }
}
