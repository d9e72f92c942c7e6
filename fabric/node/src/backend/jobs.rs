//! The logs of jobs.

use super::{NodeBackend, refuse};
use crate::private::{self, TaskKey};
use bytes::Bytes;
use futures::{StreamExt, stream};
use mc_content::unixfs::{self, Entity};
use mc_gateway::backend::{Error, LogBytes, LogStream};
use mc_net::message::{self, Request, Response};
use mc_types::{ErrorCode, JobId, JobRecord};
use std::time::Duration;

/// Between two looks at what a running guest has written.
const LOOK_EVERY: Duration = Duration::from_millis(100);

pub(super) fn unknown(id: JobId) -> Error {
    let error = Error::new(ErrorCode::NotFound, format!("this node knows no job {id}"));
    error.with_hint("list its jobs with: mc-wasm ps")
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
struct Position {
    coordinator: crate::coordinator::Coordinator,
    peers: crate::peers::Peers,
    content: crate::content::Content,
    id: JobId,
    stream: LogStream,
    offset: u64,
}

impl NodeBackend {
    /// A job that this node knows.
    pub(super) async fn record(&self, id: JobId) -> Result<JobRecord, Error> {
        let job = self.coordinator.job(id).await?;
        job.ok_or_else(|| unknown(id))
    }

    pub(super) async fn follow(
        &self,
        id: JobId,
        stream: LogStream,
        offset: u64,
        follow: bool,
    ) -> Result<LogBytes, Error> {
        let known = self.coordinator.job(id).await?;
        let at = Position {
            coordinator: self.coordinator.clone(),
            peers: self.coordinator.peers().clone(),
            content: self.content.clone(),
            id,
            stream,
            offset,
        };
        let Some(job) = known else {
            let job = self.mirrored(id, None, None).await?;
            let cid = match stream {
                LogStream::Stdout => job.stdout_cid,
                LogStream::Stderr => job.stderr_cid,
            };
            return Ok(at.read(cid.ok_or_else(|| unknown(id))?.into()));
        };
        let key = self.coordinator.key_of(&job)?;
        let follower = Follower {
            at,
            key: key.clone(),
            follow,
            looked: false,
            rest: None,
        };
        let bytes = stream::try_unfold(follower, Follower::next).boxed();
        Ok(match key {
            None => bytes,
            Some(key) => private::sealed_log(&key, stream, offset, bytes),
        })
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
            let job = self
                .at
                .coordinator
                .job(id)
                .await?
                .ok_or_else(|| unknown(id))?;
            if job.state.is_terminal() {
                match self.at.finished(&job, self.key.as_ref()) {
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
                return Ok(None);
            }
            self.looked = true;
            if self.follow {
                self.at
                    .coordinator
                    .wait(id, Some(job.state), LOOK_EVERY)
                    .await?;
            }
        }
    }
}

const fn log_stream(stream: LogStream) -> message::LogStream {
    match stream {
        LogStream::Stdout => message::LogStream::Stdout,
        LogStream::Stderr => message::LogStream::Stderr,
    }
}

impl Position {
    /// What the running attempt has written since; nothing when it cannot be asked. A later attempt
    /// of a deterministic task writes the same again, so the offset stays valid.
    async fn look(&self, job: &JobRecord) -> Bytes {
        let Some(holder) = &job.holder else {
            return Bytes::new();
        };
        let request = Request::Log {
            job: self.id,
            stream: log_stream(self.stream),
            offset: self.offset,
        };
        match self.peers.request(&holder.node, request).await {
            Ok(Response::Log { bytes }) => bytes,
            _ => Bytes::new(),
        }
    }

    /// The log of a job that has ended, from the offset on; `None` when it has none.
    fn finished(&self, job: &JobRecord, key: Option<&TaskKey>) -> Option<LogBytes> {
        let outcome = &job.completion()?.outcome;
        let (cid, name) = match self.stream {
            LogStream::Stdout => (outcome.stdout, private::STDOUT),
            LogStream::Stderr => (outcome.stderr, private::STDERR),
        };
        let key = key.map(|key| key.result(name));
        Some(self.read((cid, key).into()))
    }

    /// A log that is content, from the offset on.
    fn read(&self, log: Entity) -> LogBytes {
        let source = self.content.source(Vec::new(), None);
        let bytes = unixfs::stream(source, log, self.offset..u64::MAX);
        bytes.map(|piece| piece.map_err(refuse)).boxed()
    }
}
