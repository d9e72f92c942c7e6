//! Having one task run: what a worker gives it, and what it makes of how it ended.

use super::{
    Inner,
    attempt::Attempt,
    before,
    blocks::AttemptBlocks,
    disk::{Purpose, Share},
};
use crate::data_dir::Scratch;
use async_trait::async_trait;
use mc_execution::{
    AttemptContext, Blocks, Checkpoints, Deferred, ExecutionError, Finished, Leaves, LogFiles,
    Need, Spill, Start, Streams, Watch, When,
    checkpoint::CheckpointError,
    threads::NotDone,
    world::{GivenInputs, TaskInputs},
};
use mc_protocol::{Request, Response};
use mc_types::{Cid, Determinism, Ending, FailureReason, FencingToken, JobId, cid, with_causes};
use serde::{Deserialize, Serialize};
use std::{
    pin::pin,
    sync::Arc,
    time::{Duration, Instant},
};

/// How often a checkpoint is reported to a coordinator that does not answer.
const REPORTS: u32 = 3;
/// Most bytes of files in a checkpoint: as many as tasks may usually write.
const MOST_FILE_BYTES: u64 = 1 << 30;

/// What became of an attempt.
pub(super) struct Executed {
    /// What it came to; `None` when it was stopped because this node shuts down.
    pub(super) ending: Option<Ending>,
    /// What it wrote, if it came to no outcome: that has it otherwise.
    pub(super) wrote: Option<Wrote>,
}

/// The two streams of an attempt, as content of this node.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Wrote {
    #[serde(with = "cid::portable")]
    pub(crate) stdout: Cid,
    #[serde(with = "cid::portable")]
    pub(crate) stderr: Cid,
}

impl Wrote {
    /// How a coordinator is told, with the lease as it was signed.
    pub(super) fn request(
        self,
        (job, token, attempt): (JobId, FencingToken, u32),
        grant: Vec<u8>,
    ) -> Request {
        Request::Wrote {
            job,
            token,
            attempt,
            stdout: self.stdout,
            stderr: self.stderr,
            grant,
        }
    }
}

/// Runs the attempt.
pub(super) async fn execute(inner: &Inner, attempt: &Attempt) -> Executed {
    let (job, token) = (attempt.lease.job, attempt.lease.token);
    // Its files are there until all that is wanted of them is stored.
    let scratch = Scratch::new(&inner.options.scratch, job, token);
    let mut work = pin!(ending(inner, attempt));
    let ending = tokio::select! {
        biased;
        ending = &mut work => ending,
        () = before::is_worth_a_note(attempt) => {
            tokio::join!(work, before::note(attempt, &scratch)).0
        }
    };
    let wrote = match &ending {
        Some(Ending::Completed(_)) => None,
        _ => match wrote(inner, attempt).await {
            Ok(wrote) => Some(wrote),
            Err(error) => {
                tracing::warn!(%error, "what the attempt wrote was not kept");
                None
            }
        },
    };
    Executed { ending, wrote }
}

/// Stores what an attempt wrote.
async fn wrote(inner: &Inner, attempt: &Attempt) -> Result<Wrote, mc_content::Error> {
    let made = Deferred::new(inner.content.clone());
    let (stdout, stderr) = attempt.logs.add(attempt.key.as_ref(), &made).await?;
    made.flush().await?;
    Ok(Wrote { stdout, stderr })
}

/// Stores what an attempt wrote that was not private.
pub(super) async fn wrote_before(
    inner: &Inner,
    logs: &LogFiles,
) -> Result<Wrote, mc_content::Error> {
    let made = Deferred::new(inner.content.clone());
    let (stdout, stderr) = logs.add(None, &made).await?;
    made.flush().await?;
    Ok(Wrote { stdout, stderr })
}

async fn ending(inner: &Inner, attempt: &Attempt) -> Option<Ending> {
    if attempt.spec.task.determinism != Determinism::Deterministic {
        let reason = "relaxed tasks run on the machine of their owner only: mc-wasm run --relaxed";
        return Some(Ending::Failed(FailureReason::Rejected {
            code: None,
            message: reason.to_owned(),
        }));
    }
    let work = run(inner, attempt);
    let result = tokio::select! {
        biased;
        result = work => result,
        // The task itself is stopped by the same token; this ends a fetch.
        () = stopped_for_long(attempt) => Err(ExecutionError::Cancelled),
    };
    match result {
        Ok(Finished::Ended(ended)) => match ended.completion {
            Some(completion) => Some(Ending::Completed(Box::new(completion))),
            None => Some(Ending::Failed(FailureReason::Infrastructure {
                code: None,
                message: "no outcome was stated".to_owned(),
            })),
        },
        Ok(Finished::Left(_)) => None,
        Err(ExecutionError::Cancelled) if inner.closing.is_cancelled() => None,
        Err(ExecutionError::Cancelled) => Some(Ending::Cancelled),
        Err(error) => {
            if let ExecutionError::Threads(NotDone::Panicked { reason }) = &error {
                inner.attempts.panicked("guest", reason);
            }
            Some(Ending::Failed(reason(&error)))
        }
    }
}

