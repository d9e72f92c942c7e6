//! What checkpoints cost: copying the state, storing it each second, and going on from it.

use crate::{in_process::invocation, measurements::median};
use anyhow::{Context, Result, ensure};
use mc_artifacts::guest;
use mc_content::{Block, BlockSink, Store};
use mc_engine::{
    Checkpoints, Engine, Keeper, Need, Next, Options, Program, RunError, Saved, StopSignal, Stopped,
};
use mc_execution::checkpoint::{Output, Writer};
use mc_types::{
    Termination,
    cid::{self, RAW},
};
use serde_json::{Value, json};
use std::{
    io,
    sync::{Arc, Mutex, PoisonError, mpsc},
    time::{Duration, Instant},
};

const MEGABYTES: &str = "64";
const ROUNDS: &str = "120000";
const RUNS: usize = 3;
const EVERY: Duration = Duration::from_secs(1);

pub(crate) fn measure() -> Result<Value> {
    let engine = Engine::new(&Options::default())?;
    let (name, bytes) = ("working_set", std::fs::read(guest("working_set"))?);
    let component = cid::of(RAW, &bytes);
    let load = |need| engine.load(&component, &bytes, need).context(name);
    let (run, resumable) = (load(Need::Run)?, load(Need::Resume)?);
    let mut times = [const { Vec::new() }; 3];
    let mut stored = Stored::default();
    for _ in 0..RUNS {
        times[0].push(timed(&run, None)?);
        times[1].push(timed(&resumable, None)?);
        let keeping = Keeping::begin(component)?;
        times[2].push(timed(&resumable, Some(&keeping))?);
        stored = keeping.end()?;
    }
    let [plain, resumable_alone, each_second] = times.map(median);
    Ok(json!({
        "working_set_mib": 64,
        "run_s": plain,
        "resumable_s": resumable_alone,
        "each_second_s": each_second,
        "each_second_ratio": each_second / plain,
        "capture_gb_per_s": stored.capture_gb_per_s,
        "stored_bytes": stored.bytes,
        "resume": resume(&engine)?,
    }))
}

fn timed(program: &Program, keeping: Option<&Keeping>) -> Result<f64> {
    let mut invocation = invocation();
    invocation.args = vec![MEGABYTES.to_owned(), ROUNDS.to_owned()];
    let stop_signal = StopSignal::default();
    if let Some(keeping) = keeping {
        invocation.checkpoints = Some(Checkpoints {
            first: None,
            stop_signal: stop_signal.clone(),
            keeper: Box::new(keeping.hand()),
        });
    }
    let begun = Instant::now();
    let (done, ended) = mpsc::channel::<()>();
    let execution = std::thread::scope(|scope| {
        if keeping.is_some() {
            scope.spawn(move || {
                while ended.recv_timeout(EVERY) == Err(mpsc::RecvTimeoutError::Timeout) {
                    stop_signal.raise();
                }
            });
        }
        let execution = program.run(invocation);
        drop(done);
        execution
    })?;
    ensure!(
        execution.end == Termination::Exited { code: 0 },
        "the guest failed"
    );
    Ok(begun.elapsed().as_secs_f64())
}

/// What was stored of one run.
#[derive(Default)]
struct Stored {
    capture_gb_per_s: f64,
    /// Bytes of each checkpoint's blocks.
    bytes: Vec<usize>,
}

/// The memories of the last copy, to be overwritten by the next.
type Buffer = Arc<Mutex<Option<Vec<Vec<u8>>>>>;

/// Stores states on disk as a node does, on a thread of its own.
struct Keeping {
    states: mpsc::SyncSender<Saved>,
    buffer: Buffer,
    captures: Arc<Mutex<Vec<f64>>>,
    storing: std::thread::JoinHandle<Result<Vec<usize>>>,
    _dir: tempfile::TempDir,
}

struct Hand {
    states: mpsc::SyncSender<Saved>,
    buffer: Buffer,
    captures: Arc<Mutex<Vec<f64>>>,
}

