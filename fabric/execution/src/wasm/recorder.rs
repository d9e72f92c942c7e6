//! Taking checkpoints of a guest: when, and where they go.

use super::{copies::Buffer, shared::Shared};
use crate::{
    attempt::{AttemptContext, Checkpoints, Controls, Watch, When},
    blocks::Blocks,
    checkpoint::{CheckpointError, Output, Stream, Writer},
    streams::Streams,
};
use mc_content::{Block, Error, Key, TaskKey};
use mc_engine::{Keeper, Next, RunError, Saved, StopSignal, Stopped};
use mc_types::{CheckpointEvery, Cid};
use std::{io::Cursor, path::Path, sync::Arc, time::Duration};
use tokio::{
    runtime::Handle,
    sync::{OwnedSemaphorePermit, Semaphore, mpsc},
    time::{Instant, sleep_until},
};
use tokio_util::sync::CancellationToken;

/// Blocks that are stored together.
const GROUP_BLOCKS: usize = 1024;
/// Bytes that are.
const GROUP_BYTES: usize = 16 << 20;

/// The state of a guest, and its output since it began here, if kept in memory.
struct Taken {
    saved: Saved,
    stdout: Vec<u8>,
    stderr: Vec<u8>,
}

/// A state, with what it has until it is stored.
struct Held {
    taken: Taken,
    /// The only one of its guest.
    place: OwnedSemaphorePermit,
    /// Among the copies of all guests.
    room: OwnedSemaphorePermit,
}

/// Hands the states of a guest on.
struct Hand {
    states: mpsc::Sender<Held>,
    /// One, so that there is only one copy of a guest's memory at a time.
    place: Arc<Semaphore>,
    runtime: Handle,
    buffer: Buffer,
    when: When,
    leaving: CancellationToken,
}

impl Hand {
    /// Copies the state once the previous one is stored and there is room for the copy. Returns nothing once storing has
    /// ended.
    fn copy(&self, stopped: &Stopped<'_>) -> Option<Held> {
        let bytes = stopped.memories.iter().map(|memory| memory.len()).sum();
        let place = Arc::clone(&self.place).acquire_owned();
        let both = async {
            let place = place.await.ok()?;
            let (last, room) = self.buffer.take(bytes).await.ok()?;
            Some((place, last, room))
        };
        let (place, last, room) = self.runtime.block_on(async {
            tokio::select! {
                biased;
                () = self.states.closed() => None,
                both = both => both,
            }
        })?;
        let taken = Taken {
            saved: stopped.save(last),
            stdout: stopped.stdout.to_vec(),
            stderr: stopped.stderr.to_vec(),
        };
        Some(Held { taken, place, room })
    }
}

/// The next position at which to stop a task that is at `position`.
fn next_stop(when: When, position: u64) -> Option<u64> {
    match when {
        When::Every(Some(CheckpointEvery::Operators(operators))) => {
            let operators = operators.max(1);
            Some(
                (position / operators)
                    .saturating_add(1)
                    .saturating_mul(operators),
            )
        }
        When::Every(_) | When::Never => None,
        When::LeaveAt(stop) => Some(stop),
    }
}

impl Keeper for Hand {
    fn keep(&mut self, stopped: &Stopped<'_>) -> Result<Next, RunError> {
        let nobody = || RunError::Host("nobody takes checkpoints".to_owned());
        // A guest is stopped no faster than its states are stored.
        let held = self.copy(stopped).ok_or_else(nobody)?;
        let handed = self.states.blocking_send(held);
        handed.map_err(|_| nobody())?;
        if self.leaving.is_cancelled() || matches!(self.when, When::LeaveAt(_)) {
            return Ok(Next::Leave);
        }
        Ok(Next::GoOn {
            until: next_stop(self.when, stopped.position),
        })
    }
}

/// Stores the checkpoints of an attempt and says so.
pub(super) struct CheckpointRecorder<'a> {
    shared: &'a Shared,
    blocks: &'a Arc<dyn Blocks>,
    streams: &'a Streams,
    controls: &'a Controls,
    watch: &'a dyn Watch,
    of: &'a Checkpoints,
    component: Cid,
    key: Option<Key>,
    writer: Writer,
    /// Shared by all programs of the attempt: a request that reaches a program as it leaves counts for the program that
    /// continues.
    stop_signal: StopSignal,
    /// The task's output before it began here, if its streams are kept in memory.
    before: Arc<[Vec<u8>; 2]>,
    /// The newest that is stored, and its position.
    pub(super) newest: Option<(Cid, u64)>,
    /// Why the last one was lost, if it was.
    pub(super) lost: Option<CheckpointError>,
}

