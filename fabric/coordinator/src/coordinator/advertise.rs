//! Saying in which state jobs are, for those who ask at other nodes. Short ones are over before anybody
//! could ask, and their coordinator knows them anyway.

use super::Coordinator;
use mc_types::{JobId, JobRecord, JobState, Timestamp};
use std::{collections::HashMap, time::Duration};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

/// Between two rounds.
const EVERY: Duration = Duration::from_secs(2);
/// Jobs that are younger are not spoken of.
const LEAST_AGE: Duration = Duration::from_secs(2);
/// How often an unchanged state is published again.
const SAY_AGAIN: Duration = Duration::from_secs(60);
/// How many jobs are published in one round, and how many are followed.
const PER_ROUND: usize = 16;
const MAX_FOLLOWED: usize = 512;

/// The jobs with a published state: which state, and when.
type Said = HashMap<JobId, (JobState, Instant)>;

impl Coordinator {
    /// Says what there is to say, until `stopping`.
    pub(super) async fn advertise(self, stopping: CancellationToken) {
        let mut said = Said::new();
        let mut every = tokio::time::interval(EVERY);
        every.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        while stopping.run_until_cancelled(every.tick()).await.is_some() {
            for record in self.due(&mut said, self.clock.now()) {
                self.discovery.publish(&record).await;
                if record.state.is_terminal() {
                    said.remove(&record.id);
                } else {
                    said.insert(record.id, (record.state, Instant::now()));
                }
            }
        }
    }

    /// The jobs whose state must be published.
    fn due(&self, said: &mut Said, now: Timestamp) -> Vec<JobRecord> {
        let mut due = Vec::new();
        said.retain(|job, (state, at)| {
            // A job that is known no more was taken over, or is long over.
            let Some(record) = self.recent.get(*job) else {
                return false;
            };
            let is_due = record.state != *state || at.elapsed() >= SAY_AGAIN;
            if is_due && due.len() < PER_ROUND {
                due.push(record);
            }
            true
        });
        let room = MAX_FOLLOWED.saturating_sub(said.len());
        let room = room.min(PER_ROUND.saturating_sub(due.len()));
        let is_new = |record: &JobRecord| {
            now.since(record.submitted) >= LEAST_AGE && !said.contains_key(&record.id)
        };
        due.extend(self.recent.open(room, is_new));
        due
    }
}
