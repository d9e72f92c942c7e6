//! Runs the task of one attempt: what a worker gives to the executor, and how it reads the result.

use crate::{
    accepted::Accepted,
    before,
    blocks::AttemptBlocks,
    disk::{ScratchRoom, Taken},
    scratch::Scratch,
    shared::Shared,
    streams::StoredStreams,
};
use async_trait::async_trait;
use futures::FutureExt;
use mc_execution::{
    AttemptContext, Blocks, Checkpoints, ExecutionError, Finished, Leaves, Need, Spill, Start,
    Streams, Watch, When,
    checkpoint::CheckpointError,
    threads::NotDone,
    world::{DeclaredInputs, TaskInputs},
};
use mc_protocol::{Request, Response};
use mc_types::{
    AttemptResult, Cid, Determinism, ErrorCode, FailureReason, panic_message, with_causes,
};
use std::{panic::AssertUnwindSafe, pin::pin, sync::Arc, time::Duration};
use tokio::time::Instant;

/// How often a checkpoint is reported to a coordinator that does not answer.
const REPORTS: u32 = 3;
/// Most bytes of files in a checkpoint: as many as tasks may usually write.
const MOST_FILE_BYTES: u64 = 1 << 30;

/// What became of an attempt.
pub(crate) struct Executed {
    /// How it ended; `None` if it left a checkpoint, or was stopped because the node shuts down.
    pub(crate) ending: Option<AttemptResult>,
    /// What it wrote, if it has no outcome. An outcome names the streams itself.
    pub(crate) wrote: Option<StoredStreams>,
}

/// Runs the attempt.
pub(crate) async fn execute(shared: &Shared, attempt: &Accepted, taken: &Arc<Taken>) -> Executed {
    let (job, token) = (attempt.lease.job, attempt.lease.token);
    // Its files stay until what is needed of them is stored.
    let scratch = Scratch::new(&shared.options.scratch, job, token);
    let mut work = pin!(ending(shared, attempt, taken));
    let ending = tokio::select! {
        biased;
        ending = &mut work => ending,
        () = before::is_worth_a_note(attempt) => {
            tokio::join!(work, before::note(attempt, &scratch)).0
        }
    };
    let wrote = match &ending {
        Some(AttemptResult::Completed(_)) => None,
        _ => match wrote(shared, attempt).await {
            Ok(wrote) => Some(wrote),
            Err(error) => {
                tracing::warn!(error = %with_causes(&error), "what the attempt wrote was not kept");
                None
            }
        },
    };
    Executed { ending, wrote }
}

/// Stores what an attempt wrote.
async fn wrote(shared: &Shared, attempt: &Accepted) -> Result<StoredStreams, mc_content::Error> {
    StoredStreams::store(&shared.parts.content, &attempt.logs, attempt.key.as_ref()).await
}

/// How the attempt ended; `None` if it left a checkpoint, or was stopped because the node shuts down.
async fn ending(shared: &Shared, attempt: &Accepted, taken: &Arc<Taken>) -> Option<AttemptResult> {
    if attempt.spec.task.determinism != Determinism::Deterministic {
        let reason = "relaxed tasks run on the machine of their owner only: mc-wasm run --relaxed";
        return Some(AttemptResult::Failed(FailureReason::Rejected {
            code: None,
            message: reason.to_owned(),
        }));
    }
    // If the executor panics, the coordinator is told at once, instead of waiting for the lease to expire.
    let work = AssertUnwindSafe(run(shared, attempt, taken)).catch_unwind();
    let result = tokio::select! {
        biased;
        result = work => result.unwrap_or_else(|panic| {
            let reason = panic_message(&*panic);
            Err(NotDone::Panicked { reason }.into())
        }),
        // The same token stops the task itself. This branch ends a fetch.
        () = stopped_for_long(attempt) => Err(ExecutionError::Cancelled),
    };
    match result {
        Ok(Finished::Ended(ended)) => match ended.completion {
            Some(completion) => Some(AttemptResult::Completed(Box::new(completion))),
            None => Some(AttemptResult::Failed(FailureReason::Infrastructure {
                code: None,
                message: "no outcome was stated".to_owned(),
            })),
        },
        Ok(Finished::Left(_)) => None,
        Err(ExecutionError::Cancelled) if shared.closing.is_cancelled() => None,
        Err(ExecutionError::Cancelled) => Some(AttemptResult::Cancelled),
        Err(error) => {
            if let ExecutionError::Threads(NotDone::Panicked { reason }) = &error {
                shared.attempts.panicked("guest", reason);
            }
            Some(AttemptResult::Failed(reason(
                &error,
                taken.was_crowded_out(),
            )))
        }
    }
}

