//! The logs of jobs.

use super::{NodeBackend, refuse};
use bytes::Bytes;
use futures::{StreamExt, stream};
use mc_content::{Error as ContentError, unixfs};
use mc_gateway::backend::{Error, LogBytes, LogStream};
use mc_net::message::{self, Request, Response};
use mc_types::{Cid, ErrorCode, JobId, JobRecord};
use std::time::Duration;
use tokio::io::AsyncReadExt;
use tokio_util::io::ReaderStream;

/// Between two looks at what a running guest has written.
const LOOK_EVERY: Duration = Duration::from_millis(100);
/// Bytes of a finished log that wait between reader and client.
const PIPE_BYTES: usize = 1 << 20;

pub(super) fn unknown(id: JobId) -> Error {
    let error = Error::new(ErrorCode::NotFound, format!("this node knows no job {id}"));
    error.with_hint("list its jobs with: mc-wasm ps")
}

/// A log as it is being read.
struct Follower {
    at: Position,
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
        let is_known = self.coordinator.job(id).await?.is_some();
        let at = Position {
            coordinator: self.coordinator.clone(),
            peers: self.coordinator.peers().clone(),
            content: self.content.clone(),
            id,
            stream,
            offset,
        };
        if !is_known {
            let job = self.mirrored(id, None, None).await?;
            let cid = match stream {
                LogStream::Stdout => job.stdout_cid,
                LogStream::Stderr => job.stderr_cid,
            };
            return at.read(cid.ok_or_else(|| unknown(id))?).await;
        }
        let follower = Follower {
            at,
            follow,
            looked: false,
            rest: None,
        };
        Ok(stream::try_unfold(follower, Follower::next).boxed())
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
                match self.at.finished(&job).await? {
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

impl Position {
    /// What the running attempt has written since; nothing when it cannot be asked. A later attempt
    /// of a deterministic task writes the same again, so the offset stays valid.
    async fn look(&self, job: &JobRecord) -> Bytes {
        let Some(holder) = &job.holder else {
            return Bytes::new();
        };
        let stream = match self.stream {
            LogStream::Stdout => message::LogStream::Stdout,
            LogStream::Stderr => message::LogStream::Stderr,
        };
        let request = Request::Log {
            job: self.id,
            stream,
            offset: self.offset,
        };
        match self.peers.request(&holder.node, request).await {
            Ok(Response::Log { bytes }) => bytes,
            _ => Bytes::new(),
        }
    }

    /// The log of a job that has ended, from the offset on; `None` when it has none.
    async fn finished(&self, job: &JobRecord) -> Result<Option<LogBytes>, Error> {
        let Some(completion) = job.completion() else {
            return Ok(None);
        };
        let cid = match self.stream {
            LogStream::Stdout => completion.outcome.stdout,
            LogStream::Stderr => completion.outcome.stderr,
        };
        self.read(cid).await.map(Some)
    }

    /// A log that is content, from the offset on.
    async fn read(&self, cid: Cid) -> Result<LogBytes, Error> {
        let source = self.content.source(Vec::new(), None);
        let (writer, mut reader) = tokio::io::duplex(PIPE_BYTES);
        let (failed, failure) = tokio::sync::oneshot::channel();
        tokio::spawn(async move {
            if let Err(error) = unixfs::cat(&source, cid, writer, u64::MAX).await {
                // The client may have gone, which is an error of writing here.
                let _ = failed.send(error);
            }
        });
        let mut skip = (&mut reader).take(self.offset);
        let skipped = tokio::io::copy(&mut skip, &mut tokio::io::sink()).await;
        skipped.map_err(|e| refuse(ContentError::Source(e.to_string())))?;
        let bytes = ReaderStream::new(reader)
            .map(|piece| piece.map_err(|e| refuse(ContentError::Source(e.to_string()))));
        let end =
            stream::once(failure).filter_map(async |error| error.ok().map(|e| Err(refuse(e))));
        Ok(bytes.chain(Box::pin(end)).boxed())
    }
}
