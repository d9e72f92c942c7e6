//! The machine that an experiment runs on: how fast it is, and what else it has to do.

use anyhow::{Context, Result};
use std::{
    hint::black_box,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

/// For how long the speed is measured.
const MEASURED_FOR: Duration = Duration::from_millis(200);
/// Turns between two looks at the clock.
const TURNS: u64 = 1 << 16;

/// Millions of turns that one processor does in a second of the loop that the guest `ticks` computes, when it has
/// nothing else to do.
pub(crate) fn speed() -> f64 {
    let (begun, mut rounds) = (Instant::now(), 0_u32);
    while begun.elapsed() < MEASURED_FOR {
        turn();
        rounds += 1;
    }
    let turns = f64::from(rounds) * f64::from(u32::try_from(TURNS).unwrap_or_default());
    turns / begun.elapsed().as_secs_f64() / 1e6
}

fn turn() {
    let mut sum = 1_u64;
    for turn in 0..TURNS {
        sum = (sum ^ turn).wrapping_mul(6_364_136_223_846_793_005);
    }
    black_box(sum);
}

/// Threads of the machine that wanted to run in the last minute, on average.
pub(crate) fn load() -> Result<f64> {
    let text = std::fs::read_to_string("/proc/loadavg")?;
    let first = text.split_whitespace().next().context("a load")?;
    Ok(first.parse()?)
}

/// Something else that keeps each processor busy, until it is dropped.
pub(crate) struct Busy {
    is_over: Arc<AtomicBool>,
    threads: Vec<JoinHandle<()>>,
}

impl Busy {
    pub(crate) fn start() -> Result<Self> {
        let is_over = Arc::<AtomicBool>::default();
        let spin = || {
            let is_over = Arc::clone(&is_over);
            thread::spawn(move || {
                while !is_over.load(Ordering::Relaxed) {
                    turn();
                }
            })
        };
        let processors = thread::available_parallelism()?.get();
        let threads = (0..processors).map(|_| spin()).collect();
        Ok(Self { is_over, threads })
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        self.is_over.store(true, Ordering::Relaxed);
        for thread in self.threads.drain(..) {
            // It cannot have panicked.
            let _ = thread.join();
        }
    }
}