impl Keeper for Hand {
    fn keep(&mut self, stopped: &Stopped<'_>) -> Result<Next, RunError> {
        let begun = Instant::now();
        let last = self
            .buffer
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        let saved = stopped.save(last);
        let bytes: usize = stopped.memories.iter().map(|memory| memory.len()).sum();
        let rate = bytes as f64 / 1e9 / begun.elapsed().as_secs_f64();
        self.captures
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(rate);
        let sent = self.states.send(saved);
        sent.map_err(|_| RunError::Host("nobody stores".to_owned()))?;
        Ok(Next::GoOn { until: None })
    }
}

impl Keeping {
    fn begin(task: mc_types::Cid) -> Result<Self> {
        let dir = tempfile::tempdir()?;
        let path = dir.path().to_owned();
        let (states, saved) = mpsc::sync_channel::<Saved>(1);
        let buffer = Buffer::default();
        let stored = Arc::clone(&buffer);
        let storing = std::thread::spawn(move || {
            let runtime = tokio::runtime::Runtime::new()?;
            let store = runtime.block_on(Store::open(&path, mc_content::Options::default()))?;
            let mut writer = Writer::new(task, task, None);
            let mut bytes = Vec::new();
            while let Ok(saved) = saved.recv() {
                let mut blocks = Vec::new();
                let mut emit = |(cid, bytes): (mc_types::Cid, Vec<u8>)| {
                    blocks.push(Block::new(cid, bytes.into()));
                };
                let output = Output {
                    stdout: (&mut io::empty(), 0),
                    stderr: (&mut io::empty(), 0),
                };
                let header = writer.write(&saved, output, &mut emit)?;
                emit(header);
                let blocks = blocks.into_iter().collect::<Result<Vec<_>, _>>()?;
                bytes.push(blocks.iter().map(|block| block.bytes().len()).sum());
                runtime.block_on(store.put_many(blocks))?;
                *stored.lock().unwrap_or_else(PoisonError::into_inner) = Some(saved.memories);
            }
            runtime.block_on(store.close());
            Ok(bytes)
        });
        Ok(Self {
            states,
            buffer,
            captures: Arc::default(),
            storing,
            _dir: dir,
        })
    }

    fn hand(&self) -> Hand {
        Hand {
            states: self.states.clone(),
            buffer: Arc::clone(&self.buffer),
            captures: Arc::clone(&self.captures),
        }
    }

    fn end(self) -> Result<Stored> {
        drop(self.states);
        let bytes = self.storing.join().ok().context("storing panicked")??;
        let captures = self.captures.lock().unwrap_or_else(PoisonError::into_inner);
        Ok(Stored {
            capture_gb_per_s: median(captures.clone()),
            bytes,
        })
    }
}

/// A state in memory.
struct Slot(Arc<Mutex<Option<Saved>>>);

impl Keeper for Slot {
    fn keep(&mut self, stopped: &Stopped<'_>) -> Result<Next, RunError> {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(stopped.save(None));
        Ok(Next::Leave)
    }
}

/// How long it takes from a state to the next site, with a component of some 100 kB, compiled before.
fn resume(engine: &Engine) -> Result<Value> {
    let bytes = std::fs::read(guest("compute"))?;
    let component = cid::of(RAW, &bytes);
    let compiled = Instant::now();
    let program = engine.load(&component, &bytes, Need::Resume)?;
    let compile_ms = compiled.elapsed().as_secs_f64() * 1e3;
    let slot = Arc::new(Mutex::new(None));
    let stop = |at: u64, from: Option<&Saved>| {
        let mut invocation = invocation();
        invocation.checkpoints = Some(Checkpoints {
            first: Some(at),
            stop_signal: StopSignal::default(),
            keeper: Box::new(Slot(Arc::clone(&slot))),
        });
        invocation.resume = from.map(Saved::resume);
        let begun = Instant::now();
        let left = matches!(program.run(invocation), Err(RunError::Left));
        let kept = slot.lock().unwrap_or_else(PoisonError::into_inner).take();
        ensure!(left, "the guest was not stopped");
        Ok((
            begun.elapsed().as_secs_f64() * 1e3,
            kept.context("nothing was kept")?,
        ))
    };
    let (_, kept) = stop(100_000_000, None)?;
    let times = (0..50).map(|_| Ok(stop(kept.position + 1, Some(&kept))?.0));
    Ok(json!({
        "component_bytes": bytes.len(),
        "compile_ms": compile_ms,
        "to_first_site_ms": median(times.collect::<Result<Vec<_>>>()?),
    }))
}