impl<'a> CheckpointRecorder<'a> {
    /// A recorder that has stored nothing yet. None for a task without checkpoints, or that is never stopped.
    pub(super) fn new(
        shared: &'a Shared,
        component: Cid,
        cx: &'a AttemptContext<'_>,
    ) -> Option<Self> {
        let of = cx.checkpoints.as_ref()?;
        if matches!(of.when, When::Never) {
            return None;
        }
        let key = cx.key.as_ref().map(TaskKey::checkpoints);
        Some(Self {
            shared,
            blocks: &cx.blocks,
            streams: &cx.streams,
            controls: &cx.controls,
            watch: cx.watch,
            of,
            component,
            writer: Writer::new(of.task, component, key.as_ref()),
            key,
            stop_signal: StopSignal::default(),
            before: Arc::default(),
            newest: None,
            lost: None,
        })
    }

    /// What the engine needs to stop a guest that resumes at `position` with the output `before`, and what
    /// [`Self::take`] needs for it.
    pub(super) fn begin(
        &mut self,
        position: u64,
        before: Arc<[Vec<u8>; 2]>,
    ) -> (mc_engine::Checkpoints, Taking) {
        self.before = before;
        let (states, saved) = mpsc::channel(1);
        let stop_signal = self.stop_signal.clone();
        let buffer = self.shared.copies.buffer();
        let hand = Hand {
            states,
            place: Arc::new(Semaphore::new(1)),
            runtime: Handle::current(),
            buffer: buffer.clone(),
            when: self.of.when,
            leaving: self.controls.leaving.clone(),
        };
        let checkpoints = mc_engine::Checkpoints {
            first: next_stop(self.of.when, position),
            stop_signal: stop_signal.clone(),
            keeper: Box::new(hand),
        };
        let taking = Taking {
            saved,
            buffer,
            stop_signal,
        };
        (checkpoints, taking)
    }

    /// Raises the stop signal when it is time, and keeps what comes, until the guest has ended or left.
    pub(super) async fn take(&mut self, mut taking: Taking) {
        let pause = match self.of.when {
            When::Every(Some(CheckpointEvery::Millis(millis))) => {
                Some(Duration::from_millis(millis))
            }
            _ => None,
        };
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
                taken = taking.saved.recv() => match taken {
                    Some(Held { taken, place, room }) => {
                        let position = taken.saved.position;
                        let taken = Arc::new(taken);
                        let stored = self.store(&taken).await;
                        if let Ok(taken) = Arc::try_unwrap(taken) {
                            // The world is dropped: its files may be on a disk, where they would take room.
                            taking.buffer.give(taken.saved.memories, room);
                        }
                        drop(place);
                        self.keep(stored, position).await;
                        due = pause.map(|pause| Instant::now() + pause);
                    }
                    None => return,
                },
                () = time => {
                    taking.stop_signal.raise();
                    // The next one is due when this one is stored.
                    due = None;
                }
                () = self.controls.stop_now.notified() => taking.stop_signal.raise(),
                () = self.controls.leaving.cancelled(), if !is_leaving => {
                    taking.stop_signal.raise();
                    is_leaving = true;
                }
            }
        }
    }

    async fn keep(&mut self, stored: Result<Cid, CheckpointError>, position: u64) {
        self.lost = None;
        match stored {
            Ok(cid) => {
                self.newest = Some((cid, position));
                self.watch.stored(cid, position).await;
            }
            // The task runs on; if it must start again, it resumes from an older checkpoint.
            Err(error) => {
                self.watch.lost(position, &error);
                self.lost = Some(error);
            }
        }
    }

    async fn store(&mut self, taken: &Arc<Taken>) -> Result<Cid, CheckpointError> {
        let stored = self.write(taken).await;
        if stored.is_err() {
            // What it believes to be stored may not be.
            self.writer = self.new_writer();
        }
        stored
    }

    /// One that has written nothing yet.
    fn new_writer(&self) -> Writer {
        Writer::new(self.of.task, self.component, self.key.as_ref())
    }

    async fn write(&mut self, taken: &Arc<Taken>) -> Result<Cid, CheckpointError> {
        let file_bytes = taken.saved.world.file_bytes();
        if file_bytes > self.of.most_file_bytes {
            let reason = format!("the task's files have {file_bytes} bytes");
            return Err(CheckpointError::Encode(reason));
        }
        let mut group = Group {
            blocks: Arc::clone(self.blocks),
            runtime: Handle::current(),
            waiting: Vec::new(),
            bytes: 0,
            failed: None,
        };
        let (taken, before) = (Arc::clone(taken), Arc::clone(&self.before));
        let streams = self.streams.clone();
        let new = self.new_writer();
        let mut writer = std::mem::replace(&mut self.writer, new);
        let encode = move || {
            let encoded = encode(&mut writer, &taken, &before, &streams, &mut group);
            // The guest may reuse the copy as soon as this has ended.
            drop(taken);
            (writer, group, encoded)
        };
        let (writer, group, encoded) = self.shared.encoders.run(encode).await?;
        self.writer = writer;
        let root = encoded?;
        let cid = root.0;
        group.end(root).await?;
        Ok(cid)
    }
}

