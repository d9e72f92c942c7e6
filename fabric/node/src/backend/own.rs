//! Jobs of other coordinators that this node runs or ran recently, so that it can answer by itself.

use super::{NodeBackend, jobs::Position, mirrored::view};
use bytes::Bytes;
use futures::{StreamExt, stream};
use mc_api::{JobFailure, JobView};
use mc_gateway::backend::{Error, LogBytes};
use mc_types::{
    AttemptResult, Cid, Clock, Completion, ErrorCode, FailureReason, JobId, JobState, LogStream,
    NodeId, SystemClock,
};
use mc_worker::{Known, Stage, Worker};
use std::time::Duration;
use tokio::time::Instant;

/// Between two looks at what a running guest has written.
const LOOK_EVERY: Duration = Duration::from_millis(100);

impl NodeBackend {
    /// A job as this node itself knows it, if it does.
    pub(super) fn own(&self, id: JobId) -> Option<JobView> {
        let local = self.net.local_id();
        // What this node granted itself is in its ledger, or forgotten.
        let known = self.worker.known(id);
        let known = known.filter(|known| known.coordinator != *local)?;
        Some(JobView {
            node: Some(local.clone()),
            attempts: known.attempt,
            key: known.key,
            ..told(id, &known)
        })
    }

    /// What a job that runs here writes, to its end.
    pub(super) fn own_log(&self, at: Position, follow: bool) -> Result<LogBytes, Error> {
        if let Some(known) = self.worker.known(at.id).filter(|known| known.key.is_some()) {
            let (id, coordinator) = (at.id, known.coordinator);
            let message =
                format!("job {id} is private: what it writes can be read at {coordinator} only");
            return Err(Error::new(ErrorCode::WrongKey, message));
        }
        let reader = Reader {
            worker: self.worker.clone(),
            at,
            follow,
            rest: None,
        };
        Ok(stream::try_unfold(reader, Reader::next).boxed())
    }
}

/// The log of an attempt of this node as it is being read.
struct Reader {
    worker: Worker,
    at: Position,
    follow: bool,
    /// What follows once the attempt has ended.
    rest: Option<LogBytes>,
}

impl Reader {
    /// The next piece, and the reader after it.
    async fn next(mut self) -> Result<Option<(Bytes, Self)>, Error> {
        loop {
            if let Some(rest) = &mut self.rest {
                return Ok(rest.next().await.transpose()?.map(|bytes| (bytes, self)));
            }
            let (id, stream) = (self.at.id, self.at.stream);
            let Some(read) = self.worker.own_log(id, stream, self.at.offset).await else {
                match self.ended() {
                    Some(log) => self.rest = Some(self.at.read(log.into())),
                    None => return Ok(None),
                }
                continue;
            };
            let bytes = read.map_err(|e| Error::new(ErrorCode::Path, e.to_string()))?;
            if !bytes.is_empty() {
                self.at.offset += u64::try_from(bytes.len()).unwrap_or(u64::MAX);
                return Ok(Some((bytes, self)));
            }
            if !self.follow {
                return Ok(None);
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }

    /// The whole log of the attempt that ended here, if it is kept.
    fn ended(&self) -> Option<Cid> {
        let known = self.worker.known(self.at.id)?;
        let (stdout, stderr) = match (known.stage, known.wrote) {
            (
                Stage::Ended {
                    ending: AttemptResult::Completed(completion),
                    ..
                },
                _,
            ) => (completion.outcome.stdout, completion.outcome.stderr),
            (_, Some(wrote)) => (wrote.stdout, wrote.stderr),
            (_, None) => return None,
        };
        Some(match self.at.stream {
            LogStream::Stdout => stdout,
            LogStream::Stderr => stderr,
        })
    }
}

fn told(id: JobId, known: &Known) -> JobView {
    let said = |what: &str| format!("as this node knows, which {what}");
    let open = |state| view(id, known.task, state, said("runs it"), None);
    match &known.stage {
        Stage::Held => open(JobState::Assigned),
        Stage::Running { begun } => JobView {
            started_ms: Some(started(*begun)),
            ..open(JobState::Running)
        },
        // The last known state: the coordinator may have granted it to another node.
        Stage::Left { was_killed } => open_until(id, known, JobState::Running, left(*was_killed)),
        Stage::Ended {
            ending: AttemptResult::Failed(reason @ FailureReason::Infrastructure { .. }),
            ..
        } => {
            let message = reason.detail().unwrap_or_default();
            let until = format!("failed to run it ({message})");
            open_until(id, known, JobState::Assigned, &until)
        }
        Stage::Ended {
            ending,
            is_recorded,
        } => {
            let knows = if *is_recorded {
                "ran it".to_owned()
            } else {
                unheard(&known.coordinator)
            };
            ended(id, known, ending, said(&knows))
        }
    }
}

/// By this node's clock, in milliseconds since the Unix epoch.
fn started(begun: Instant) -> u64 {
    let since = u64::try_from(begun.elapsed().as_millis()).unwrap_or(u64::MAX);
    SystemClock.now().as_millis().saturating_sub(since)
}

const fn left(was_killed: bool) -> &'static str {
    if was_killed {
        "ran it until its process was killed, and keeps what it wrote"
    } else {
        "ran it until its coordinator had been silent for too long, and keeps what it came to"
    }
}

/// A job whose attempt is over, which the coordinator does not know yet.
fn open_until(id: JobId, known: &Known, state: JobState, until: &str) -> JobView {
    let coordinator = &known.coordinator;
    let said = format!(
        "as this node knows, which {until}; its coordinator {coordinator} does not know yet"
    );
    view(id, known.task, state, said, None)
}

fn unheard(coordinator: &NodeId) -> String {
    format!("ran it; its coordinator {coordinator} does not know yet")
}

fn ended(id: JobId, known: &Known, ending: &AttemptResult, said: String) -> JobView {
    // What a private job wrote can be read at its coordinator only.
    let wrote = known.wrote.filter(|_| known.key.is_none());
    let without_outcome = |state, failure| JobView {
        failure: Some(failure),
        stdout_cid: wrote.map(|wrote| wrote.stdout),
        stderr_cid: wrote.map(|wrote| wrote.stderr),
        ..view(id, known.task, state, said.clone(), None)
    };
    match ending {
        AttemptResult::Completed(completion) => completed(id, completion, said),
        AttemptResult::Cancelled => without_outcome(JobState::Cancelled, JobFailure::Cancelled),
        AttemptResult::Failed(FailureReason::Timeout) => {
            without_outcome(JobState::Failed, JobFailure::Timeout)
        }
        AttemptResult::Failed(_) => without_outcome(JobState::Failed, JobFailure::Rejected),
    }
}

fn completed(id: JobId, completion: &Completion, said: String) -> JobView {
    JobView {
        id: Some(id),
        message: Some(said),
        ..JobView::from(completion)
    }
}