/// What is told of an attempt that has no outcome.
fn reason(error: &ExecutionError) -> FailureReason {
    let (code, message) = (error.code(), with_causes(error));
    match error {
        ExecutionError::Timeout { .. } => FailureReason::Timeout,
        _ if error.is_tasks_fault() => FailureReason::Rejected { code, message },
        _ => FailureReason::Infrastructure { code, message },
    }
}

/// Ends a while after the attempt was stopped, which is time enough for a guest to be.
async fn stopped_for_long(attempt: &Attempt) {
    attempt.controls.cancel.cancelled().await;
    tokio::time::sleep(Duration::from_millis(500)).await;
}

async fn run(inner: &Inner, attempt: &Attempt) -> Result<Finished, ExecutionError> {
    let task = &attempt.spec.task;
    let executor = inner.executors.of(task.kind)?;
    let blocks: Arc<dyn Blocks> = Arc::new(AttemptBlocks::new(&inner.content, attempt));
    let goes_on = !attempt.checkpoints.is_empty() || attempt.spec.checkpoint_every.is_some();
    let need = if goes_on { Need::GoOn } else { Need::Run };
    let prepared = executor.prepare(task, need, &blocks).await?;
    if !prepared.can_checkpoint() {
        attempt.controls.cannot_stop.cancel();
    }
    let (key, task_cid) = (attempt.key.clone(), attempt.known.task);
    let disk = Arc::clone(&inner.options.caps.disk);
    let room = Share::new(disk, Purpose::Scratch);
    let watch = Reporting { inner, attempt };
    let context = AttemptContext {
        inputs: TaskInputs::Given(GivenInputs::of_task(task, task_cid, key.as_ref())),
        blocks,
        key,
        streams: Streams::Files(attempt.logs.clone()),
        storage: Some(Arc::new(Spill::new(inner.options.scratch.clone(), room))),
        timeout: attempt.spec.timeout_ms.map(Duration::from_millis),
        controls: attempt.controls.of_execution(),
        checkpoints: Some(Checkpoints {
            task: task_cid,
            start: Start::Newest(attempt.checkpoints.iter().copied().collect()),
            when: When::Every(attempt.spec.checkpoint_every),
            most_file_bytes: MOST_FILE_BYTES,
        }),
        leaves: Leaves::Stored { task: task_cid },
        watch: &watch,
    };
    prepared.run(context).await
}

/// Tells this node, and the coordinator, how an attempt goes.
struct Reporting<'a> {
    inner: &'a Inner,
    attempt: &'a Attempt,
}

#[async_trait]
impl Watch for Reporting<'_> {
    fn begins(&self) {
        let begun = &self.attempt.controls.begun;
        begun.send_replace(Some(Instant::now()));
    }

    async fn stored(&self, checkpoint: Cid, position: u64) {
        let newest = Some((checkpoint, position));
        self.attempt.controls.newest.send_replace(newest);
        for _ in 0..REPORTS {
            let request = Request::Checkpoint {
                job: self.attempt.lease.job,
                token: self.attempt.lease.token,
                cid: checkpoint,
                position,
            };
            let coordinators = &self.attempt.coordinators;
            match coordinators.ask(&self.inner.peers, request).await {
                Ok(Response::Recorded | Response::Stale | Response::Cancelled) => return,
                other => tracing::debug!(?other, position, "checkpoint not recorded"),
            }
        }
    }

    fn lost(&self, position: u64, error: &CheckpointError) {
        tracing::warn!(%error, position, "a checkpoint was lost");
        if let CheckpointError::Threads(NotDone::Panicked { reason }) = error {
            self.inner.attempts.panicked("checkpoint", reason);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use mc_types::ErrorCode;

    #[test]
    fn only_what_is_the_same_on_every_machine_is_not_tried_again() {
        let message = "no luck".to_owned();
        let machine = reason(&ExecutionError::Machine(message.clone()));
        let code = None;
        let tried_again = FailureReason::Infrastructure { code, message };
        assert_eq!(machine, tried_again);
        let message = "not a file".to_owned();
        let input = reason(&ExecutionError::Unusable(message.clone()));
        let code = Some(ErrorCode::CorruptContent);
        assert_eq!(input, FailureReason::Rejected { code, message });
        let none = std::io::Error::other("too many");
        let no_thread = reason(&ExecutionError::from(NotDone::NoThread(none)));
        assert!(
            matches!(&no_thread, FailureReason::Infrastructure { message, .. } if message.ends_with(": too many")),
            "{no_thread:?}"
        );
        let after = Duration::from_secs(1);
        let late = reason(&ExecutionError::Timeout { after });
        assert_eq!(late, FailureReason::Timeout);
    }
}