/// Makes blocks of a state and of the guest's output so far. Returns the root.
fn encode(
    writer: &mut Writer,
    taken: &Taken,
    before: &[Vec<u8>; 2],
    streams: &Streams,
    group: &mut Group,
) -> Result<(Cid, Vec<u8>), CheckpointError> {
    let [stdout_before, stderr_before] = before;
    let (stdout_bytes, stderr_bytes) = taken.saved.world.output_bytes();
    let (mut stdout, mut stderr) = match streams {
        Streams::Files(files) => (
            written(&files.stdout, stdout_bytes)?,
            written(&files.stderr, stderr_bytes)?,
        ),
        Streams::Memory | Streams::Inherit | Streams::Copy => (
            in_memory(stdout_before, &taken.stdout),
            in_memory(stderr_before, &taken.stderr),
        ),
    };
    let output = Output {
        stdout: (&mut *stdout, stdout_bytes),
        stderr: (&mut *stderr, stderr_bytes),
    };
    writer.write(&taken.saved, output, &mut |block| group.add(block))
}

/// The way from a guest to its recorder.
pub(super) struct Taking {
    saved: mpsc::Receiver<Held>,
    buffer: Buffer,
    stop_signal: StopSignal,
}

/// A file that still grows. None while it is empty.
fn written(path: &Path, bytes: u64) -> std::io::Result<Box<dyn Stream>> {
    if bytes == 0 {
        return Ok(Box::new(std::io::empty()));
    }
    Ok(Box::new(std::fs::File::open(path)?))
}

fn in_memory(before: &[u8], here: &[u8]) -> Box<dyn Stream> {
    Box::new(Cursor::new([before, here].concat()))
}

/// Blocks that are stored together, as soon as there are enough of them.
struct Group {
    blocks: Arc<dyn Blocks>,
    runtime: Handle,
    waiting: Vec<Block>,
    bytes: usize,
    /// The first error; after it, nothing more is stored.
    failed: Option<Error>,
}

impl Group {
    /// Takes a block. This blocks, so a runtime's own threads must not call it.
    fn add(&mut self, (cid, bytes): (Cid, Vec<u8>)) {
        if self.failed.is_some() {
            return;
        }
        self.bytes += bytes.len();
        match Block::new(cid, bytes.into()) {
            Ok(block) => self.waiting.push(block),
            Err(error) => {
                self.failed = Some(error);
                return;
            }
        }
        if self.bytes >= GROUP_BYTES || self.waiting.len() >= GROUP_BLOCKS {
            self.bytes = 0;
            let put = self.blocks.put(std::mem::take(&mut self.waiting));
            self.failed = self.runtime.block_on(put).err();
        }
    }

    /// Stores the rest, and a last block.
    async fn end(mut self, (cid, bytes): (Cid, Vec<u8>)) -> Result<(), Error> {
        if let Some(error) = self.failed {
            return Err(error);
        }
        self.waiting.push(Block::new(cid, bytes.into())?);
        self.blocks.put(self.waiting).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stops_by_operators_are_the_same_wherever_a_task_goes_on() {
        let every = When::Every(Some(CheckpointEvery::Operators(100)));
        assert_eq!(next_stop(every, 0), Some(100));
        assert_eq!(next_stop(every, 117), Some(200));
        let each_time = When::Every(Some(CheckpointEvery::Millis(5)));
        assert_eq!(next_stop(each_time, 117), None);
        assert_eq!(next_stop(every, u64::MAX), Some(u64::MAX));
        assert_eq!(next_stop(When::LeaveAt(7), 3), Some(7));
    }
}
