//! The clock by which running guests yield.

use std::{
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

/// Between two ticks: how long a guest that never waits may run before it can be stopped.
const TICK: Duration = Duration::from_millis(10);

/// Moves an engine's epoch on while guests run, and rests while none does.
#[derive(Debug)]
pub(crate) struct Ticker(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    running: usize,
    started: bool,
    stopped: bool,
}

/// Keeps the ticker going until it is dropped.
#[derive(Debug)]
pub(crate) struct Running(Arc<Shared>);

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        // A count and two flags are consistent whatever panicked.
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

    /// Says that a guest begins to run. The thread is started with the first one.
    pub(crate) fn run(&self, engine: &wasmtime::Engine) -> std::io::Result<Running> {
        let mut state = self.0.state();
        if !state.started {
            let (shared, engine) = (Arc::clone(&self.0), engine.clone());
            std::thread::Builder::new()
                .name("epoch".to_owned())
                .spawn(move || tick(&shared, &engine))?;
            state.started = true;
        }
        state.running += 1;
        self.0.changed.notify_one();
        Ok(Running(Arc::clone(&self.0)))
    }
}

fn tick(shared: &Shared, engine: &wasmtime::Engine) {
    let mut state = shared.state();
    while !state.stopped {
        state = if state.running == 0 {
            shared
                .changed
                .wait(state)
                .unwrap_or_else(PoisonError::into_inner)
        } else {
            let waited = shared.changed.wait_timeout(state, TICK);
            waited.unwrap_or_else(PoisonError::into_inner).0
        };
        engine.increment_epoch();
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.0.state().running -= 1;
    }
}

impl Drop for Ticker {
    fn drop(&mut self) {
        self.0.state().stopped = true;
        self.0.changed.notify_all();
    }
}
