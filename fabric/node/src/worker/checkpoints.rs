//! Taking checkpoints of an attempt: when, and where they go.

use super::{Inner, attempt::Attempt};
use crate::{
    checkpoint::{Output, Writer},
    private::TaskKey,
};
use mc_content::Block;
use mc_engine::{Bell, Checkpoints, Keeper, Next, RunError, Saved, Spare, Stopped};
use mc_net::message::{Request, Response};
use mc_types::{CheckpointEvery, Cid};
use std::{path::Path, time::Duration};
use tokio::{
    io::AsyncReadExt,
    sync::mpsc,
    time::{Instant, sleep_until},
};
use tokio_util::sync::CancellationToken;

/// How often a checkpoint is reported to a coordinator that does not answer.
const REPORTS: u32 = 3;
/// Blocks that are stored together.
const GROUP_BLOCKS: usize = 1024;

/// Hands the states of a guest on.
struct Hand {
    states: mpsc::Sender<Saved>,
    spare: Spare,
    every: Option<CheckpointEvery>,
    leaving: CancellationToken,
}

/// The next position at which a task is stopped that has come to `position`.
fn next_stop(every: Option<CheckpointEvery>, position: u64) -> Option<u64> {
    match every {
        Some(CheckpointEvery::Operators(operators)) => {
            let operators = operators.max(1);
            Some(
                (position / operators)
                    .saturating_add(1)
                    .saturating_mul(operators),
            )
        }
        _ => None,
    }
}

impl Keeper for Hand {
    fn keep(&mut self, stopped: &Stopped<'_>) -> Result<Next, RunError> {
        // Waits while the one before is being stored: a guest is not stopped more often than that.
        let handed = self.states.blocking_send(stopped.save(self.spare.take()));
        handed.map_err(|_| RunError::Host("nobody takes checkpoints".to_owned()))?;
        if self.leaving.is_cancelled() {
            return Ok(Next::Leave);
        }
        Ok(Next::GoOn {
            until: next_stop(self.every, stopped.position),
        })
    }
}

/// Stores the checkpoints of an attempt and tells the coordinator of them.
pub(super) struct Shelf<'a> {
    inner: &'a Inner,
    attempt: &'a Attempt,
    writer: Writer,
    /// The newest that is stored.
    pub(super) newest: Option<Cid>,
}

impl<'a> Shelf<'a> {
    pub(super) fn new(inner: &'a Inner, attempt: &'a Attempt, task: Cid) -> Self {
        let key = attempt.key.as_ref().map(TaskKey::checkpoints);
        Self {
            inner,
            attempt,
            writer: Writer::new(task, attempt.spec.task.component, key.as_ref()),
            newest: None,
        }
    }

    /// What the engine needs to stop a guest that has come to `position`, and what makes it so.
    pub(super) fn checkpoints(&self, position: u64) -> (Checkpoints, Taking) {
        let (states, saved) = mpsc::channel(1);
        let every = self.attempt.spec.checkpoint_every;
        let bell = Bell::default();
        let spare = Spare::default();
        let hand = Hand {
            states,
            spare: spare.clone(),
            every,
            leaving: self.attempt.controls.leaving.clone(),
        };
        let checkpoints = Checkpoints {
            first: next_stop(every, position),
            bell: bell.clone(),
            keeper: Box::new(hand),
        };
        (checkpoints, Taking { saved, spare, bell })
    }

    /// Rings the bell when it is time, and keeps what comes, until the guest has ended or left.
    pub(super) async fn take(&mut self, mut taking: Taking) {
        let pause = match self.attempt.spec.checkpoint_every {
            Some(CheckpointEvery::Millis(millis)) => Some(Duration::from_millis(millis)),
            _ => None,
        };
        let leaving = self.attempt.controls.leaving.clone();
        let mut due = pause.map(|pause| Instant::now() + pause);
        let mut is_leaving = false;
        loop {
            let time = async {
                match due {
                    Some(due) => sleep_until(due).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                saved = taking.saved.recv() => match saved {
                    Some(saved) => {
                        self.keep(&saved).await;
                        taking.spare.give(saved);
                        due = pause.map(|pause| Instant::now() + pause);
                    }
                    None => return,
                },
                () = time => {
                    taking.bell.ring();
                    // The next one is due when this one is stored.
                    due = None;
                }
                () = self.attempt.controls.stop_now.notified() => taking.bell.ring(),
                () = leaving.cancelled(), if !is_leaving => {
                    taking.bell.ring();
                    is_leaving = true;
                }
            }
        }
    }

    async fn keep(&mut self, saved: &Saved) {
        let position = saved.position;
        match self.store(saved).await {
            Ok(cid) => {
                self.newest = Some(cid);
                self.report(cid, position).await;
            }
            // The task goes on; should it have to start again, it does so from an older one.
            Err(error) => tracing::warn!(%error, position, "a checkpoint was lost"),
        }
    }

    async fn store(&mut self, saved: &Saved) -> Result<Cid, crate::checkpoint::CheckpointError> {
        let (stdout, stderr) = saved.world.output_bytes();
        let stdout = beginning(&self.attempt.logs.stdout, stdout).await?;
        let stderr = beginning(&self.attempt.logs.stderr, stderr).await?;
        let output = Output {
            stdout: &stdout,
            stderr: &stderr,
        };
        let mut blocks = Vec::new();
        let (cid, bytes) = tokio::task::block_in_place(|| {
            self.writer
                .write(saved, output, &mut |block| blocks.push(block))
        })?;
        blocks.push((cid, bytes));
        let mut blocks = blocks
            .into_iter()
            .map(|(cid, bytes)| Block::new(cid, bytes.into()))
            .peekable();
        while blocks.peek().is_some() {
            let group = blocks
                .by_ref()
                .take(GROUP_BLOCKS)
                .collect::<Result<Vec<_>, _>>()?;
            self.inner.content.put(group).await?;
        }
        Ok(cid)
    }

    async fn report(&self, cid: Cid, position: u64) {
        for _ in 0..REPORTS {
            let request = Request::Checkpoint {
                job: self.attempt.lease.job,
                token: self.attempt.lease.token,
                cid,
                position,
            };
            let coordinators = &self.attempt.coordinators;
            match coordinators.ask(&self.inner.peers, request).await {
                Ok(Response::Recorded | Response::Stale | Response::Cancelled) => return,
                other => tracing::debug!(?other, position, "checkpoint not recorded"),
            }
        }
    }
}

/// The way from a guest to its shelf.
pub(super) struct Taking {
    saved: mpsc::Receiver<Saved>,
    spare: Spare,
    bell: Bell,
}

/// The first `bytes` of a file that is still written to.
async fn beginning(path: &Path, bytes: u64) -> std::io::Result<Vec<u8>> {
    let mut all = Vec::new();
    if bytes > 0 {
        let file = tokio::fs::File::open(path).await?;
        file.take(bytes).read_to_end(&mut all).await?;
    }
    Ok(all)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stops_by_operators_are_the_same_wherever_a_task_goes_on() {
        let every = Some(CheckpointEvery::Operators(100));
        assert_eq!(next_stop(every, 0), Some(100));
        assert_eq!(next_stop(every, 117), Some(200));
        assert_eq!(next_stop(Some(CheckpointEvery::Millis(5)), 117), None);
        assert_eq!(next_stop(every, u64::MAX), Some(u64::MAX));
    }
}
