//! The logs of jobs.

use super::{NodeBackend, refuse};
use crate::private;
use bytes::Bytes;
use futures::{StreamExt, stream};
use mc_api::{JobView, LogQuery};
use mc_content::{
    BlockSource, TaskKey,
    unixfs::{self, Entity},
};
use mc_gateway::backend::{Error, LogBytes};
use mc_protocol::{Exchange, Request, Response};
use mc_types::{AttemptLog, Cid, Clock, ErrorCode, JobId, JobRecord, LogStream, SystemClock};
use std::time::{Duration, Instant};

/// Between two looks at what a running guest has written.
const LOOK_EVERY: Duration = Duration::from_millis(100);
/// How long after the end of a job the output of its last attempt may still arrive.
const LATE: Duration = Duration::from_secs(5);

pub(super) fn unknown(id: JobId) -> Error {
    let error = Error::new(ErrorCode::NotFound, format!("this node knows no job {id}"));
    error.with_hint("list its jobs with: mc-wasm ps")
}

/// Says of a job of another ledger where it is.
fn elsewhere(id: JobId, job: &JobView) -> Error {
    let said = job.message.as_deref().unwrap_or_default();
    let message = format!("job {id} is {}, {said}: no more is known here", job.state);
    let error = Error::new(ErrorCode::NotFound, message);
    error.with_hint("ask its coordinator, with --node URL")
}

/// A log as it is being read.
struct Follower {
    at: Position,
    /// Of a private job.
    key: Option<TaskKey>,
    follow: bool,
    looked: bool,
    /// The rest of a finished log, once the job has ended.
    rest: Option<LogBytes>,
}

/// How far a follower is, and where it reads.
pub(super) struct Position {
    coordinator: mc_coordinator::Coordinator,
    peers: crate::peers::Peers,
    content: crate::content::Content,
    pub(super) id: JobId,
    pub(super) stream: LogStream,
    pub(super) offset: u64,
    /// Whether there may be many that read at the same time.
    follows: bool,
}

/// Blocks that are requested only when they are needed.
struct OneByOne<S>(S);

impl<S: BlockSource> BlockSource for OneByOne<S> {
    fn ahead(&self) -> usize {
        1
    }

    async fn load(&self, cid: &Cid) -> Result<Bytes, mc_content::Error> {
        self.0.load(cid).await
    }
}

impl NodeBackend {
    /// A job of the ledger.
    pub(super) async fn record(&self, id: JobId) -> Result<JobRecord, Error> {
        match self.coordinator.job(id).await.map_err(refuse)? {
            Some(job) => Ok(job),
            None => Err(self.not_here(id).await),
        }
    }

    /// Why this node cannot do what only the coordinator of a job can.
    pub(super) async fn not_here(&self, id: JobId) -> Error {
        match self.mirrored(id, None, None).await {
            Ok(job) => elsewhere(id, &job),
            Err(unknown) => unknown,
        }
    }

    pub(super) async fn follow(&self, id: JobId, wanted: LogQuery) -> Result<LogBytes, Error> {
        let LogQuery {
            stream,
            offset,
            follow,
            attempt,
        } = wanted;
        let known = self.coordinator.job(id).await.map_err(refuse)?;
        let at = Position {
            coordinator: self.coordinator.clone(),
            peers: self.peers.clone(),
            content: self.content.clone(),
            id,
            stream,
            offset,
            follows: follow,
        };
        let Some(job) = known else {
            return self.follow_elsewhere(at, follow, attempt).await;
        };
        let key = private::of_job(&self.identity, &job.spec).map_err(refuse)?;
        let rest = match attempt.filter(|attempt| !is_under_way(&job, *attempt)) {
            Some(attempt) => Some(at.of_attempt(&job, attempt, key.as_ref()).await?),
            // A follower learns from the state of the job how it ended.
            None if job.state.is_terminal() && !follow => {
                let ended = at.ended(&job, key.as_ref()).await?;
                Some(ended.ok_or_else(|| lost(&job))?)
            }
            None => None,
        };
        let follower = Follower {
            at,
            key: key.clone(),
            follow,
            looked: false,
            rest,
        };
        let bytes = stream::try_unfold(follower, Follower::next).boxed();
        Ok(match key {
            None => bytes,
            Some(key) => private::sealed_log(&key, stream, offset, bytes),
        })
    }
}

