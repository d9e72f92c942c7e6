//! A kind of task that does what its first argument says.
//!
//! | argument | what it does |
//! |---|---|
//! | `ends` | ends at once |
//! | `waits` | goes on until it is called off, or leaves; it can be stopped |
//! | `stays` | the same, but cannot be stopped |
//! | `panics` | panics |
//! | `prints N` | prints so many bytes, and waits |
//! | `fills N` | writes files that take so many pages of disk, and waits |

use async_trait::async_trait;
use mc_execution::{
    AttemptContext, Blocks, Controls, Ended, ExecutionError, Executor, Finished, Leaves, Need,
    Prepared, StoppedTask, Streams, Watch,
};
use mc_types::{Cid, Completion, KindName, Meter, Outcome, TaskSpec, Termination, Usage, cid};
use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

/// What a task that panics says.
pub(crate) const PANIC: &str = "out of luck";

/// The checkpoint that a task leaves.
pub(crate) fn checkpoint() -> Cid {
    cid::of(cid::DAG_CBOR, b"checkpoint")
}

/// Runs such tasks, and counts them.
#[derive(Debug, Default)]
pub(crate) struct Tasks(Arc<Counts>);

#[derive(Debug, Default)]
struct Counts {
    running: AtomicUsize,
    most: AtomicUsize,
}

impl Tasks {
    /// How many run.
    pub(crate) fn running(&self) -> usize {
        self.0.running.load(Ordering::Relaxed)
    }

    /// How many ran together at most.
    pub(crate) fn most(&self) -> usize {
        self.0.most.load(Ordering::Relaxed)
    }
}

#[async_trait]
impl Executor for Tasks {
    fn kind(&self) -> KindName {
        KindName::Wasm
    }

    fn ready(&self, _: &TaskSpec, _: Need) -> Option<Box<dyn Prepared>> {
        None
    }

    async fn prepare(
        &self,
        task: &TaskSpec,
        _: Need,
        _: &Arc<dyn Blocks>,
    ) -> Result<Box<dyn Prepared>, ExecutionError> {
        let says = task.args.first().unwrap().as_str();
        let (verb, amount) = says.split_once(' ').unwrap_or((says, "0"));
        Ok(Box::new(Script {
            verb: verb.to_owned(),
            amount: amount.parse().unwrap(),
            counts: Arc::clone(&self.0),
        }))
    }

    async fn close(&self) {}
}

/// What one task does.
struct Script {
    verb: String,
    amount: usize,
    counts: Arc<Counts>,
}

/// A task that runs.
struct Counted(Arc<Counts>);

impl Counted {
    fn new(counts: Arc<Counts>) -> Self {
        let running = counts.running.fetch_add(1, Ordering::Relaxed) + 1;
        counts.most.fetch_max(running, Ordering::Relaxed);
        Self(counts)
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.running.fetch_sub(1, Ordering::Relaxed);
    }
}

#[async_trait]
impl Prepared for Script {
    fn can_checkpoint(&self) -> bool {
        self.verb != "stays"
    }

    async fn run(self: Box<Self>, cx: AttemptContext<'_>) -> Result<Finished, ExecutionError> {
        let _counted = Counted::new(Arc::clone(&self.counts));
        let AttemptContext {
            streams,
            storage,
            controls,
            leaves,
            watch,
            ..
        } = cx;
        watch.begins();
        match self.verb.as_str() {
            "ends" => return Ok(ended(leaves)),
            "panics" => panic!("{PANIC}"),
            "prints" => print(&streams, self.amount),
            "fills" => {
                let storage = storage.as_ref().unwrap();
                let mut pages = (0..self.amount).map(|_| storage.allocate());
                if pages.any(|page| page.is_err()) {
                    return Err(ExecutionError::Machine("no page is left".to_owned()));
                }
            }
            _ => {}
        }
        wait(&controls, watch, self.can_checkpoint()).await
    }
}

fn print(streams: &Streams, bytes: usize) {
    let Streams::Files(files) = streams else {
        panic!("what attempts print is kept in files");
    };
    files.create().unwrap();
    std::fs::write(&files.stdout, vec![b'x'; bytes]).unwrap();
}

/// Goes on until it is called off, or leaves if it can.
async fn wait(
    controls: &Controls,
    watch: &dyn Watch,
    can_stop: bool,
) -> Result<Finished, ExecutionError> {
    loop {
        tokio::select! {
            biased;
            () = controls.cancel.cancelled() => return Err(ExecutionError::Cancelled),
            () = controls.leaving.cancelled(), if can_stop => {
                watch.stored(checkpoint(), 7).await;
                let checkpoint = Ok((checkpoint(), 7));
                return Ok(Finished::Left(StoppedTask { checkpoint }));
            }
            () = controls.stop_now.notified(), if can_stop => watch.stored(checkpoint(), 5).await,
        }
    }
}

fn ended(leaves: Leaves) -> Finished {
    let Leaves::Stored { task } = leaves else {
        panic!("what attempts leave is stored");
    };
    let (end, usage, empty) = (
        Termination::Exited { code: 0 },
        Usage::default(),
        cid::of(cid::RAW, b""),
    );
    let outcome = Outcome {
        task,
        end: end.clone(),
        stdout: empty,
        stderr: empty,
        outputs: empty,
        dirs: BTreeMap::new(),
        fuel: 1,
        meter: Meter::Operators1,
    };
    let completion = Completion {
        outcome_cid: cid::of(cid::DAG_CBOR, b"outcome"),
        outcome,
        usage,
    };
    Finished::Ended(Box::new(Ended {
        end,
        usage,
        meter: Meter::Operators1,
        stdout: Vec::new(),
        stderr: Vec::new(),
        world: None,
        completion: Some(completion),
    }))
}
