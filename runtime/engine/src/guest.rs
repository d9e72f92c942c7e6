//! What a running guest has on the host's side, and how its calls get there.

use crate::{
    checkpoint::{Restoring, Resume},
    limiter::Limiter,
    sink::Sink,
    ticker::Watch,
};
use mc_checkpoint::meter::{self, Reading};
use mc_types::LogStream;
use mc_wasi::{BadState, Host, Stop};
use std::sync::Arc;
use wasmtime::{AsContext, Memory, StoreContextMut, component::WasmList};

/// A guest that calls.
pub(crate) type Call<'a> = StoreContextMut<'a, Guest>;

/// Where the fuel that a guest's own instructions used can be read.
pub(crate) enum Counter {
    /// Nowhere yet: the guest has not begun.
    Absent,
    /// On the page of an instrumented component.
    Component(WasmList<u8>),
    /// On the page of an instrumented core module.
    Module(Memory),
    /// With wasmtime.
    Wasmtime,
}

/// The limits of a guest, in the meter's terms.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Allowance {
    pub(crate) fuel: i64,
    pub(crate) stack: i32,
}

impl Allowance {
    /// The fuel as others count it; it is never less than none.
    pub(crate) fn units(self) -> u64 {
        u64::try_from(self.fuel).unwrap_or_default()
    }
}

/// What a guest has on the host's side in the beginning.
pub(crate) struct Setup {
    pub(crate) host: Host,
    pub(crate) limiter: Limiter,
    pub(crate) counter: Counter,
    pub(crate) allowance: Allowance,
    pub(crate) watch: Arc<Watch>,
    pub(crate) stdout: Sink,
    pub(crate) stderr: Sink,
}

/// What a running guest has on the host's side.
pub(crate) struct Guest {
    pub(crate) host: Host,
    pub(crate) limiter: Limiter,
    pub(crate) counter: Counter,
    pub(crate) allowance: Allowance,
    /// The position until which the guest runs before it stops or ends.
    pub(crate) until: i64,
    /// What the meter's memory begins with when it is passed next.
    image: Vec<u8>,
    /// The memories of a guest that is resumed, until they are in their place.
    pub(crate) restoring: Option<Restoring>,
    /// The memories of a component that was stopped.
    pub(crate) exposed: Vec<WasmList<u8>>,
    /// The memory that a core module's calls refer to.
    pub(crate) memory: Option<Memory>,
    pub(crate) watch: Arc<Watch>,
    pub(crate) stdout: Sink,
    pub(crate) stderr: Sink,
    /// Whether the reader of the output has gone.
    pub(crate) output_closed: bool,
}

impl Guest {
    pub(crate) fn new(setup: Setup) -> Self {
        let Setup {
            host,
            limiter,
            counter,
            allowance,
            watch,
            stdout,
            stderr,
        } = setup;
        Self {
            host,
            limiter,
            counter,
            allowance,
            until: allowance.fuel,
            image: Vec::new(),
            restoring: None,
            exposed: Vec::new(),
            memory: None,
            watch,
            stdout,
            stderr,
            output_closed: false,
        }
    }

    /// Takes note of a component's meter, and says what may be used.
    pub(crate) fn attach(mut cx: Call<'_>, page: WasmList<u8>) -> Vec<u8> {
        if matches!(cx.data().counter, Counter::Absent) {
            // It is called with the beginning of the page before anything of the guest runs.
            let address = page.as_le_slice(&cx).as_ptr();
            address.expose_provenance();
            cx.data().watch.attach(address);
            cx.data_mut().counter = Counter::Component(page);
        }
        cx.data_mut().next_image()
    }

    /// The meter's memory, if there is one of ours.
    pub(crate) fn meter(store: &wasmtime::Store<Self>) -> Option<&[u8]> {
        match &store.data().counter {
            Counter::Component(memory) => Some(memory.as_le_slice(store)),
            Counter::Module(memory) => Some(memory.data(store)),
            Counter::Absent | Counter::Wasmtime => None,
        }
    }

    /// What the meter says, if there is one of ours.
    pub(crate) fn reading(cx: impl AsContext<Data = Self>) -> Option<Reading> {
        let cx = cx.as_context();
        match &cx.data().counter {
            Counter::Component(page) => Reading::of(page.as_le_slice(&cx)),
            Counter::Module(page) => Reading::of(page.data(&cx)),
            Counter::Absent | Counter::Wasmtime => None,
        }
    }

