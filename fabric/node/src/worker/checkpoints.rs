//! Taking checkpoints of an attempt: when, and where they go.

use super::{Inner, attempt::Attempt, log::LogFiles};
use crate::{
    checkpoint::{CheckpointError, Output, Stream, Writer},
    content::Content,
    private::TaskKey,
    threads::NotDone,
};
use mc_content::{Block, Error};
use mc_engine::{Bell, Checkpoints, Keeper, Next, RunError, Saved, Spare, Stopped};
use mc_protocol::{Request, Response};
use mc_types::{CheckpointEvery, Cid};
use std::{path::Path, sync::Arc, time::Duration};
use tokio::{
    runtime::Handle,
    sync::{OwnedSemaphorePermit, Semaphore, mpsc},
    time::{Instant, sleep_until},
};
use tokio_util::sync::CancellationToken;

/// How often a checkpoint is reported to a coordinator that does not answer.
const REPORTS: u32 = 3;
/// Most bytes of files in a checkpoint, which is made in memory: as many as tasks may usually write. A task that has written
/// more goes on without one.
const MAX_FILE_BYTES: u64 = 1 << 30;
/// Blocks that are stored together.
const GROUP_BLOCKS: usize = 1024;
/// Bytes that are.
const GROUP_BYTES: usize = 16 << 20;

/// Hands the states of a guest on.
struct Hand {
    states: mpsc::Sender<Held>,
    /// One, so that of a guest's memory there is one copy at a time.
    place: Arc<Semaphore>,
    runtime: Handle,
    spare: Spare,
    every: Option<CheckpointEvery>,
    leaving: CancellationToken,
}

/// A state, and the place that it has until it is stored.
type Held = (Saved, OwnedSemaphorePermit);

