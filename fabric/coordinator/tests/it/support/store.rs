//! A job store in memory, which coordinators share. It keeps what it was told, and refuses what a store has to refuse; it
//! may be slow or away, may fail without having done anything, and may have done what it says it has not.

use super::{lock, process::Process, world::World};
use async_trait::async_trait;
use mc_coordinator::{Failure, JobStore, pins};
use mc_types::{
    AttemptLog, CheckpointRecord, Clock, ErrorCode, FencingToken, JobId, JobRecord, JobState,
    NodeId, Timestamp,
};
use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
    time::Duration,
};
use tokio::time::Instant;

/// A job, and whose it is.
#[derive(Debug, Clone)]
pub(crate) struct Row {
    pub(crate) record: JobRecord,
    pub(crate) owner: NodeId,
}

/// What is durable.
#[derive(Debug, Default)]
pub(crate) struct Rows {
    pub(crate) jobs: BTreeMap<JobId, Row>,
    /// Until when coordinators are there.
    there: BTreeMap<NodeId, Timestamp>,
    pub(crate) checkpoints: BTreeMap<(JobId, u64), CheckpointRecord>,
    pub(crate) logs: BTreeMap<(JobId, FencingToken), AttemptLog>,
    /// To whom each lease was granted that was ever written.
    pub(crate) grants: BTreeMap<(JobId, FencingToken), NodeId>,
}

/// The rows, and when they cannot be had.
#[derive(Debug, Default)]
pub(crate) struct Database {
    pub(crate) rows: Mutex<Rows>,
    away_until: Mutex<Option<Instant>>,
    next_commit: Mutex<Option<Fault>>,
}

/// How a write of jobs fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    /// Nothing is written.
    Unwritten,
    /// All is written, and seems not to be.
    Written,
}

impl Database {
    pub(crate) fn go_away(&self, time: Duration) {
        *lock(&self.away_until) = Some(Instant::now() + time);
    }

    fn is_away(&self) -> bool {
        lock(&self.away_until).is_some_and(|until| Instant::now() < until)
    }

    /// Another coordinator takes over from this one, which has no jobs that it could take.
    pub(crate) fn supersede(&self, node: &NodeId) {
        lock(&self.rows).there.remove(node);
    }

    /// Has the next write of jobs fail.
    pub(crate) fn fail_next_commit(&self, fault: Fault) {
        *lock(&self.next_commit) = Some(fault);
    }

    pub(crate) fn job(&self, job: JobId) -> Option<Row> {
        lock(&self.rows).jobs.get(&job).cloned()
    }
}

fn failure(what: &'static str) -> Failure {
    Failure::new(ErrorCode::Ledger, what)
}

/// The database as one process of a coordinator sees it.
#[derive(Debug)]
pub(crate) struct Jobs {
    pub(crate) world: Arc<World>,
    pub(crate) process: Arc<Process>,
}

impl Jobs {
    fn me(&self) -> &NodeId {
        &self.process.node
    }

    /// What the database is asked, with what goes wrong with that.
    async fn ask<T: Send>(
        &self,
        is_write: bool,
        done: impl FnOnce(&mut Rows) -> Result<T, Failure> + Send,
    ) -> Result<T, Failure> {
        let world = &self.world;
        self.process.goes_on().await;
        let most = if world.goes_wrong(2) { 3_000 } else { 10 };
        tokio::time::sleep(world.random.millis(most)).await;
        self.process.goes_on().await;
        if world.database.is_away() || world.goes_wrong(2) {
            return Err(failure("the database cannot be reached"));
        }
        let result = done(&mut lock(&world.database.rows));
        if is_write && world.goes_wrong(2) {
            world.count("writes that came through and seemed to fail");
            return Err(failure("the connection to the database broke"));
        }
        // What the process did last may be the last thing that it did.
        self.process.goes_on().await;
        result
    }

    /// What must hold of each record that is written.
    fn check(&self, rows: &Rows, record: &JobRecord) {
        let (world, id) = (&self.world, record.id);
        let is_held = matches!(record.state, JobState::Assigned | JobState::Running);
        if is_held != record.holder.is_some()
            || record.state.is_terminal() != record.ending.is_some()
        {
            world.violated(format!("a record that contradicts itself: {record:?}"));
        }
        if let Some(holder) = &record.holder {
            let known = rows.grants.get(&(id, holder.token));
            if known.is_some_and(|node| *node != holder.node) || holder.token != record.last_token {
                world.violated(format!("two hold job {id} by one token: {record:?}"));
            }
            let newest = rows.jobs.get(&id).map(|row| row.record.last_token);
            if known.is_none() && newest.is_some_and(|newest| newest >= holder.token) {
                world.violated(format!("job {id} was granted under an old token"));
            }
        }
        let name = format!("{}{id}", pins::JOB);
        let is_new = !rows.jobs.contains_key(&id);
        if is_new && !world.holdings.keeps(self.me(), &name, record.task_cid) {
            world.violated(format!("job {id} was recorded before its inputs were here"));
        }
        if let Some(completion) = record.completion() {
            let granted = rows.grants.get(&(id, record.last_token));
            // Workers write the token of their lease into their outcomes.
            let is_of_lease = completion.outcome.fuel == record.last_token.0;
            if granted != record.last_node.as_ref() || !is_of_lease {
                world.violated(format!("job {id} ended without a valid lease: {record:?}"));
            }
            let root = completion.outcome_cid;
            if !world.holdings.keeps(self.me(), &name, root) {
                world.violated(format!("job {id} ended before its result was here"));
            }
        }
    }
}