/// The reason for which an attempt has no outcome. An attempt that was crowded out has not failed, nor has this machine.
fn reason(error: &ExecutionError, was_crowded_out: bool) -> FailureReason {
    let (code, message) = (error.code(), with_causes(error));
    match error {
        ExecutionError::Timeout { .. } => FailureReason::Timeout,
        _ if error.is_tasks_fault() => FailureReason::Rejected { code, message },
        _ => FailureReason::Infrastructure {
            code: match was_crowded_out {
                true => Some(ErrorCode::Overloaded),
                false => code,
            },
            message,
        },
    }
}

/// Returns a while after the attempt was stopped, when a guest should have ended.
async fn stopped_for_long(attempt: &Accepted) {
    attempt.controls.cancel.cancelled().await;
    tokio::time::sleep(Duration::from_millis(500)).await;
}

async fn run(
    shared: &Shared,
    attempt: &Accepted,
    taken: &Arc<Taken>,
) -> Result<Finished, ExecutionError> {
    let task = &attempt.spec.task;
    let executor = shared.parts.executors.of(task.kind.name())?;
    let blocks: Arc<dyn Blocks> = Arc::new(AttemptBlocks::new(&shared.parts.content, attempt));
    let goes_on = !attempt.checkpoints.is_empty() || attempt.spec.checkpoint_every.is_some();
    let need = if goes_on { Need::GoOn } else { Need::Run };
    let prepared = executor.prepare(task, need, &blocks).await?;
    if !prepared.can_checkpoint() {
        attempt.controls.cannot_stop.cancel();
    }
    let (key, task_cid) = (attempt.key.clone(), attempt.known.task);
    let room = ScratchRoom(Arc::clone(taken));
    let watch = Reporting { shared, attempt };
    let context = AttemptContext {
        inputs: TaskInputs::Declared(DeclaredInputs::of_task(task, task_cid, key.as_ref())),
        blocks,
        key,
        streams: Streams::Files(attempt.logs.clone()),
        storage: Some(Arc::new(Spill::new(shared.options.scratch.clone(), room))),
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

/// Tells this node and the coordinator about the progress of an attempt.
struct Reporting<'a> {
    shared: &'a Shared,
    attempt: &'a Accepted,
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
            match coordinators.ask(&*self.shared.parts.peers, request).await {
                Ok(Response::Recorded | Response::Stale | Response::Cancelled) => return,
                other => tracing::debug!(?other, position, "checkpoint not recorded"),
            }
        }
    }

    fn lost(&self, position: u64, error: &CheckpointError) {
        tracing::warn!(error = %with_causes(error), position, "a checkpoint was lost");
        if let CheckpointError::Threads(NotDone::Panicked { reason }) = error {
            self.shared.attempts.panicked("checkpoint", reason);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_the_same_on_every_machine_is_not_tried_again() {
        let message = "no luck".to_owned();
        let machine = reason(&ExecutionError::Machine(message.clone()), false);
        let code = None;
        let tried_again = FailureReason::Infrastructure {
            code,
            message: message.clone(),
        };
        assert_eq!(machine, tried_again);
        let crowded_out = reason(&ExecutionError::Machine(message.clone()), true);
        let code = Some(ErrorCode::Overloaded);
        assert_eq!(crowded_out, FailureReason::Infrastructure { code, message });
        let message = "not a file".to_owned();
        let input = reason(&ExecutionError::Unusable(message.clone()), true);
        let code = Some(ErrorCode::CorruptContent);
        assert_eq!(input, FailureReason::Rejected { code, message });
        let none = std::io::Error::other("too many");
        let no_thread = reason(&ExecutionError::from(NotDone::NoThread(none)), false);
        assert!(
            matches!(&no_thread, FailureReason::Infrastructure { message, .. } if message.ends_with(": too many")),
            "{no_thread:?}"
        );
        let after = Duration::from_secs(1);
        let late = reason(&ExecutionError::Timeout { after }, true);
        assert_eq!(late, FailureReason::Timeout);
    }
}
