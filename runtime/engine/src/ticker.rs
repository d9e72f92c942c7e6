//! The clock by which running guests are stopped.

use crate::{RunError, checkpoint::StopSignal};
use mc_checkpoint::meter;
use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Arc, Condvar, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicI64, Ordering},
    },
    time::{Duration, Instant},
};
use tokio_util::sync::CancellationToken;

/// Between two ticks: how long a guest that never waits may run before it can be stopped.
const TICK: Duration = Duration::from_millis(10);

/// Looks after running guests at every tick, moves the engine's epoch on, and rests while no guest runs.
#[derive(Debug)]
pub(crate) struct Ticker(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    running: Vec<Arc<Watch>>,
    started: bool,
    stopped: bool,
}

/// A guest that may have to be stopped.
#[derive(Debug)]
pub(crate) struct Watch {
    begun: Instant,
    timeout: Option<Duration>,
    cancel: CancellationToken,
    /// Asks it to stop, if it can.
    stop_signal: Option<StopSignal>,
    /// The address of the page of the guest's meter, while it has one.
    page: Mutex<Option<usize>>,
}

impl Watch {
    pub(crate) fn new(
        timeout: Option<Duration>,
        cancel: CancellationToken,
        stop_signal: Option<StopSignal>,
    ) -> Arc<Self> {
        Arc::new(Self {
            begun: Instant::now(),
            timeout,
            cancel,
            stop_signal,
            page: Mutex::new(None),
        })
    }

    /// Why the guest has to be stopped, if it has to.
    pub(crate) fn reason(&self) -> Option<RunError> {
        if self.cancel.is_cancelled() {
            return Some(RunError::Cancelled);
        }
        let after = self
            .timeout
            .filter(|after| self.begun.elapsed() >= *after)?;
        Some(RunError::Timeout { after })
    }

    /// Lets the guest be stopped through the page at `page`, until [`Self::detach`].
    pub(crate) fn attach(&self, page: *const u8) {
        *self.page() = Some(page.addr());
        // If the stop was requested before there was a page, this call has to tell the guest.
        self.look();
    }

    /// The page is the guest's no more.
    pub(crate) fn detach(&self) {
        *self.page() = None;
    }

    fn page(&self) -> MutexGuard<'_, Option<usize>> {
        // An address is there or not, whatever panicked.
        self.page.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Ends or stops the guest if that is due.
    fn look(&self) {
        let must_end = self.reason().is_some();
        let must_stop = self.stop_signal.as_ref().is_some_and(StopSignal::is_raised);
        if !must_end && !must_stop {
            return;
        }
        if let Some(page) = *self.page() {
            if must_end {
                write(page, meter::RESERVE, meter::NO_RESERVE);
            }
            write(page, meter::STOP, -1);
        }
    }
}

/// Writes a word of the meter's page at `page`, which is attached and locked.
fn write(page: usize, offset: u64, value: i64) {
    let offset = usize::try_from(offset).unwrap_or_default();
    let word: *mut i64 = std::ptr::with_exposed_provenance_mut(page + offset);
    #[expect(unsafe_code, reason = "a running guest is stopped through its memory")]
    // SAFETY: the page is 64 KiB long, aligned, never moves, and stays mapped until `detach`, which
    // waits for the lock that is held here. The guest, which only loads these words, is machine code;
    // Rust code writes them only while the guest does not run, and then what is written here comes
    // again at the next tick.
    unsafe { AtomicI64::from_ptr(word) }.store(value, Ordering::Release);
}

/// Keeps the ticker going until it is dropped.
#[derive(Debug)]
pub(crate) struct Running {
    shared: Arc<Shared>,
    watch: Arc<Watch>,
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        // A list and two flags are consistent whatever panicked.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Ticker {
    pub(crate) fn new() -> Self {
        Self(Arc::new(Shared {
            state: Mutex::default(),
            changed: Condvar::new(),
        }))
    }

    /// Starts the thread if there is none yet. It inherits the priority of its caller: started from a guest's thread,
    /// which has the lowest, it could be as late as the guest that it must stop.
    pub(crate) fn start(&self, engine: &wasmtime::Engine) -> std::io::Result<()> {
        let mut state = self.0.state();
        if !state.started {
            let (shared, engine) = (Arc::clone(&self.0), engine.clone());
            std::thread::Builder::new()
                .name("ticker".to_owned())
                .spawn(move || {
                    // Only this thread can stop a guest, so it survives a panic.
                    let tick = || tick(&shared, &engine);
                    while catch_unwind(AssertUnwindSafe(tick)).is_err() {}
                })?;
            state.started = true;
        }
        Ok(())
    }

    /// Says that a guest begins to run.
    pub(crate) fn run(
        &self,
        engine: &wasmtime::Engine,
        watch: &Arc<Watch>,
    ) -> std::io::Result<Running> {
        self.start(engine)?;
        let mut state = self.0.state();
        state.running.push(Arc::clone(watch));
        if state.running.len() == 1 {
            self.0.changed.notify_one();
        }
        Ok(Running {
            shared: Arc::clone(&self.0),
            watch: Arc::clone(watch),
        })
    }
}

fn tick(shared: &Shared, engine: &wasmtime::Engine) {
    let mut state = shared.state();
    while !state.stopped {
        state = if state.running.is_empty() {
            shared
                .changed
                .wait(state)
                .unwrap_or_else(PoisonError::into_inner)
        } else {
            let waited = shared.changed.wait_timeout(state, TICK);
            waited.unwrap_or_else(PoisonError::into_inner).0
        };
        state.running.iter().for_each(|watch| watch.look());
        engine.increment_epoch();
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.watch.detach();
        let mut state = self.shared.state();
        let position = state
            .running
            .iter()
            .position(|watch| Arc::ptr_eq(watch, &self.watch));
        position.map(|position| state.running.swap_remove(position));
    }
}

impl Drop for Ticker {
    fn drop(&mut self) {
        self.0.state().stopped = true;
        self.0.changed.notify_all();
    }
}