impl NodeBackend {
    /// The log of a job that this node's ledger does not have: of the newest attempt known here.
    async fn follow_elsewhere(
        &self,
        at: Position,
        follow: bool,
        attempt: Option<u32>,
    ) -> Result<LogBytes, Error> {
        let (id, own) = (at.id, self.own(at.id));
        let is_own = own.is_some();
        let runs_here = own.as_ref().is_some_and(|job| !job.state.is_terminal());
        let job = match own {
            Some(job) => job,
            None => self.mirrored(id, None, None).await?,
        };
        // Another worker published the outcome in the DHT, but not the attempt; coordinators know when it began.
        let is_counted = is_own || job.submitted_ms.is_some();
        let another = attempt.filter(|attempt| is_counted && *attempt != job.attempts);
        if let Some(attempt) = another {
            let known = job.attempts;
            let message = format!(
                "what attempt {attempt} of job {id} wrote is not known here, but that of attempt {known}"
            );
            let error = Error::new(ErrorCode::NoResult, message);
            return Err(error.with_hint("ask its coordinator, with --node URL"));
        }
        if runs_here {
            return self.own_log(at, follow);
        }
        let cid = match at.stream {
            LogStream::Stdout => job.stdout_cid,
            LogStream::Stderr => job.stderr_cid,
        };
        Ok(at.read(cid.ok_or_else(|| elsewhere(at.id, &job))?.into()))
    }
}

impl Follower {
    /// The next piece, and the follower after it.
    async fn next(mut self) -> Result<Option<(Bytes, Self)>, Error> {
        loop {
            if let Some(rest) = &mut self.rest {
                return Ok(rest.next().await.transpose()?.map(|bytes| (bytes, self)));
            }
            let id = self.at.id;
            let known = self.at.coordinator.job(id).await.map_err(refuse)?;
            let job = known.ok_or_else(|| unknown(id))?;
            if job.state.is_terminal() {
                match self.at.ended(&job, self.key.as_ref()).await? {
                    Some(rest) => self.rest = Some(rest),
                    None => return Ok(None),
                }
                continue;
            }
            let bytes = self.at.look(&job).await;
            if !bytes.is_empty() {
                self.at.offset += u64::try_from(bytes.len()).unwrap_or(u64::MAX);
                return Ok(Some((bytes, self)));
            }
            if !self.follow && self.looked {
                // Its process may have been killed, and not be missed yet.
                let logs = self.at.attempt_logs().await?;
                let kept = logs.first().filter(|log| log.token == job.last_token);
                let Some(log) = kept else { return Ok(None) };
                let kept = self.at.of(log.stdout, log.stderr, self.key.as_ref());
                self.rest = Some(kept);
                continue;
            }
            self.looked = true;
            if self.follow {
                let coordinator = &self.at.coordinator;
                let changed = coordinator.wait(id, Some(job.state), LOOK_EVERY).await;
                changed.map_err(refuse)?;
            }
        }
    }
}

/// Whether an attempt is the one that is not over yet.
fn is_under_way(job: &JobRecord, attempt: u32) -> bool {
    job.holder.is_some() && job.attempts == attempt
}

fn lost(job: &JobRecord) -> Error {
    let id = job.id;
    let node = job.last_node.as_ref().map(ToString::to_string);
    let node = node.unwrap_or_default();
    let message = format!("what job {id} wrote was lost with its node {node}");
    Error::new(ErrorCode::NoResult, message)
}

impl Position {
    /// What the attempts of the job wrote that came to no outcome, newest first.
    async fn attempt_logs(&self) -> Result<Vec<AttemptLog>, Error> {
        let logs = self.coordinator.attempt_logs(self.id).await;
        logs.map_err(refuse)
    }

    /// What the running attempt has written since; empty when its node cannot be asked. A later attempt of a
    /// deterministic task writes the same again, so the offset stays valid.
    async fn look(&self, job: &JobRecord) -> Bytes {
        let Some(holder) = &job.holder else {
            return Bytes::new();
        };
        let request = Request::Log {
            job: self.id,
            stream: self.stream,
            offset: self.offset,
        };
        match self.peers.request(&holder.node, request).await {
            Ok(Response::Log { bytes }) => bytes,
            _ => Bytes::new(),
        }
    }