    /// Fuel that the guest's own instructions have used.
    pub(crate) fn own_fuel(cx: impl AsContext<Data = Self>) -> u64 {
        let cx = cx.as_context();
        let left = match &cx.data().counter {
            Counter::Absent => return 0,
            Counter::Wasmtime => cx.get_fuel().ok().and_then(|left| i64::try_from(left).ok()),
            Counter::Component(_) | Counter::Module(_) => {
                Self::reading(&cx).map(|reading| reading.fuel_left)
            }
        };
        let used = left.and_then(|left| cx.data().until.checked_sub(left));
        used.and_then(|used| u64::try_from(used).ok()).unwrap_or(0)
    }

    /// Makes a call of the guest, which then pays for it.
    pub(crate) fn call<T>(
        mut cx: Call<'_>,
        f: impl FnOnce(&mut Host) -> Result<T, Stop>,
    ) -> wasmtime::Result<T> {
        let own = Self::own_fuel(&cx);
        let guest = cx.data_mut();
        guest.host.enter(own);
        let result = f(&mut guest.host);
        guest.settle(own)?;
        Ok(result?)
    }

    /// Delivers what the guest wrote, and stops it if it cannot pay.
    pub(crate) fn settle(&mut self, own_fuel: u64) -> Result<(), Stop> {
        if self.host.has_output() {
            self.deliver()?;
        }
        if self.fuel_used(own_fuel) > self.allowance.units() {
            return Err(Stop::OutOfFuel);
        }
        Ok(())
    }

    /// Fuel for the guest's own instructions and for the calls that it made.
    pub(crate) fn fuel_used(&self, own_fuel: u64) -> u64 {
        own_fuel.saturating_add(self.host.call_fuel())
    }

    fn deliver(&mut self) -> Result<(), Stop> {
        for (stream, sink) in [
            (LogStream::Stdout, &mut self.stdout),
            (LogStream::Stderr, &mut self.stderr),
        ] {
            let bytes = self.host.take_output(stream);
            if let Err(error) = sink.write_all(&bytes) {
                self.output_closed = error.kind() == std::io::ErrorKind::BrokenPipe;
                let reason = format!("output could not be written: {error}");
                return Err(Stop::Host(reason));
            }
        }
        Ok(())
    }

    /// The destructor of all resources. The representation of each is the number of a handle.
    pub(crate) fn drop_handle(cx: Call<'_>, number: u32) -> wasmtime::Result<()> {
        Self::call(cx, |host| {
            host.close(number)
                .map_err(|_| Stop::Trap("a handle was dropped twice"))
        })
    }

    /// What the meter's memory begins with now.
    pub(crate) fn next_image(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.image)
    }

    /// The memories that a guest is resumed with.
    pub(crate) fn restoring(&mut self) -> Result<&mut Restoring, Stop> {
        let restoring = self.restoring.as_mut();
        restoring.ok_or(Stop::Trap("nothing is being restored"))
    }

    /// Lets the guest begin, and stop at the first site beyond the position `until`.
    pub(crate) fn begin(&mut self, until: Option<u64>) {
        let allowance = self.allow(until, 0);
        self.image = meter::begin(allowance).to_vec();
    }

    /// Resumes a guest that was stopped at `position`, with the part of it that is in place.
    pub(crate) fn go_on(&mut self, until: Option<u64>, position: i64, paid: i64, frames_end: u32) {
        let allowance = self.allow(until, position);
        self.image = meter::resume(allowance, frames_end, self.until - paid).to_vec();
    }

    /// Lets a guest go on with a state that was taken elsewhere.
    pub(crate) fn resume(&mut self, until: Option<u64>, resume: Resume) -> Result<(), BadState> {
        let signed = |units: u64| i64::try_from(units).unwrap_or(i64::MAX);
        let (position, paid) = (signed(resume.position), signed(resume.paid));
        let allowance = self.allow(until, position);
        let (image, restoring, world) = resume.split(allowance, self.until - paid);
        self.image = image;
        self.restoring = Some(restoring);
        self.host.restore(world)
    }

    fn allow(&mut self, until: Option<u64>, position: i64) -> meter::Allowance {
        let end = self.allowance.fuel;
        let until = until.and_then(|until| i64::try_from(until).ok());
        self.until = until.unwrap_or(end).min(end);
        meter::Allowance {
            fuel: self.until - position,
            reserve: end - self.until,
            stack: self.allowance.stack,
        }
    }
}