impl Rows {
    /// Whether a record may not be written by `node`.
    fn refuses(&self, node: &NodeId, record: &JobRecord) -> bool {
        self.jobs.get(&record.id).is_some_and(|row| {
            let ending = &row.record.ending;
            row.owner != *node
                || row.record.last_token > record.last_token
                || row.record.last_token == record.last_token
                    && row.record.last_node != record.last_node
                || ending.is_some() && *ending != record.ending
        })
    }

    fn write(&mut self, node: &NodeId, record: &JobRecord) {
        // Also if the job was called off in the same transaction: then nobody holds it any more.
        if let Some(node) = &record.last_node {
            let lease = (record.id, record.last_token);
            self.grants.insert(lease, node.clone());
        }
        let row = Row {
            record: record.clone(),
            owner: node.clone(),
        };
        self.jobs.insert(record.id, row);
    }

    fn of<'r>(&'r self, node: &'r NodeId) -> impl Iterator<Item = &'r JobRecord> {
        let own = self.jobs.values().filter(move |row| row.owner == *node);
        own.map(|row| &row.record)
    }

    /// Makes the open jobs of those who fell silent `node`'s.
    fn take_over(&mut self, node: &NodeId, now: Timestamp) -> Vec<JobRecord> {
        if !self.there.contains_key(node) {
            return Vec::new();
        }
        let silent = self.there.iter();
        let silent = silent.filter(|(other, until)| *other != node && **until <= now);
        let silent: Vec<NodeId> = silent.map(|(other, _)| other.clone()).collect();
        self.there.retain(|other, _| !silent.contains(other));
        let mut taken = Vec::new();
        for row in self.jobs.values_mut() {
            if silent.contains(&row.owner) && row.record.ending.is_none() {
                row.owner = node.clone();
                taken.push(row.record.clone());
            }
        }
        taken
    }
}

#[async_trait]
impl JobStore for Jobs {
    fn is_shared(&self) -> bool {
        true
    }

    async fn commit(&self, records: &[JobRecord]) -> Result<(), Failure> {
        let fault = lock(&self.world.database.next_commit).take();
        if fault == Some(Fault::Unwritten) {
            return Err(failure("nothing was written"));
        }
        let apply = |rows: &mut Rows| {
            if !rows.there.contains_key(self.me()) {
                self.world.count("writes that were refused");
                return Err(failure("another node has taken over"));
            }
            if records.iter().any(|record| rows.refuses(self.me(), record)) {
                self.world.count("writes that were refused");
                return Err(failure("one of the jobs is another's, or has ended"));
            }
            for record in records {
                self.check(rows, record);
                rows.write(self.me(), record);
            }
            Ok(())
        };
        self.ask(true, apply).await?;
        match fault {
            Some(_) => Err(failure("the connection broke")),
            None => Ok(()),
        }
    }

    async fn get(&self, job: JobId) -> Result<Option<JobRecord>, Failure> {
        self.ask(false, |rows| {
            Ok(rows.jobs.get(&job).map(|row| row.record.clone()))
        })
        .await
    }

    async fn open_jobs(&self) -> Result<Vec<JobRecord>, Failure> {
        self.ask(false, |rows| {
            let open = rows.of(self.me()).filter(|job| job.ending.is_none());
            Ok(open.cloned().collect())
        })
        .await
    }

    async fn newest_token(&self) -> Result<FencingToken, Failure> {
        self.ask(false, |rows| {
            let tokens = rows.jobs.values().map(|row| row.record.last_token);
            Ok(tokens.max().unwrap_or_default())
        })
        .await
    }

    async fn ended_before(&self, before: Timestamp, limit: u32) -> Result<Vec<JobRecord>, Failure> {
        self.ask(false, |rows| {
            let is_old = |job: &&JobRecord| job.finished.is_some_and(|at| at < before);
            let mut old: Vec<JobRecord> = rows.of(self.me()).filter(is_old).cloned().collect();
            old.sort_by_key(|job| job.finished);
            old.truncate(usize::try_from(limit).unwrap_or(usize::MAX));
            Ok(old)
        })
        .await
    }