    /// The log of a job that has ended, from the offset on: of its outcome, or else of the newest attempt with a kept
    /// log. `None` if it was lost with its node.
    async fn ended(
        &self,
        job: &JobRecord,
        key: Option<&TaskKey>,
    ) -> Result<Option<LogBytes>, Error> {
        if let Some(completion) = job.completion() {
            let outcome = &completion.outcome;
            return Ok(Some(self.of(outcome.stdout, outcome.stderr, key)));
        }
        if job.last_node.is_none() {
            // It never ran.
            return Ok(Some(stream::empty().boxed()));
        }
        // The node that ended it may have another clock.
        let begun = Instant::now();
        loop {
            let logs = self.attempt_logs().await?;
            let newest = logs.first();
            // A cancelled job is over before its node has reported the output.
            let since = job.finished.map(|at| SystemClock.now().since(at));
            let may_come = newest.is_none_or(|log| log.token < job.last_token)
                && since.is_some_and(|since| since.max(begun.elapsed()) < LATE);
            if !may_come {
                return Ok(newest.map(|log| self.of(log.stdout, log.stderr, key)));
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }

    /// The log of an attempt that is over.
    async fn of_attempt(
        &self,
        job: &JobRecord,
        attempt: u32,
        key: Option<&TaskKey>,
    ) -> Result<LogBytes, Error> {
        if let Some(completion) = job.completion().filter(|_| job.attempts == attempt) {
            let outcome = &completion.outcome;
            return Ok(self.of(outcome.stdout, outcome.stderr, key));
        }
        let logs = self.attempt_logs().await?;
        if let Some(log) = logs.iter().find(|log| log.attempt == attempt) {
            return Ok(self.of(log.stdout, log.stderr, key));
        }
        let mut kept: Vec<_> = logs.iter().map(|log| log.attempt).collect();
        kept.extend(job.completion().map(|_| job.attempts));
        kept.sort_unstable();
        let kept: Vec<_> = kept.iter().map(ToString::to_string).collect();
        let kept = match kept.is_empty() {
            true => "nor of any other".to_owned(),
            false => format!("but of: {}", kept.join(", ")),
        };
        let id = self.id;
        let message =
            format!("nothing is kept of what attempt {attempt} of job {id} wrote, {kept}");
        Err(Error::new(ErrorCode::NoResult, message))
    }

    /// That of two logs which is read, from the offset on.
    fn of(&self, stdout: Cid, stderr: Cid, key: Option<&TaskKey>) -> LogBytes {
        let (cid, name) = match self.stream {
            LogStream::Stdout => (stdout, TaskKey::STDOUT),
            LogStream::Stderr => (stderr, TaskKey::STDERR),
        };
        let key = key.map(|key| key.result(name));
        self.read((cid, key).into())
    }

    /// A log that is content, from the offset on.
    pub(super) fn read(&self, log: Entity) -> LogBytes {
        let (source, range) = (self.content.source(Vec::new(), None), self.offset..u64::MAX);
        let bytes = match self.follows {
            // A thousand may follow, and leave unread what was read for them.
            true => unixfs::stream(OneByOne(source), log, range).boxed(),
            false => unixfs::stream(source, log, range).boxed(),
        };
        bytes.map(|piece| piece.map_err(refuse)).boxed()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use mc_types::{FencingToken, Holder, JobSpec, JobState, TaskSpec, Timestamp};
    use std::sync::Arc;

    fn job() -> JobRecord {
        let at = Timestamp::from_millis(1);
        let spec = Arc::new(JobSpec::new(TaskSpec::wasm(Cid::default())));
        JobRecord::queued(JobId::new(at, 1), Cid::default(), spec, at)
    }

    #[test]
    fn only_the_newest_attempt_of_a_job_that_is_held_is_under_way() {
        let mut job = job();
        job.attempts = 2;
        assert!(!is_under_way(&job, 2), "nobody holds it");
        job.holder = Some(Holder {
            node: "12D3KooWa".parse().unwrap(),
            token: FencingToken(7),
            expires: Timestamp::from_millis(9),
        });
        assert!(is_under_way(&job, 2));
        assert!(!is_under_way(&job, 1) && !is_under_way(&job, 3));
    }

    #[test]
    fn whoever_asks_for_a_log_that_is_not_here_is_told_where_to_ask() {
        let mut job = job();
        job.last_node = "12D3KooWa".parse().ok();
        let lost = lost(&job);
        assert_eq!(lost.0.code, ErrorCode::NoResult);
        assert!(lost.0.message.ends_with("12D3KooWa"), "{lost}");
        let view = JobView {
            state: JobState::Running,
            message: Some("as its node says".to_owned()),
            ..JobView::default()
        };
        let elsewhere = elsewhere(job.id, &view);
        assert_eq!(elsewhere.0.code, ErrorCode::NotFound);
        assert!(
            elsewhere.0.message.contains("is running, as its node says"),
            "{elsewhere}"
        );
        assert!(elsewhere.0.hint.is_some() && unknown(job.id).0.hint.is_some());
    }
}
