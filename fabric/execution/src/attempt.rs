//! One attempt: what its caller gives it, and its result.

use crate::{blocks::Blocks, checkpoint::CheckpointError, streams::Streams, world::TaskInputs};
use async_trait::async_trait;
use mc_content::TaskKey;
use mc_types::{CheckpointEvery, Cid, Completion, Meter, Termination, Usage};
use mc_wasi::{Host, Storage};
use std::{collections::VecDeque, sync::Arc, time::Duration};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

/// What an attempt is given besides its task.
pub struct AttemptContext<'a> {
    /// What the task sees when it begins.
    pub inputs: TaskInputs,
    /// Blocks of what it is given, and of what it leaves.
    pub blocks: Arc<dyn Blocks>,
    /// The key of a private task.
    pub key: Option<TaskKey>,
    /// Where its standard output and standard error go.
    pub streams: Streams,
    /// Where to keep files that exceed the room in memory. If absent, they stay in memory nevertheless.
    pub storage: Option<Arc<dyn Storage>>,
    /// After which time it is killed.
    pub timeout: Option<Duration>,
    /// By what it is influenced while it runs.
    pub controls: Controls,
    /// Where it resumes, and when it is stopped; absent if it runs from beginning to end.
    pub checkpoints: Option<Checkpoints>,
    /// What becomes of what it leaves.
    pub leaves: Leaves,
    /// Who is told how it goes.
    pub watch: &'a dyn Watch,
}

impl std::fmt::Debug for AttemptContext<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("AttemptContext")
            .field("checkpoints", &self.checkpoints)
            .field("leaves", &self.leaves)
            .finish_non_exhaustive()
    }
}

/// Signals to a running attempt from outside. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct Controls {
    /// Ends it when cancelled.
    pub cancel: CancellationToken,
    /// Has it end with a checkpoint when cancelled.
    pub leaving: CancellationToken,
    /// Asks for a checkpoint.
    pub stop_now: Arc<Notify>,
}

/// From where an attempt goes on, and when it is stopped.
#[derive(Debug, Clone)]
pub struct Checkpoints {
    /// The task's CID.
    pub task: Cid,
    /// From where it goes on.
    pub start: Start,
    /// When it is stopped.
    pub when: When,
    /// The most bytes of files in a checkpoint, which is made in memory. A task that has written more runs on without
    /// one.
    pub most_file_bytes: u64,
}

/// From where an attempt goes on.
#[derive(Debug, Clone)]
pub enum Start {
    /// From its beginning.
    Anew,
    /// From this checkpoint and nowhere else.
    At(Cid),
    /// Resume from the first of these that is available and fits; start from the beginning if none does.
    Newest(VecDeque<Cid>),
}

/// When an attempt is stopped.
#[derive(Debug, Clone, Copy)]
pub enum When {
    /// At this interval, if there is one, and on request.
    Every(Option<CheckpointEvery>),
    /// At the first site beyond a position, and then end the run.
    LeaveAt(u64),
    /// Never.
    Never,
}

/// Where a task's results go: its files, and the output on its streams.
#[derive(Debug, Clone, Copy)]
pub enum Leaves {
    /// It is stored, and [`Ended::completion`] names it.
    Stored {
        /// The task's CID.
        task: Cid,
    },
    /// It is in [`Ended`], for whoever has the task run.
    Kept,
}

/// Is told how an attempt goes.
#[async_trait]
pub trait Watch: Send + Sync {
    /// The task begins, or goes on.
    fn begins(&self) {}

    /// A checkpoint is stored. The next one waits until this returns.
    async fn stored(&self, _checkpoint: Cid, _position: u64) {}

    /// A checkpoint was lost; the task runs on, unless it was asked to leave.
    fn lost(&self, _position: u64, _error: &CheckpointError) {}
}

/// Nobody who is told.
#[derive(Debug, Clone, Copy)]
pub struct Unwatched;

impl Watch for Unwatched {}

/// The result of an attempt, if the machine did not fail.
#[derive(Debug)]
pub enum Finished {
    /// The task came to its end.
    Ended(Box<Ended>),
    /// It was stopped, to go on elsewhere.
    Left(StoppedTask),
}

/// A task that came to its end.
#[derive(Debug)]
pub struct Ended {
    /// How.
    pub end: Termination,
    /// What it used.
    pub usage: Usage,
    /// What counted the fuel.
    pub meter: Meter,
    /// Its standard output, if kept in memory.
    pub stdout: Vec<u8>,
    /// What it wrote to standard error, if that is.
    pub stderr: Vec<u8>,
    /// Its world at the end, with the files that it wrote; absent if it saw this machine's own.
    pub world: Option<Host>,
    /// Its outcome, if its results are [stored](Leaves::Stored).
    pub completion: Option<Completion>,
}

/// A task that was stopped, to go on elsewhere.
#[derive(Debug)]
pub struct StoppedTask {
    /// The checkpoint that it left, and its position, or why the checkpoint was lost.
    pub checkpoint: Result<(Cid, u64), CheckpointError>,
}