    async fn remove_ended(&self, jobs: &[JobId]) -> Result<(), Failure> {
        self.ask(true, |rows| {
            rows.jobs
                .retain(|job, row| row.record.ending.is_none() || !jobs.contains(job));
            let Rows {
                jobs: left,
                checkpoints,
                logs,
                ..
            } = rows;
            checkpoints.retain(|(job, _), _| left.contains_key(job));
            logs.retain(|(job, _), _| left.contains_key(job));
            Ok(())
        })
        .await
    }

    async fn owner_of(&self, job: JobId) -> Result<Option<NodeId>, Failure> {
        self.ask(false, |rows| {
            Ok(rows.jobs.get(&job).map(|row| row.owner.clone()))
        })
        .await
    }

    async fn own_all(&self) -> Result<(), Failure> {
        Err(failure("the store is shared"))
    }

    async fn renew(&self, term: Duration) -> Result<bool, Failure> {
        self.ask(true, |rows| {
            let until = self.world.clock.now().plus(term);
            Ok(rows.there.insert(self.me().clone(), until).is_some())
        })
        .await
    }

    async fn replicas(&self) -> Result<Vec<NodeId>, Failure> {
        self.ask(false, |rows| {
            let now = self.world.clock.now();
            let there = rows.there.iter();
            let others = there.filter(|(node, until)| *node != self.me() && **until > now);
            Ok(others.map(|(node, _)| node.clone()).collect())
        })
        .await
    }

    async fn take_over(&self) -> Result<Vec<JobRecord>, Failure> {
        self.ask(true, |rows| {
            let taken = rows.take_over(self.me(), self.world.clock.now());
            if !taken.is_empty() {
                self.world.count("take-overs");
            }
            Ok(taken)
        })
        .await
    }

    async fn resign(&self) -> Result<(), Failure> {
        self.ask(true, |rows| {
            if let Some(until) = rows.there.get_mut(self.me()) {
                *until = Timestamp::default();
            }
            Ok(())
        })
        .await
    }

    async fn add_checkpoint(
        &self,
        job: JobId,
        checkpoint: &CheckpointRecord,
    ) -> Result<bool, Failure> {
        self.ask(true, |rows| {
            let row = rows.jobs.get(&job);
            let is_newest = row.is_some_and(|row| {
                row.owner == *self.me()
                    && row.record.ending.is_none()
                    && row.record.last_token == checkpoint.token
            });
            if !is_newest {
                return Ok(false);
            }
            let name = format!("{}{job}/{}", pins::CHECKPOINT, checkpoint.position);
            if !self.world.holdings.keeps(self.me(), &name, checkpoint.cid) {
                let what = format!("a checkpoint of job {job} was written before it was here");
                self.world.violated(what);
            }
            self.world.count("checkpoints");
            let place = (job, checkpoint.position);
            rows.checkpoints.insert(place, checkpoint.clone());
            Ok(true)
        })
        .await
    }

    async fn checkpoints(&self, job: JobId) -> Result<Vec<CheckpointRecord>, Failure> {
        self.ask(false, |rows| {
            let all = rows.checkpoints.range((job, 0)..=(job, u64::MAX)).rev();
            Ok(all.map(|(_, checkpoint)| checkpoint.clone()).collect())
        })
        .await
    }

    async fn jobs_with_checkpoints(&self) -> Result<Vec<JobId>, Failure> {
        self.ask(false, |rows| {
            let mut jobs: Vec<JobId> = rows.checkpoints.keys().map(|(job, _)| *job).collect();
            jobs.dedup();
            let is_own = |job: &JobId| {
                let row = rows.jobs.get(job);
                row.is_some_and(|row| row.owner == *self.me())
            };
            jobs.retain(is_own);
            Ok(jobs)
        })
        .await
    }

    async fn remove_checkpoint(&self, job: JobId, position: u64) -> Result<(), Failure> {
        self.ask(true, |rows| {
            rows.checkpoints.remove(&(job, position));
            Ok(())
        })
        .await
    }

    async fn add_log(&self, job: JobId, log: &AttemptLog) -> Result<bool, Failure> {
        self.ask(true, |rows| {
            let row = rows.jobs.get(&job);
            let is_own = row.is_some_and(|row| row.owner == *self.me());
            let is_granted = row.is_some_and(|row| row.record.last_token >= log.token);
            if !is_own || !is_granted || rows.logs.contains_key(&(job, log.token)) {
                return Ok(false);
            }
            if !self.world.holdings.has_all(self.me(), log.stdout) {
                let what = format!("a log of job {job} was written before it was here");
                self.world.violated(what);
            }
            self.world.count("logs");
            rows.logs.insert((job, log.token), log.clone());
            Ok(true)
        })
        .await
    }

    async fn logs(&self, job: JobId) -> Result<Vec<AttemptLog>, Failure> {
        self.ask(false, |rows| {
            let first = (job, FencingToken(0));
            let last = (job, FencingToken(u64::MAX));
            let all = rows.logs.range(first..=last).rev();
            Ok(all.map(|(_, log)| log.clone()).collect())
        })
        .await
    }
}