impl Hand {
    /// Waits until the state before is stored; there is no place any more once nobody stores them.
    fn place(&self) -> Option<OwnedSemaphorePermit> {
        let place = Arc::clone(&self.place).acquire_owned();
        self.runtime.block_on(async {
            tokio::select! {
                biased;
                () = self.states.closed() => None,
                place = place => place.ok(),
            }
        })
    }
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
        let nobody = || RunError::Host("nobody takes checkpoints".to_owned());
        // A guest is not stopped more often than its states are stored.
        let place = self.place().ok_or_else(nobody)?;
        let saved = stopped.save(self.spare.take());
        let handed = self.states.blocking_send((saved, place));
        handed.map_err(|_| nobody())?;
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
    pub(super) fn new(inner: &'a Inner, attempt: &'a Attempt) -> Self {
        Self {
            inner,
            attempt,
            writer: writer(attempt),
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
            place: Arc::new(Semaphore::new(1)),
            runtime: Handle::current(),
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
                    Some((saved, place)) => {
                        let position = saved.position;
                        let saved = Arc::new(saved);
                        let stored = self.store(&saved).await;
                        if let Ok(saved) = Arc::try_unwrap(saved) {
                            taking.spare.give(saved);
                        }
                        drop(place);
                        self.keep(stored, position).await;
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

    async fn keep(&mut self, stored: Result<Cid, CheckpointError>, position: u64) {
        match stored {
            Ok(cid) => {
                self.newest = Some(cid);
                let newest = Some((cid, position));
                self.attempt.controls.newest.send_replace(newest);
                self.report(cid, position).await;
            }
            // The task goes on; should it have to start again, it does so from an older one.
            Err(error) => tracing::warn!(%error, position, "a checkpoint was lost"),
        }
    }

    async fn store(&mut self, saved: &Arc<Saved>) -> Result<Cid, CheckpointError> {
        let stored = self.write(saved).await;
        if stored.is_err() {
            // What it believes to be stored may not be.
            self.writer = writer(self.attempt);
        }
        stored
    }

    async fn write(&mut self, saved: &Arc<Saved>) -> Result<Cid, CheckpointError> {
        let file_bytes = saved.world.file_bytes();
        if file_bytes > MAX_FILE_BYTES {
            let reason = format!("the task's files have {file_bytes} bytes");
            return Err(CheckpointError::Encode(reason));
        }
        let mut group = Group {
            content: self.inner.content.clone(),
            runtime: Handle::current(),
            blocks: Vec::new(),
            bytes: 0,
            failed: None,
        };
        let (saved, logs) = (Arc::clone(saved), self.attempt.logs.clone());
        let mut writer = std::mem::replace(&mut self.writer, writer(self.attempt));
        let encode = move || {
            let encoded = encode(&mut writer, &saved, &logs, &mut group);
            // The copy is the guest's again as soon as this has ended.
            drop(saved);
            (writer, group, encoded)
        };
        let encoded = self.inner.checkpoints.run(encode).await;
        let (writer, group, encoded) = encoded.map_err(|error| {
            if let NotDone::Panicked { reason } = &error {
                self.inner.attempts.panicked("checkpoint", reason);
            }
            CheckpointError::Encode(error.to_string())
        })?;
        self.writer = writer;
        let (cid, bytes) = encoded?;
        group.end((cid, bytes)).await?;
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

/// One that has written nothing yet.
fn writer(attempt: &Attempt) -> Writer {
    let key = attempt.key.as_ref().map(TaskKey::checkpoints);
    Writer::new(
        attempt.known.task,
        attempt.spec.task.component,
        key.as_ref(),
    )
}

/// Makes blocks of a state, with what the guest has written by then. Gives the root.
fn encode(
    writer: &mut Writer,
    saved: &Saved,
    logs: &LogFiles,
    group: &mut Group,
) -> Result<(Cid, Vec<u8>), CheckpointError> {
    let (stdout_bytes, stderr_bytes) = saved.world.output_bytes();
    let mut stdout = written(&logs.stdout, stdout_bytes)?;
    let mut stderr = written(&logs.stderr, stderr_bytes)?;
    let output = Output {
        stdout: (&mut *stdout, stdout_bytes),
        stderr: (&mut *stderr, stderr_bytes),
    };
    writer.write(saved, output, &mut |block| group.add(block))
}

/// The way from a guest to its shelf.
pub(super) struct Taking {
    saved: mpsc::Receiver<Held>,
    spare: Spare,
    bell: Bell,
}

/// A file that is still written to. There is none as long as nothing was.
fn written(path: &Path, bytes: u64) -> std::io::Result<Box<dyn Stream>> {
    if bytes == 0 {
        return Ok(Box::new(std::io::empty()));
    }
    Ok(Box::new(std::fs::File::open(path)?))
}

/// Blocks that are stored together, as soon as there are enough of them.
struct Group {
    content: Content,
    runtime: Handle,
    blocks: Vec<Block>,
    bytes: usize,
    /// What went wrong first; nothing is stored any more then.
    failed: Option<Error>,
}

impl Group {
    /// Takes a block. This blocks, and is not for a thread of the runtime's own.
    fn add(&mut self, (cid, bytes): (Cid, Vec<u8>)) {
        if self.failed.is_some() {
            return;
        }
        self.bytes += bytes.len();
        match Block::new(cid, bytes.into()) {
            Ok(block) => self.blocks.push(block),
            Err(error) => self.failed = Some(error),
        }
        if self.bytes >= GROUP_BYTES || self.blocks.len() >= GROUP_BLOCKS {
            self.bytes = 0;
            let put = self.content.put(std::mem::take(&mut self.blocks));
            self.failed = self.runtime.block_on(put).err();
        }
    }

    /// Stores the rest, and a last block.
    async fn end(mut self, (cid, bytes): (Cid, Vec<u8>)) -> Result<(), Error> {
        if let Some(error) = self.failed {
            return Err(error);
        }
        self.blocks.push(Block::new(cid, bytes.into())?);
        self.content.put(self.blocks).await
    }
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
